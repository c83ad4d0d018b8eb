"""Rules of closure on Kafka, and the keys with which guards sign there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from enforcement.clocks import boottime
from streams.apps.builders.sources import configured_guard_keys, lease_ceiling
from streams.engines.kafka.closure.closure_partition import Rules

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from streams.settings.server import Settings
    from streams.settings.worker import WorkerSettings
    from streams.stages.closure.guard_names import GuardKeys
    from streams.stages.sentinel.tolerances import Tolerances

NAMES_OPEN: Final = (
    "whoever may write the topic receipts can report as any guard that has no key in "
    "guard_keys: give all guards keys, and leave closure.signed_receipts unset or true"
)

log = structlog.get_logger()


def closure_rules(
    settings: Settings, worker: WorkerSettings, judged: Tolerances
) -> Rules:
    """Return the rules of closure."""
    return Rules(
        settings.closure.deadline,
        judged.silence,
        keys_of_guards(settings, worker),
        boottime,
        lease_ceiling(settings),
        settings.closure.max_guards,
        judged.points,
    )


def keys_of_guards(
    settings: Settings, worker: WorkerSettings
) -> GuardKeys[Ed25519PublicKey]:
    """Keys with which guards sign, and say where names are anybody's.

    Raises:
        ConfigurationError: a key cannot be read.
    """
    keys = configured_guard_keys(settings, in_topic=True)
    if "closure" in worker.stages and not keys.required:
        log.warning("guard_names_open", why=NAMES_OPEN)
    return keys
