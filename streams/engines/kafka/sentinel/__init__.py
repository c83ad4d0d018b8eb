"""Partitions of access: accesses and facts in, findings out."""
