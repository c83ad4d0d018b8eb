"""Judge tokens by what Keycloak said of them, with the mappers and the core alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from attrs import frozen

from agents_registry.registry import Registry
from agents_registry.verdict import DEFAULT_POLICY, judge
from streams.model.records import Lifecycle
from streams.model.times import SECOND
from streams.pdp.claims import presented
from streams.pdp.settings import Issuer
from streams.sources.keycloak.keycloak import Keycloak
from streams.stages.ingest.ingress import Origin, facts_of
from tests.recordings.keycloak.connected import AUTHORITY, claims

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents_registry.verdict import Judgement, Policy
    from streams.model.records import Record


@frozen
class Judging:
    """A realm, and the settings with which it is read.

    Attributes:
        issuer: ``iss`` of its tokens.
        realm_id: what its events call it.
        lookback: seconds, the setting ``exchange_lookback``.
    """

    issuer: str
    realm_id: str
    lookback: float

    def read(self, events: list[dict[str, Any]]) -> list[Record]:
        """Read user events and admin events as a poll does."""
        source = Keycloak(self.issuer, int(self.lookback * SECOND))
        return list(source.records(orjson.dumps(events)))

    def verdicts(
        self,
        records: list[Record],
        tokens: Mapping[str, Mapping[str, Any]],
        now: int,
        policy: Policy = DEFAULT_POLICY,
    ) -> dict[str, Judgement]:
        """Give the verdict on each token under these records alone.

        Args:
            records: what was read.
            tokens: their claims, by label.
            now: ns since 1970.
            policy: for unknown credentials.
        """
        origin = Origin(authority=AUTHORITY, realm="r", received_at=now)
        registry = Registry.build(
            fact
            for record in records
            if isinstance(record, Lifecycle)
            for fact in facts_of(record, origin)
        )
        named = Issuer.model_validate(claims(self.issuer, "jwks", self.realm_id))
        return {
            label: judge(registry, presented(token, named), now=now, policy=policy)
            for label, token in tokens.items()
        }
