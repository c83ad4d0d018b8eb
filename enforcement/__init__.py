"""The guard library: put it in front of a resource, and revocations hold there."""

from agents_registry.identifiers import Identifier
from agents_registry.verdict import Policy, Presented
from enforcement.guard import Guard
from enforcement.token import Token
from enforcement.verdict import Lapse, Mode, Verdict

__all__ = [
    "Guard",
    "Identifier",
    "Lapse",
    "Mode",
    "Policy",
    "Presented",
    "Token",
    "Verdict",
]
