"""Shared Signals streams: keys, polling, management and health of each stream."""
