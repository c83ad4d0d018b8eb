"""The guard that reads Kafka itself, where the way over a server is not wanted.

For deployments alone in which all realms of the topic's prefix belong to one
organisation: whoever may read the topic can read all of them. Elsewhere use
`enforcement.Guard`, whose server sends it the facts of its realm.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from agents_registry.identifiers import VOCABULARY
from agents_registry.verdict import DEFAULT_POLICY, Policy
from enforcement.clocks import boottime, wall
from enforcement.guard import SECOND, AnyGuard, system_random
from enforcement.kafka.feed import LogFeed
from enforcement.kafka.receipts import LogReceipts
from enforcement.kafka.replica import LogReplica
from enforcement.kafka.reporter import Reporter
from enforcement.kafka.standing import LogStanding
from enforcement.receipts import Terms, signer
from enforcement.verdict import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agents_registry.identifiers import NodeClass
    from schemas.codec import Codec

LONGEST_LEASE: Final = 60.0  # seconds; closure waits for none that is longer


class KafkaGuard(AnyGuard[LogStanding, LogFeed]):
    """A guard of one realm that follows the topic ``facts``; see `Guard` for the rest.

    Attributes:
        counters: what it did.
        standing: its replica and its lease.
        feed: its connections to Kafka.

    Args:
        client: where and as whom to connect, as aiokafka's clients take it:
            ``bootstrap_servers``, ``security_protocol`` and so on.
        name: of this guard, unique in its realm; no two processes share one.
        realm: the organisation whose credentials are judged.
        prefix: first part of the topics' names.
        mode: what to do with what cannot be proven.
        routes: routes with a mode of their own, by name.
        policy: what to do with credentials that no fact makes known.
        lease: seconds for which one proof may be used; at most 60, and at most
            ``closure.max_lease`` of the workers.
        live_sessions: it serves sessions that end up to one lease after `check`
            denies; a revocation is then counted as enforced that much later.
        receipts: report what is applied, and deny while that is impossible.
            Without, nobody knows of this guard, and CLOSED does not include it.
        signing_key: Ed25519 key in PEM that signs its receipts; needs the package
            cryptography.
        vocabulary: kind to class, as the workers have it.
        codec: of a schema registry; the bundled ids by default.
        clock: nanoseconds of CLOCK_BOOTTIME.
        wall_clock: nanoseconds UTC, for expiry.
        jitter: random numbers in [0, 1) for pauses between connections.
    """

    def __init__(  # noqa: PLR0913 - each is a setting with a default, by name
        self,
        client: Mapping[str, Any],
        *,
        name: str,
        realm: str = "default",
        prefix: str = "rescind",
        mode: Mode = Mode.FAIL_CLOSED,
        routes: Mapping[str, Mode] | None = None,
        policy: Policy = DEFAULT_POLICY,
        lease: float = 1.0,
        live_sessions: bool = False,
        receipts: bool = True,
        signing_key: bytes | None = None,
        vocabulary: Mapping[str, NodeClass] = VOCABULARY,
        codec: Codec | None = None,
        clock: Callable[[], int] = boottime,
        wall_clock: Callable[[], int] = wall,
        jitter: Callable[[], float] = system_random,
    ) -> None:
        """Set up; entering the context connects.

        Raises:
            ImportError: there is a key and no cryptography.
            ValueError: the key cannot be read, or the lease is out of range.
        """
        length = _lease_length(lease)
        replica = LogReplica(realm, codec=codec, vocabulary=vocabulary)
        standing = LogStanding(length, replica, clock)
        reporter = None
        if receipts:
            self.live_sessions = live_sessions
            identity = realm, name, secrets.token_hex(8)
            terms = Terms(length, mode, routes or {}, live_sessions)
            written = _receipts(identity, terms, signing_key, replica.codec, wall_clock)
            topic = f"{prefix}.receipts.v1"
            reporter = Reporter(
                client, topic, written, standing, clock=clock, jitter=jitter
            )
        feed = LogFeed(
            client,
            topic=f"{prefix}.facts.v1",
            realm=realm,
            standing=standing,
            jitter=jitter,
            reporter=reporter,
            name=name,
        )
        super().__init__(
            standing,
            feed,
            mode=mode,
            routes=routes,
            policy=policy,
            clock=clock,
            wall_clock=wall_clock,
        )


def _lease_length(seconds: float) -> int:
    """Lease in ns; ValueError where it is out of range."""
    if not 0 < seconds <= LONGEST_LEASE:
        message = f"a lease is above 0 and at most {LONGEST_LEASE:g} s"
        raise ValueError(message)
    return round(seconds * SECOND)


def _receipts(
    identity: tuple[str, str, str],
    terms: Terms,
    key: bytes | None,
    codec: Codec,
    wall_clock: Callable[[], int],
) -> LogReceipts:
    sign = None if key is None else signer(key)
    return LogReceipts(identity, terms, codec=codec, wall_clock=wall_clock, sign=sign)
