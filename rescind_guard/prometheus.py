"""Metrics of a guard for Prometheus; needs the extra ``prometheus``."""

from enforcement.prometheus import GuardCollector

__all__ = ["GuardCollector"]
