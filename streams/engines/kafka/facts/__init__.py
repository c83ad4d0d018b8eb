"""Partitions of facts: their tables, what facts condemned, take-over and standby."""
