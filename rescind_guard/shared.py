"""A guard for many processes of a host, and the agent that keeps their table."""

from enforcement.shared.agent import Agent
from enforcement.shared.guard import SharedGuard

__all__ = ["Agent", "SharedGuard"]
