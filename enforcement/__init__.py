"""The guard library: put it in front of a resource, and revocations hold there.

Its names are looked up when one is first asked for. A process that only reads the table
of its host needs neither an event loop nor an HTTP client, which are most of the memory
and most of the start of a guard with a connection.
"""

from typing import TYPE_CHECKING

from enforcement.lazily import looked_up

if TYPE_CHECKING:
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


__getattr__ = looked_up(globals())


def __dir__() -> list[str]:
    return __all__
