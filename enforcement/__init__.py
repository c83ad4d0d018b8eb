"""The guard library: put it in front of a resource, and revocations hold there.

Its names are looked up when one is first asked for. A process that only reads the table
of its host needs neither an event loop nor an HTTP client, which are most of the memory
and most of the start of a guard with a connection.
"""

from typing import TYPE_CHECKING

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


def __getattr__(name: str) -> object:
    """Look a name of the package up.

    Raises:
        AttributeError: there is none of it.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from enforcement import public  # noqa: PLC0415 - not before it is asked for

    found: object = getattr(public, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
