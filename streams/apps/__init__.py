"""Composition roots: the parts of each process, and their order of start and stop."""
