"""The composition root of a decision point: the guard that its settings describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents_registry.identifiers import extend
from agents_registry.verdict import Policy
from enforcement.clocks import boottime, wall
from enforcement.guard import Guard
from enforcement.verdict import Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from enforcement.guard import AnyGuard
    from streams.pdp.settings import PdpSettings


def guard_of(
    settings: PdpSettings,
    *,
    clock: Callable[[], int] = boottime,
    wall_clock: Callable[[], int] = wall,
) -> AnyGuard[Any, Any]:
    """Guard that the settings describe, not yet entered.

    Args:
        settings: of the decision point.
        clock: nanoseconds of CLOCK_BOOTTIME.
        wall_clock: nanoseconds UTC, for expiry.

    Raises:
        ValueError: the settings lack its credential.
        OSError: the credential's file cannot be read.
    """
    modes: dict[str, Mode] = {name: each.mode for name, each in settings.routes.items()}
    same: dict[str, Any] = {
        "mode": settings.mode,
        "routes": modes,
        "policy": Policy(unknown=dict(settings.unknown)),
        "lease": settings.lease_seconds,
        "clock": clock,
        "wall_clock": wall_clock,
    }
    if settings.feed == "server":
        credential = settings.guard_credential()
        return Guard(settings.url, credential, name=settings.name, **same)
    from enforcement.kafka import KafkaGuard  # noqa: PLC0415 - of an extra
    from streams.settings.kafka import KafkaSettings  # noqa: PLC0415 - beside it

    kafka = KafkaSettings()
    return KafkaGuard(
        kafka.client(),
        name=settings.name,
        realm=settings.realm,
        prefix=kafka.prefix,
        vocabulary=extend(settings.kinds),
        **same,
    )
