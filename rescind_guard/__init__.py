"""The guard: put it in front of a resource, and revocations hold there.

The middlewares are modules of their own, each with what it needs besides:
`rescind_guard.aiohttp`, `rescind_guard.asgi`, `rescind_guard.grpc` (extra ``grpc``);
so is the guard that reads Kafka itself, `rescind_guard.kafka` (extra ``kafka``).
"""

from typing import TYPE_CHECKING

from enforcement.lazily import looked_up

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


__getattr__ = looked_up(globals())


def __dir__() -> list[str]:
    return __all__
