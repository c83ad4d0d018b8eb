"""What the guard library consists of, to those who use it."""

from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from agents_registry.presentation import Presented
from agents_registry.verdict import Policy
from enforcement.guard import Guard
from enforcement.tasks import DeniedError, while_allowed
from enforcement.token import Token
from enforcement.verdict import Lapse, Mode, NotReadyError, Verdict
from enforcement.watchlist import LiveSession

__all__ = [
    "DeniedError",
    "Guard",
    "Identifier",
    "Lapse",
    "LiveSession",
    "Mode",
    "NotReadyError",
    "Policy",
    "Presented",
    "Reason",
    "Token",
    "Verdict",
    "while_allowed",
]
