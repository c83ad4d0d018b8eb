"""Guards for applications with threads, forked workers, or a busy event loop."""

from enforcement.loops import LoopGuard
from enforcement.threads import ThreadedGuard

__all__ = ["LoopGuard", "ThreadedGuard"]
