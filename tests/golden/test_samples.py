"""Every sample of our own gives the answer that was worked out for it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from agents_registry.facts import Cause, Effect
from streams.model.records import Access, Lifecycle
from streams.sources.catalogue import vendors
from streams.sources.github.github import GitHub
from streams.sources.guess import guess_bytes
from streams.stages.ingest.ingress import facts_of
from tests.golden.answers import (
    ANSWERS,
    ORIGIN,
    SAMPLES,
    causes,
    facts,
    read,
    requests,
    written,
)

pytestmark = pytest.mark.golden

RECORDED = {"keycloak", "openbao"}  # by real servers: recordings/, examples/openbao


def test_every_sample_has_an_answer_and_every_source_a_sample() -> None:
    """Whoever adds a source adds what it writes, and what is right about it."""
    files = {
        f"{file.parent.name}/{file.name}"
        for file in SAMPLES.glob("*/*") if file.name != "answers.yaml"
    }  # fmt: skip
    assert files == ANSWERS.keys()
    read_here = {answer["source"] for answer in ANSWERS.values()}
    assert vendors().keys() <= read_here | RECORDED


@pytest.mark.parametrize("name", ANSWERS)
def test_each_sample_gives_its_answer(name: str) -> None:
    """These records in this order, and no other; the rest is counted."""
    records, counted = read(name)
    assert ANSWERS[name]["records"] == [written(record) for record in records]
    expected = ANSWERS[name].get("counted", {})
    assert {kind: int(times) for kind, times in expected.items()} == dict(counted)


@pytest.mark.parametrize("name", [n for n in ANSWERS if not n.startswith("scim/")])
def test_each_sample_is_recognised(name: str) -> None:
    """From its content alone."""
    guessed = guess_bytes((SAMPLES / name).read_bytes())
    assert ANSWERS[name]["source"] == guessed


def shared(found: set[Cause]) -> list[int]:
    """Give how many causes each event id has that several have."""
    ids = [cause.event_id for cause in found]
    return sorted(ids.count(one) for one in set(ids) if ids.count(one) > 1)


@pytest.mark.parametrize(
    ("name", "several"),
    [
        # a suspend and a session.clear; a deactivation ends and suspends
        ("okta/system-log.json", [2, 2]),
        # one jti with two contents and two types
        ("ssf/shared-ids.jsonl", [3]),
    ],
)
def test_causes_that_share_an_event_id_all_survive(
    name: str, several: list[int]
) -> None:
    """A fact is what it says, not the id that its source gave."""
    assert several == shared(causes(name))


def test_two_exports_of_one_event_are_one_cause() -> None:
    """The lines differ in the columns of the export alone."""
    revoke = [
        c for c in causes("entra/log-analytics.jsonl") if c.effect is Effect.REVOKE
    ]
    assert 1 == len(revoke)
    assert 2 == sum(
        isinstance(one, Lifecycle) and one.effect == "revoke"
        for one in read("entra/log-analytics.jsonl")[0]
    )


def test_one_event_id_of_two_contents_issues_two_keys() -> None:
    """And the third line, which repeats the first, changes nothing."""
    first, second, third = (
        one for one in read("aws/shared-id.jsonl")[0]
        if isinstance(one, Lifecycle)
    )  # fmt: skip
    assert first.event_id == second.event_id
    assert first.identifiers != second.identifiers
    assert facts_of(first, ORIGIN) == facts_of(third, ORIGIN)


def test_a_session_is_used_before_the_record_that_made_it() -> None:
    """Files promise no order: the use and the grandchild stand first."""
    records, _ = read("aws/sessions.json")
    made = [one.identifiers[0] for one in records if isinstance(one, Lifecycle)]
    planner = made[1]
    first = records[0]
    assert isinstance(first, Access)
    assert (planner,) == first.identifiers
    assert made[0] in [one.identifiers[0] for one in records if isinstance(one, Access)]


def test_a_planted_session_token_reaches_no_record_and_no_fact() -> None:
    """STS writes it into the log; nobody may keep it."""
    text = (SAMPLES / "aws/sessions.json").read_text(encoding="utf-8")
    assert 6 == text.count("PLANTEDSESSIONTOKEN")
    said = repr([read("aws/sessions.json"), facts("aws/sessions.json")])
    assert "PLANTED" not in said


def test_a_secret_in_a_list_of_alerts_reaches_no_record() -> None:
    """GitHub's API answers with what leaked; nobody may keep it."""
    text = (SAMPLES / "github/secret-alerts.json").read_text(encoding="utf-8")
    assert 3 == text.count("AKIAKESTREL") + text.count("ghp_KestrelPlanted")
    said = repr([read("github/secret-alerts.json"), facts("github/secret-alerts.json")])
    assert "keyed-" in said
    assert "AKIAKESTREL" not in said
    assert "ghp_" not in said


def test_no_plain_hash_of_a_token_reaches_a_record() -> None:
    """GitHub and LiteLLM name tokens by it: it is keyed first."""
    for name in ("github/audit-log.jsonl", "litellm/audit.jsonl"):
        said = repr(read(name))
        assert "keyed-" in said
        text = (SAMPLES / name).read_text(encoding="utf-8")
        hashes = [one for one in text.split('"') if len(one) in (44, 64)]
        assert hashes
        assert not [one for one in hashes if one in said]


@pytest.mark.parametrize(
    ("name", "event"),
    [
        (name, answer["event"])
        for name, answer in ANSWERS.items()
        if answer.get("event")
    ],
)
def test_a_delivery_without_headers_is_read_by_its_shape(name: str, event: str) -> None:
    """Where the shape is beyond doubt; else it is counted, and changes nothing."""
    reader = GitHub(app="330441")
    found = list(reader.records((SAMPLES / name).read_bytes()))
    if event in ("installation", "github_app_authorization", "secret_scanning_alert"):
        assert ANSWERS[name]["records"] == [written(one) for one in found]
    else:
        assert ([], 1) == (found, sum(reader.unknown.values()))


def test_deactivations_of_a_directory() -> None:
    """By PATCH, PUT and creation, as a boolean and as text, with and without a path."""
    assert 21 == len(requests("scim/requests.jsonl"))
    records, _ = read("scim/requests.jsonl")
    suspended = [
        (one.event_type, str(one.identifiers[0]))
        for one in records
        if isinstance(one, Lifecycle) and one.effect == "suspend"
    ]
    assert [
        ("POST Users", "scim.user:kq-u3"),
        ("PATCH Users", "scim.user:kq-u1"),
        ("PATCH Users", "scim.user:kq-u1"),
        ("PATCH Users", "scim.user:kq-u1"),
        ("PUT Users", "scim.user:kq-u2"),
    ] == suspended


# OpenAI tells the address of sessions and not of API keys.
PLACELESS = {"openai/audit-logs.json"}


def test_every_log_of_uses_tells_where_they_came_from() -> None:
    """An alert names it; a dialect that drops it has alerts from nowhere."""
    uses = {
        name: [one.address for one in read(name)[0] if isinstance(one, Access)]
        for name in ANSWERS
    }

    assert PLACELESS == {name for name, told in uses.items() if told and not any(told)}


def test_an_access_ends_its_event() -> None:
    """Whoever compares events by their ids takes it for the last record of one."""
    late = [
        (name, after.event_type)
        for name, answer in ANSWERS.items()
        if answer["source"] != "scim"
        for one, after in pairwise(read(name)[0])
        if isinstance(one, Access)
        if (one.offset, one.event_id) == (after.offset, after.event_id)
    ]

    assert [] == late
