"""A guard for applications with threads and forked workers."""

from enforcement.threads import ThreadedGuard

__all__ = ["ThreadedGuard"]
