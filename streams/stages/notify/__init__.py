"""Which message is due at which receiver, and when."""
