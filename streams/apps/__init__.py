"""Composition roots: the parts of each process, and their order of start and stop."""

from streams.observability import structlog_alone

structlog_alone.load()  # before any module of ours asks for it
