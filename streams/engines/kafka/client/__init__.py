"""Consumers and producers: groups, batches, acknowledgements."""
