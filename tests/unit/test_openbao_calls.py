"""How lines become calls, and calls accesses."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_registry.facts import Relation
from agents_registry.identifiers import Identifier
from streams.model.records import Access, DeadLetter, Lifecycle, Parent
from streams.sources.openbao.openbao import OpenBao, Parser
from tests.unit.openbao_lines import (
    AT,
    DENIED,
    TIME,
    accesses,
    auth,
    changes,
    dead_token,
    letters,
    line,
    mac,
    read,
)

pytestmark = pytest.mark.unit

ROOT = auth("root")
BOTH = (
    Identifier("vault.accessor", mac("root-accessor")),
    Identifier("vault.token_hmac", mac("root")),
)
LOOKUP = "auth/token/lookup-self"


def pair(path: str, call_id: str = "call-1", **more: Any) -> list[dict[str, Any]]:
    """Give request and response of one call by root."""
    request = {"id": call_id}
    return [
        line(path, ROOT, kind=kind, request=request, **more)
        for kind in ("request", "response")
    ]


def test_request_and_response_are_one_access() -> None:
    """The response gives it, under both names of the token."""
    (access,) = accesses(*pair(LOOKUP, operation="read"))

    assert ("call-1", "read auth/token/lookup-self") == access[1:3]
    assert ("allowed", BOTH, "openbao") == (
        access.outcome,
        access.identifiers,
        access.point,
    )
    assert AT == access.occurred_at
    assert "root" == access.owner


def test_change_stands_before_the_access_of_its_call() -> None:
    """A create is a lifecycle event and a use of the caller's token."""
    records = read(*pair("auth/token/create", response={"auth": auth("new")}))

    assert [Lifecycle, Access] == [type(record) for record in records]
    assert {"call-1"} == {record.event_id for record in records}


def test_early_response_does_not_count_twice() -> None:
    """Lines may come in any order."""
    request, response = pair(LOOKUP)

    assert 1 == len(accesses(response, request, request))


def test_request_without_response_is_given_at_the_end() -> None:
    """Its outcome is unknown, and it changes nothing."""
    request, _ = pair("auth/token/revoke", data={"token": mac("t")})
    records = read(request)

    assert [None] == [
        record.outcome for record in records if isinstance(record, Access)
    ]
    assert 1 == len(records)


def test_refused_request_without_response_is_denied() -> None:
    """The request line of a dead token has the error already."""
    request = dead_token(LOOKUP, "t", kind="request")

    assert ["denied"] == [access.outcome for access in accesses(request)]


def test_dead_token_is_matched_by_its_hmac() -> None:
    """The log has no accessor for a token that is gone."""
    (access,) = accesses(dead_token(LOOKUP, "t"))

    assert (Identifier("vault.token_hmac", mac("t")),) == access.identifiers
    assert ("denied", "1 error occurred: * permission denied") == (
        access.outcome,
        access.reason,
    )


def test_failed_call_changes_nothing() -> None:
    """A refused revoke revokes nothing."""
    one = line("auth/token/revoke", ROOT, data={"token": mac("t")}, error="bad token")

    assert [] == changes(one)
    assert [("allowed", "bad token")] == [
        (access.outcome, access.reason) for access in accesses(one)
    ]


def test_a_token_that_a_policy_refuses_was_accepted() -> None:
    """The server looked it up: the line names it. A dead one has no ``auth``."""
    refused = auth("t", policy_results={"allowed": False})
    (access,) = accesses(line("secret/data/a", refused, error=DENIED))

    assert ("allowed", "1 error occurred: * permission denied") == (
        access.outcome,
        access.reason,
    )
    request = line("secret/data/a", refused, kind="request", error=DENIED)
    assert ["allowed"] == [access.outcome for access in accesses(request)]


def test_use_by_an_entity_tells_the_lineage() -> None:
    """A token whose login is not in the log still hangs on its entity."""
    (access,) = accesses(line(LOOKUP, auth("t", entity_id="e-1")))

    assert (Parent("vault.entity", "e-1", Relation.REQUIRES),) == access.parents
    assert (Identifier("vault.entity", "e-1"),) == access.actor


def test_token_sent_to_an_open_endpoint_is_no_access() -> None:
    """The server did not look at it, so it says nothing of the token."""
    caller = {"client_token": mac("t"), "token_type": "default"}

    assert [] == read(line("ssh/public_key", caller, operation="read"))


def test_login_presents_the_secret_id_and_nothing_else() -> None:
    """The new token of a login is not its caller."""
    data = {"role_id": mac("rid"), "secret_id": mac("sid")}
    made = auth("new")
    good = line("auth/approle/login", made, data=data, response={"auth": made})
    bad = line("auth/approle/login", data=data, error="invalid role or secret ID")
    secret_id = (Identifier("vault.secret_id_hmac", mac("sid")),)

    assert [("allowed", secret_id), ("denied", secret_id)] == [
        (access.outcome, access.identifiers)
        for access in (*accesses(good), *accesses(bad))
    ]
    assert [] == accesses(line("auth/people/login/ann", ROOT))


def test_lines_without_an_id_are_paired_in_their_order() -> None:
    """Help calls of some servers have none; they are two calls, and two accesses."""
    parser = Parser()
    lines = pair("sys/policies", operation="help", call_id="") * 2
    records = [record for one in lines for record in parser.feed(0, one)]

    assert [None, None] == [record.event_id for record in records]
    assert (2, {}) == (parser.read, parser.unknown)
    assert [] == list(parser.close())


def test_a_request_without_id_and_response_is_an_access() -> None:
    """A dead token that somebody presents is not lost with the other line."""
    request, response = pair(LOOKUP, call_id="")
    other = line(LOOKUP, auth("other"), kind="request", request={"id": ""})

    found = accesses(request, other, response)
    assert [
        ("allowed", mac("root-accessor")), (None, mac("other-accessor")),
    ] == [(one.outcome, one.identifiers[0].value) for one in found]  # fmt: skip


def test_a_call_of_nobody_and_lines_of_kmip_are_counted() -> None:
    """A response without a token and an effect; Vault's KMIP engine has none."""
    parser = Parser()
    kmip = {"time": TIME, "type": "kmip-response", "request": {"data": {}}}
    own = {"@level": "info", "@message": "unsealed", "@timestamp": TIME}
    lines = line("sys/health", operation="read"), kmip, own
    told = [record for one in lines for record in parser.feed(0, one)]

    assert [] == told
    assert {"read": 1, "kmip-response": 1, "log": 1} == parser.unknown
    assert parser.read == parser.unknown.total()


def test_pending_calls_are_bounded_and_a_late_response_still_acts() -> None:
    """A call that was given up is no second access, but its revoke counts."""
    parser = Parser(limit=2)
    calls = [
        pair("auth/token/revoke", f"c{n}", data={"token": mac("t")}) for n in range(4)
    ]
    given_up = [r for request, _ in calls for r in parser.feed(0, request)]
    late = [r for _, response in calls for r in parser.feed(0, response)]

    assert ["c0", "c1"] == [record.event_id for record in given_up]
    assert ["c0", "c1", "c2", "c3"] == [
        record.event_id for record in late if isinstance(record, Lifecycle)
    ]
    assert ["c2", "c3"] == [
        record.event_id for record in late if isinstance(record, Access)
    ]
    assert [] == list(parser.close())


def test_second_name_of_a_token_is_as_old_as_the_first() -> None:
    """A login with a token sent along shows the new token's accessor alone."""
    made = auth("new")
    shown = {**made, "client_token": mac("other")}
    sent = {"client_token": mac("other"), "client_token_accessor": None}
    early = "2026-11-25T02:00:00Z"
    login = line("auth/people/login/ann", shown, response={"auth": shown}, time=early)
    login["request"] |= sent
    use = line(LOOKUP, made, request={"id": "call-2"})
    issued, named = changes(login, use, use)
    _, late = changes(use, login)

    assert [1, 2] == [len(issued.identifiers), len(named.identifiers)]
    assert ("issue", "call-1") == (named.effect, named.event_id)
    assert issued.occurred_at == named.occurred_at
    assert named.identifiers == late.identifiers
    assert () == named.parents


def test_unwrapping_a_secret_id_shows_its_second_name() -> None:
    """Whoever destroys it may name it by itself."""
    kind = "vault.secret_id_accessor"
    wrapped = {"wrap_info": {"wrapped_accessor": mac("acc")}}
    data = {"secret_id": mac("sid"), "secret_id_accessor": mac("acc")}
    records = changes(
        line("auth/approle/role/ci/secret-id", ROOT, response=wrapped),
        line("sys/wrapping/unwrap", ROOT, response={"data": data}),
    )
    names = (
        Identifier(kind, mac("acc")),
        Identifier("vault.secret_id_hmac", mac("sid")),
    )

    assert [("issue", names[:1]), (None, names), ("issue", names)] == [
        (record.effect, record.identifiers) for record in records
    ]


def test_early_ids_are_bounded() -> None:
    """A log of responses alone does not fill the memory."""
    parser = Parser(limit=2)
    for n in range(5):
        list(parser.feed(0, pair(LOOKUP, f"c{n}")[1]))

    assert ["c3", "c4"] == list(parser._early)


def test_token_in_a_url_is_cut_out() -> None:
    """Old clients put tokens into paths; none may leave the source."""
    secret = "hvs.CAESIJlWh7Wq5qGcY0oVtXr3a9"
    lines = [
        line(f"auth/token/renew/{secret}", ROOT, error=f"no route for {secret}"),
        line("auth/token/lookup/0b9d-old-uuid", ROOT, request={"id": "call-2"}),
        line(f"cubbyhole/{secret}/x", ROOT, request={"id": "call-3"}),
    ]
    records = accesses(*lines)

    assert [
        "update auth/token/renew/[token]",
        "update auth/token/lookup/[token]",
        "update cubbyhole/[token]/x",
    ] == [record.event_type for record in records]
    assert secret not in repr(records)


def test_device_that_writes_plain_tokens_is_reported_once() -> None:
    """With log_raw the tokens stand in the log; they are not taken."""
    plain = {**ROOT, "client_token": "s.0123456789012345678901234"}
    records = read(line(LOOKUP, plain), line(LOOKUP, plain, request={"id": "call-2"}))

    assert ["raw_tokens"] == [
        record.reason.partition(":")[0]
        for record in records
        if isinstance(record, DeadLetter)
    ]
    assert "s.0123" not in repr(records)
    assert [BOTH[:1]] * 2 == [
        record.identifiers for record in records if isinstance(record, Access)
    ]


@pytest.mark.parametrize(
    ("time", "code"),
    [
        ("2451-01-01T00:00:00Z", "clock_absurd"),
        ("yesterday", "no_time"),
        (None, "no_time"),
    ],
)
def test_broken_clock_costs_the_access_but_not_the_revocation(
    time: str | None, code: str
) -> None:
    """A revoke of an unknown time is a revoke all the same."""
    one = line("auth/token/revoke", ROOT, data={"token": mac("t")}, time=time)
    waiting = line(LOOKUP, ROOT, kind="request", time=time)

    assert [("revoke", None)] == [(c.effect, c.occurred_at) for c in changes(one)]
    assert [] == accesses(one) == accesses(waiting)
    assert [code] == [letter.reason.partition(":")[0] for letter in letters(one)]
    assert [code] == [letter.reason.partition(":")[0] for letter in letters(waiting)]


def test_a_response_waits_for_its_request_where_the_end_is_known() -> None:
    """An access has the time of its request, in whatever order the lines stand."""
    calls = [
        line(
            LOOKUP,
            ROOT,
            kind=kind,
            request={"id": f"c{n}"},
            time=f"2026-01-01T00:00:{second}Z",
        )
        for n in range(3)
        for kind, second in (("request", f"1{n}"), ("response", f"2{n}"))
    ]
    lines = [json.dumps(one).encode() for one in calls]
    told = {
        order: {
            (record.event_id, record.occurred_at)
            for record in OpenBao().records(b"\n".join(order * 2))
            if isinstance(record, Access)
        }
        for order in permutations(lines)
    }

    assert 1 == len(set(map(frozenset, told.values())))
    assert 3 == len(next(iter(told.values())))


def test_held_responses_are_bounded() -> None:
    """Of a log without requests the oldest are told as soon as too many wait."""
    parser = Parser(held=2)
    told = [
        [
            record.event_id
            for record in parser.feed(n, line(LOOKUP, ROOT, request={"id": f"c{n}"}))
        ]
        for n in range(4)
    ]

    assert [[], [], ["c0"], ["c1"]] == told
    assert ["c2", "c3"] == [record.event_id for record in parser.close()]


def test_bad_lines_do_not_cost_their_neighbours() -> None:
    """Each is a dead letter with its offset; the rest is read."""
    good = json.dumps(line(LOOKUP, ROOT)).encode()
    lines = (good, b"{not JSON", b'{"eventName": "x"}', good[:99])
    records = sorted(
        OpenBao().records(b"\n".join(lines)), key=lambda record: record.offset
    )
    offsets = [sum(len(one) + 1 for one in lines[:n]) for n in range(len(lines))]

    assert offsets == [record.offset for record in records]
    assert [Access, DeadLetter, DeadLetter, DeadLetter] == [
        type(record) for record in records
    ]


WORDS = st.sampled_from(
    ["auth/token/create", "sys/auth/x", "delete", "hmac-sha256:a", "", "ns/", "é" * 200]
)
NAMES = [
    "id", "path", "operation", "data", "auth", "client_token", "accessor", "secret",
    "lease_id", "mount_point", "mount_type", "namespace", "wrap_info", "token",
    "wrapped_accessor", "entity_id", "metadata",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
    ),
    max_leaves=20,
)


@given(JSON, JSON, JSON, st.sampled_from(["request", "response"]))
def test_no_shape_of_a_line_raises(
    request: Any, response: Any, caller: Any, kind: str
) -> None:
    """Fields of any type, in any place, give records or dead letters."""
    one = {"type": kind, "request": request, "response": response, "auth": caller}

    for record in read(one):
        assert isinstance(record, Access | DeadLetter | Lifecycle)


def test_use_is_dated_by_its_request() -> None:
    """A slow call is presented when it asks; its answer comes later."""
    asked, answered = pair(LOOKUP, "slow")
    asked = {**asked, "time": "2026-01-01T00:00:00Z"}
    answered = {**answered, "time": "2026-01-01T00:00:09.5Z"}
    parser = Parser()
    records = [*parser.feed(0, asked), *parser.feed(1, answered)]

    assert [1_767_225_600_000_000_000] == [record.occurred_at for record in records]


def live(*lines: dict[str, Any]) -> list[Any]:
    """Read lines of a log that goes on."""
    parser = OpenBao().parser()
    return [found for one in lines for found in parser.feed(0, one)]


@pytest.mark.parametrize("error", ["", "1 error occurred: permission denied"])
def test_an_end_without_an_answer_is_told(error: str) -> None:
    """Nobody knows whether it was carried out, so nothing is ended; but it is told."""
    data = {"accessor": mac("a-accessor")}
    asked = line("auth/token/revoke-accessor", ROOT, kind="request", data=data)
    asked |= {"error": error} if error else {}
    slow = line(LOOKUP, ROOT, kind="request", request={"id": "call-2"})
    later = slow | {"time": "2026-11-25T02:13:43Z", "request": slow["request"]}
    soon = later | {"time": "2026-11-25T02:13:42Z"}
    given_up = live(asked, later)
    ends = [each for each in given_up if isinstance(each, Lifecycle)]
    reasons = [each.reason for each in given_up if isinstance(each, DeadLetter)]

    assert [] == live(asked, soon)
    assert [()] * (not error) == [each.identifiers for each in ends]
    assert len(ends) == len(reasons)
    assert all(each.startswith("no_answer: update auth/token") for each in reasons)


def test_a_late_answer_still_counts() -> None:
    """What was given up is carried out once the server says so."""
    data = {"accessor": mac("a-accessor")}
    path = "auth/token/revoke-accessor"
    asked = line(path, ROOT, kind="request", data=data)
    between = line(LOOKUP, ROOT, kind="request", request={"id": "call-2"})
    answer = line(path, ROOT, data=data) | {"time": "2026-11-25T02:20:00Z"}
    found = live(asked, between | {"time": "2026-11-25T02:19:00Z"}, answer)
    (ended,) = [e for e in found if isinstance(e, Lifecycle) and e.identifiers]

    assert "revoke" == ended.effect
