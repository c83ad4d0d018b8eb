"""Okta, Entra, Kubernetes, GitHub: order, repetition and cuts have no say."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_registry.inventory import table
from agents_registry.registry import Registry
from streams.records import DeadLetter
from streams.sources import source
from streams.sources.envelope import Event, events
from streams.stages.ingress import Origin, facts_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Any

    from agents_registry.facts import Fact

pytestmark = pytest.mark.property

NAMES = ("entra", "github", "kubernetes", "okta")
NOW = 1_800_000_000_000_000_000
ORIGIN = Origin("issuer", "realm", received_at=NOW)


def facts(name: str, bodies: Iterable[dict[str, Any]]) -> list[Fact]:
    """Give the facts of events, one a line."""
    data = b"\n".join(map(orjson.dumps, bodies))
    return [
        fact
        for record in source(name).records(data)
        if not isinstance(record, DeadLetter)
        for fact in facts_of(record, ORIGIN, fresh_id="fresh")
    ]


def bodies(file: Path) -> list[dict[str, Any]]:
    """Give the events of a sample."""
    items = events(file.read_bytes(), "")
    return [item.body for item in items if isinstance(item, Event)]


@pytest.mark.parametrize("name", NAMES)
def test_twice_reversed_and_shuffled_give_the_same_state(
    name: str, fixtures_dir: Path
) -> None:
    """The set of facts and the registry's table are those of one reading in order."""
    for file in sorted((fixtures_dir / name).iterdir()):
        found = bodies(file)
        once = facts(name, found)
        orders = [found + found, found[::-1]]
        for seed in range(5):
            shuffled = found + found[:1]
            Random(seed).shuffle(shuffled)
            orders.append(shuffled)
        expected = table(Registry.build(once), NOW)
        for order in orders:
            again = facts(name, order)
            assert set(once) == set(again), file.name
            assert expected == table(Registry.build(again), NOW), file.name


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_at_any_byte_never_raises(name: str, fixtures_dir: Path) -> None:
    """What was read before the cut is read; the cut is one dead letter at most."""
    for file in sorted((fixtures_dir / name).iterdir()):
        data = file.read_bytes()
        step = 1 if len(data) < 5_000 else 7
        for cut in range(0, len(data), step):
            letters = 0
            for record in source(name).records(data[:cut]):
                assert record.offset <= cut
                letters += isinstance(record, DeadLetter) and (
                    record.reason.split(":")[0] not in ("no_time", "no_target")
                )
            assert letters <= 1, (file.name, cut)


KEYS = [
    "action", "actor", "target", "id", "type", "outcome", "detailEntry", "user",
    "extra", "objectRef", "annotations", "properties", "targetResources", "Target",
    "modifiedProperties", "ModifiedProperties", "newValue", "oldValue", "installation",
    "sender", "alert", "hashed_token", "token_id", "debugContext", "AuditData",
    "protoPayload", "responseStatus", "code", "uid", "log", "resourceData", "status",
]  # fmt: skip
SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**60) | st.text("aé[", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=16,
)
HEADS: dict[str, list[dict[str, Any]]] = {
    "okta": [
        {"eventType": kind, "outcome": {"result": "SUCCESS"}}
        for kind in (
            "user.lifecycle.deactivate", "user.session.end", "user.session.clear",
            "user.session.start", "system.api_token.revoke",
            "app.oauth2.as.token.revoke", "app.oauth2.as.consent.revoke",
            "app.oauth2.token.grant.access_token", "app.oauth2.token.detect_reuse",
        )
    ],
    "entra": [
        {"activityDisplayName": "Delete user", "result": "success"},
        {"activityDisplayName": "Update user", "result": "success"},
        {"Operation": "Disable account.", "ResultStatus": "Success"},
        {"changeType": "deleted"},
        {"createdDateTime": "2026-01-01T00:00:00Z"},
    ],
    "kubernetes": [
        {"verb": verb, "objectRef": {"resource": kind, "name": "a", "namespace": "b"}}
        for verb in ("create", "delete", "deletecollection")
        for kind in ("serviceaccounts", "pods", "secrets")
    ],
    "github": [
        {"action": "deleted"}, {"action": "suspend"}, {"action": "revoked"},
        {"action": "oauth_access.destroy"}, {"action": "public_key.delete"},
        {"action": "secret_scanning_alert.create"}, {"action": "git.clone"},
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@given(st.data())
def test_events_of_any_shape_never_raise(name: str, draw: st.DataObject) -> None:
    """Every field may have any type; what is read makes facts."""
    head = draw.draw(st.sampled_from(HEADS[name]))
    body = draw.draw(st.dictionaries(st.sampled_from(KEYS), SHAPES, max_size=8))
    facts(name, [head | body, body | head])
