"""What a real Keycloak said, read by the mappers alone: the end of the recording.

`tests/integration/test_keycloak_recording.py` replays it step by step to a server.
"""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.verdict import DEFAULT_POLICY, Policy, UnknownPolicy
from streams.model.records import DeadLetter, Lifecycle, Record
from streams.model.times import rfc3339
from streams.sources.keycloak import users as keycloak_users
from streams.sources.ssf.ssf import Ssf, claims_of
from tests.golden.engines import Case, on_embedded, on_kafka
from tests.integration.recorded_keycloak import recording
from tests.integration.working import lay_out
from tests.recordings.keycloak.connected import AUTHORITY
from tests.recordings.keycloak.judging import Judging
from tests.recordings.keycloak.record import LOGS
from tests.recordings.keycloak.scenario import LOOKBACK, expectations

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

pytestmark = pytest.mark.golden

# What is expected after each step, by its name.
STEPS = {
    step.name: {label: one.allowed for label, one in expected.items()}
    for step, expected in expectations()
}
END = [*STEPS.values()][-1]
OF_THE_DOCS: dict[str, UnknownPolicy] = {
    "jwt.jti": "allow_if_principal_known", "session.id": "allow_if_principal_known",
}  # fmt: skip
ROOT_REVOKED = "root of a chain of service accounts revoked"
# What a JWT begins with: {"
TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """Give the recording."""
    return recording()


def events_of(said: dict[str, Any], steps: int | None = None) -> list[dict[str, Any]]:
    """Give the user events and admin events of all steps, or of the first ones."""
    return [one for step in said["steps"][:steps] for log in LOGS for one in step[log]]


def judging(said: dict[str, Any]) -> Judging:
    """Give what reads and judges, with the settings of the recording."""
    return Judging(said["issuer"], said["realm_id"], LOOKBACK)


def read_events(said: dict[str, Any], events: list[dict[str, Any]]) -> list[Record]:
    """Read events as a poll does."""
    return judging(said).read(events)


def read_sets(said: dict[str, Any]) -> list[Record]:
    """Read the SETs, after their verification."""
    return [
        record
        for step in said["steps"]
        for token in step["sets"]
        for record in Ssf().records(token.encode())
    ]


def allowed(
    said: dict[str, Any], records: list[Record], policy: Policy = DEFAULT_POLICY
) -> dict[str, bool]:
    """Give the verdict on each recorded token under these records alone."""
    tokens = {
        label: token
        for step in said["steps"]
        for label, token in step["tokens"].items()
    }
    end = said["steps"][-1]["at"]
    verdicts = judging(said).verdicts(records, tokens, end, policy)
    return {label: verdict.allowed for label, verdict in verdicts.items()}


def test_all_of_it_is_read(said: dict[str, Any]) -> None:
    """No dead letter, and the end is what the scenario says, in any order."""
    records = read_events(said, events_of(said)) + read_sets(said)
    assert [] == [one for one in records if isinstance(one, DeadLetter)]
    assert END == allowed(said, records)
    for seed in range(3):
        random.Random(seed).shuffle(records)
        assert END == allowed(said, records + records[::2])


def test_events_alone_say_all_of_it_and_sets_alone_a_little(
    said: dict[str, Any],
) -> None:
    """Hence the combination: SETs come for users who were logged out, and no more."""
    records = read_events(said, events_of(said))
    assert END == allowed(said, records)
    issues = [
        one for one in records if isinstance(one, Lifecycle) and one.effect == "issue"
    ]
    verdicts = allowed(said, issues + read_sets(said))
    denied = {label for label, verdict in verdicts.items() if not verdict}
    assert {"erin 1", "erin 2", "frank", "grace"} == denied


@pytest.mark.parametrize("missing", ["LOGIN", "REFRESH_TOKEN"])
def test_what_began_before_the_first_event_is_judged_by_what_it_hangs_on(
    said: dict[str, Any], missing: str
) -> None:
    """With the policy of the docs; renewed tokens are not even saved by default."""
    events = [one for one in events_of(said) if one.get("type") != missing]
    assert END == allowed(said, read_events(said, events), Policy(unknown=OF_THE_DOCS))


@pytest.mark.parametrize(
    ("event", "wrong"),
    [
        ("TOKEN_EXCHANGE", {"T1", "T2", "T2 again"}),
        ("REVOKE_GRANT", {"T0", "T1", "T2", "T2 again", "dave 1", "carol 1",
                          "ivan at svc-b"}),
        ("LOOKBACK", {"T2 again"}),
    ],
)  # fmt: skip
def test_the_recording_tells_when_an_event_is_not_read(
    said: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    event: str,
    wrong: set[str],
) -> None:
    """A planted bug: what it leaves alive are the very tokens it concerns."""
    left = {kind: one for kind, one in keycloak_users.EFFECTS.items() if kind != event}
    monkeypatch.setattr(keycloak_users, "EFFECTS", left)
    if event == "LOOKBACK":
        monkeypatch.setattr(keycloak_users, "_subject_token", lambda *_: None)
    names = [step["name"] for step in said["steps"]]
    last = names.index(ROOT_REVOKED) + 1
    verdicts = allowed(said, read_events(said, events_of(said, last)))
    right = STEPS[ROOT_REVOKED]
    assert wrong == {label for label, one in right.items() if one != verdicts[label]}


def test_no_token_and_no_secret_is_in_it(said: dict[str, Any]) -> None:
    """The only tokens are SETs: statements to us, which give nobody access."""
    sets = {token for step in said["steps"] for token in step["sets"]}
    for token in TOKEN.findall(json.dumps(said)):
        assert token in sets
        found = claims_of(token.encode())
        assert found is not None
        assert "events" in found
    for event in events_of(said):
        body = json.loads(event.get("representation") or "{}")
        if isinstance(body, dict):
            assert {"*"} == set(body.get("secret", "*"))
            assert "credentials" not in body


@pytest.mark.timeout(180)
async def test_both_engines_make_the_same_of_it(
    said: dict[str, Any],
    tmp_path: Path,
    repository: Path,
    kafka_settings: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One table, whether the events came to one process or over Kafka."""
    by_verdict: dict[bool, list[str]] = {True: [], False: []}
    for step in said["steps"]:
        for label, token in step["tokens"].items():
            by_verdict[END[label]].append(f"jwt.jti:{token['jti']}")
    case = Case(tmp_path, {
        "now": rfc3339(said["steps"][-1]["at"]),
        "steps": [{"token": AUTHORITY, "source": AUTHORITY,
                   "events": events_of(said)}],
        "alive": by_verdict[True], "dead": by_verdict[False], "findings": [],
        "compared_only": True,
    })  # fmt: skip
    embedded = await on_embedded(case, tmp_path / "embedded", repository)
    case.check(embedded)
    await lay_out(kafka_settings)
    kafka = await on_kafka(
        case, tmp_path / "kafka", repository, kafka_settings, monkeypatch
    )
    case.check(kafka)
    assert (embedded.rows, embedded.findings) == (kafka.rows, kafka.findings)
