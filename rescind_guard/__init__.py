"""The guard: put it in front of a resource, and revocations hold there.

The middlewares are modules of their own, each with what it needs besides:
`rescind_guard.aiohttp`, `rescind_guard.asgi`, `rescind_guard.grpc` (extra ``grpc``);
so is the guard that reads Kafka itself, `rescind_guard.kafka` (extra ``kafka``).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enforcement import (
        DeniedError,
        Guard,
        Identifier,
        Lapse,
        LiveSession,
        Mode,
        NotReadyError,
        Policy,
        Presented,
        Reason,
        Token,
        Verdict,
        while_allowed,
    )

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
    """Look a name of the package up, when it is first asked for: see `enforcement`.

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
