"""AuthZEN Authorization API 1.0: the specification's examples, and its rules.

The examples ask what alice may read. Here that is a question of the scope that she
declares: documents and the account of the examples, but not document 2.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from agents_registry.facts import ScopeSet
from agents_registry.identifiers import Identifier
from streams.pdp import questions
from streams.pdp.metrics import DecisionMetrics
from streams.pdp.service import application
from tests.pdp import SAID, SECOND, Point, node, point, revoke, sub, token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.contract

ALICE, BOB = (
    Identifier("person.id", f"{name}@example.com") for name in ("alice", "bob")
)
SCOPES = tuple(
    {
        "document|read:1", "document|read:3", "document|can_read:*",
        "document|can_edit:*", "account|can_read:*", "todo|can_read:1",
    }
)  # fmt: skip
FACTS = (
    node(ALICE),
    ScopeSet(**SAID, node=ALICE, scopes=SCOPES),
    node(BOB),
    revoke(BOB),
    node(sub("agent")),
)
SETTINGS: dict[str, Any] = {
    "subjects": {"user": "person.id"},
    "scope": "{resource_type}|{action}:{resource_id}",
}
USER = {"type": "user", "id": "alice@example.com"}
READ, EDIT = {"name": "can_read"}, {"name": "can_edit"}
TIME = {"time": "2024-05-31T15:22-07:00"}
YES, NO = {"decision": True}, {"decision": False}
Client = TestClient[Any, Any]


def document(name: str) -> dict[str, Any]:
    """Give a resource of the examples."""
    return {"type": "document", "id": name}


NAMES = ("boxcarring.md", "subject-search.md", "resource-search.md")
DOCUMENTS = [document(name) for name in NAMES]


@asynccontextmanager
async def client(known: Point | None = None) -> AsyncIterator[Client]:
    """Give a client of a decision point."""
    known = known or point(*FACTS, **SETTINGS)
    metrics = DecisionMetrics(known.guard, known.keys)
    app = application(known.decider, metrics, known.keys)
    async with TestClient(TestServer(app)) as made:
        yield made


async def ask(
    body: Any, path: str = "evaluation", caller: str = "caller", **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """Ask a decision point; give status, answer and headers."""
    async with client() as made:
        return await post(made, body, path, caller, **headers)


async def post(
    made: Client, body: Any, path: str = "evaluation", caller: str = "caller",
    **headers: str,
) -> tuple[int, Any, dict[str, str]]:  # fmt: skip
    """Post to a decision point; give status, answer and headers."""
    sent = {"Authorization": f"Bearer {caller}"} | headers
    kind: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
    async with made.post(f"/access/v1/{path}", headers=sent, **kind) as answer:
        data = await answer.json(content_type=None)
        return answer.status, data, dict(answer.headers)


def decisions(answer: dict[str, Any]) -> list[bool]:
    """Give the bare decisions."""
    return [each["decision"] for each in answer["evaluations"]]


PROPERTIES = [
    USER,
    USER | {"properties": {"department": "Sales"}},
    USER | {"properties": {"department": "Sales", "ip_address": "172.217.22.14"}},
    USER | {"properties": {"department": "Sales", "ip_address": "172.217.22.14",
                           "device_id": "8:65:ee:17:7e:0b"}},
]  # fmt: skip
RESOURCES = [
    {"type": "account", "id": "123"},
    {"type": "account", "id": "123",
     "properties": {"library_record": {"title": "AuthZEN in Action",
                                       "isbn": "978-0593383322"}}},
]  # fmt: skip


@pytest.mark.parametrize("subject", PROPERTIES)
@pytest.mark.parametrize("resource", RESOURCES)
async def test_example_entities_and_request(
    subject: dict[str, Any], resource: dict[str, Any]
) -> None:
    """The Evaluation request of section 6.1, with the entities of section 5."""
    body = {
        "subject": subject,
        "resource": resource,
        "action": {"name": "can_read", "properties": {"method": "GET"}},
        "context": {"time": "1985-10-26T01:22-07:00"},
    }

    status, answer, headers = await ask(body)

    assert (status, answer) == (200, YES)
    assert headers["Content-Type"].startswith("application/json")


async def test_example_https_binding() -> None:
    """Section 10.1.4: the id of the request comes back."""
    request_id = "bfe9eb29-ab87-4ca3-be83-a1d5d8305716"
    body = {
        "subject": USER,
        "resource": {"type": "todo", "id": "1"},
        "action": READ,
        "context": {"time": "1985-10-26T01:22-07:00"},
    }

    status, answer, headers = await ask(body, **{"X-Request-ID": request_id})

    assert (status, answer) == (200, YES)
    assert headers["X-Request-ID"] == request_id


EXAMPLES = {
    "no defaults": {
        "evaluations": [
            {"subject": USER, "action": READ, "resource": each, "context": TIME}
            for each in DOCUMENTS
        ]
    },
    "subject and context": {
        "subject": USER, "context": TIME,
        "evaluations": [{"action": READ, "resource": each} for each in DOCUMENTS],
    },
    "action overridden": {
        "subject": USER, "context": TIME, "action": READ,
        "evaluations": [
            {"resource": DOCUMENTS[0]}, {"resource": DOCUMENTS[1]},
            {"resource": DOCUMENTS[2], "action": EDIT},
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("body", EXAMPLES.values(), ids=EXAMPLES)
async def test_example_evaluations(body: dict[str, Any]) -> None:
    """Section 7.1: three questions, with more and more defaults."""
    status, answer, _ = await ask(body, "evaluations")

    assert (status, answer) == (200, {"evaluations": [YES, YES, YES]})


async def test_example_options() -> None:
    """Section 7.1.2: unknown options are ignored."""
    body = {
        "evaluations": [
            {"subject": {"type": "doc", "id": "2"}, "action": READ,
             "resource": {"type": "doc", "id": "1"}}
        ],
        "options": {"evaluations_semantic": "execute_all", "another_option": "value"},
    }  # fmt: skip

    status, answer, _ = await ask(body, "evaluations")

    reason = {"reason": "unknown_subject"}
    assert (status, answer) == (200, {"evaluations": [NO | {"context": reason}]})


@pytest.mark.parametrize(
    ("semantic", "expected"),
    [
        (None, [True, False, True]),
        ("execute_all", [True, False, True]),
        ("deny_on_first_deny", [True, False]),
        ("permit_on_first_permit", [True]),
    ],
)
async def test_example_semantics(semantic: str | None, expected: list[bool]) -> None:
    """Section 7.1.2.1: documents 1 and 3 may be read, 2 may not."""
    body = {
        "subject": USER,
        "action": {"name": "read"},
        "evaluations": [{"resource": document(each)} for each in "123"],
    } | ({"options": {"evaluations_semantic": semantic}} if semantic else {})

    status, answer, _ = await ask(body, "evaluations")

    assert (status, decisions(answer)) == (200, expected)


async def test_permit_on_first_permit_goes_on_after_a_denial() -> None:
    """Like the or of programming languages."""
    body = {
        "subject": USER,
        "action": {"name": "read"},
        "evaluations": [{"resource": document(each)} for each in "213"],
        "options": {"evaluations_semantic": "permit_on_first_permit"},
    }

    _, answer, _ = await ask(body, "evaluations")

    assert decisions(answer) == [False, True]


async def test_example_error_in_one_evaluation() -> None:
    """Section 7.2.1: it is denied with its error, the others are answered."""
    body = {
        "subject": USER,
        "evaluations": [
            {"action": READ, "resource": DOCUMENTS[0]},
            {"action": READ},
            {"action": {"name": "read"}, "resource": document("2")},
            "no object",
        ],
    }

    status, answer, _ = await ask(body, "evaluations")

    first, second, third, fourth = answer["evaluations"]
    assert (status, first) == (200, YES)
    assert second["decision"] is fourth["decision"] is False
    assert second["context"]["error"]["status"] == 400
    assert "resource" in second["context"]["error"]["message"]
    assert third == NO | {
        "context": {"reason": "scope", "path": ["person.id:alice@example.com"]}
    }


async def test_an_error_is_a_denial_that_ends_the_evaluation() -> None:
    """Section 7.1.2.1: deny on first denial (or failure)."""
    body = {
        "subject": USER,
        "evaluations": [{"action": READ}, {"action": READ, "resource": DOCUMENTS[0]}],
        "options": {"evaluations_semantic": "deny_on_first_deny"},
    }

    _, answer, _ = await ask(body, "evaluations")

    assert decisions(answer) == [False]


@pytest.mark.parametrize("more", [{}, {"evaluations": []}])
async def test_without_evaluations_it_is_a_single_one(more: dict[str, Any]) -> None:
    """Section 7.1: it behaves as the Evaluation API does."""
    body = {"subject": USER, "action": READ, "resource": DOCUMENTS[0]} | more

    status, answer, _ = await ask(body, "evaluations")

    assert (status, answer) == (200, YES)


async def test_a_denial_is_200_and_says_why() -> None:
    """Section 10.1.2: with path and cause, for whoever holds a caller's token."""
    body = {
        "subject": {"type": "user", "id": "bob@example.com"},
        "action": READ,
        "resource": DOCUMENTS[0],
    }

    status, answer, _ = await ask(body)

    assert (status, answer["decision"]) == (200, False)
    assert answer["context"]["reason"] == "revoked"
    assert answer["context"]["path"] == ["person.id:bob@example.com"]
    cause = answer["context"]["cause"]
    assert (cause["target"], cause["effect"]) == (
        "person.id:bob@example.com",
        "revoke",
    )


async def test_discovery_names_the_endpoints() -> None:
    """Section 9: as reached, or as the settings say; open to everybody."""
    public = point(*FACTS, base_url="https://pdp.example.com/")
    async with (
        client(public) as made,
        made.get("/.well-known/authzen-configuration") as answer,
    ):
        told = await answer.json()
    async with client() as made:
        url = str(made.make_url("")).rstrip("/")
        async with made.get("/.well-known/authzen-configuration") as answer:
            reached = await answer.json()

    assert told == {
        "policy_decision_point": "https://pdp.example.com",
        "access_evaluation_endpoint": "https://pdp.example.com/access/v1/evaluation",
        "access_evaluations_endpoint": "https://pdp.example.com/access/v1/evaluations",
    }
    assert reached["policy_decision_point"] == url


GOOD: dict[str, Any] = {"subject": USER, "action": READ, "resource": DOCUMENTS[0]}
MALFORMED: dict[str, Any] = {
    "no JSON": b"{",
    "no object": [],
    "no subject": {"action": READ, "resource": DOCUMENTS[0]},
    "no action": {"subject": USER, "resource": DOCUMENTS[0]},
    "no resource": {"subject": USER, "action": READ},
    "subject is text": GOOD | {"subject": "alice"},
    "no subject id": GOOD | {"subject": {"type": "user"}},
    "no subject type": GOOD | {"subject": {"id": "a"}},
    "id is a number": GOOD | {"subject": {"type": "user", "id": 1}},
    "no action name": GOOD | {"action": {}},
    "no resource type": GOOD | {"resource": {"id": "1"}},
    "properties": GOOD | {"subject": USER | {"properties": []}},
    "context": GOOD | {"context": "now"},
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("path", ["evaluation", "evaluations"])
async def test_what_is_malformed_is_400_with_a_message(body: Any, path: str) -> None:
    """Section 10.1.2: an error of the request, no decision; the id still comes back."""
    kind = {"Content-Type": "application/json"} if isinstance(body, bytes) else {}

    status, answer, headers = await ask(body, path, **{"X-Request-ID": "r1"}, **kind)

    assert status == 400
    assert answer["detail"]
    assert "decision" not in answer
    assert headers["X-Request-ID"] == "r1"


@pytest.mark.parametrize(
    "more",
    [
        {"evaluations": {}},
        {"evaluations": [{}] * 1001},
        {"evaluations": [{}], "options": {"evaluations_semantic": "all"}},
        {"evaluations": [{}], "options": {"evaluations_semantic": ["execute_all"]}},
        {"evaluations": [{}], "options": []},
    ],
    ids=["no list", "too many", "unknown semantic", "semantic is a list", "options"],
)
async def test_malformed_evaluations_are_400(more: dict[str, Any]) -> None:
    """What is wrong with the whole payload is no matter of one evaluation."""
    status, _, _ = await ask(GOOD | more, "evaluations")

    assert status == 400


async def test_another_content_type_is_400() -> None:
    """Section 10.1: requests have the content type application/json."""
    status, answer, _ = await ask(b"{}", **{"Content-Type": "text/plain"})

    assert status == 400
    assert "application/json" in answer["detail"]


@pytest.mark.parametrize("path", ["evaluation", "evaluations"])
async def test_a_stranger_is_401(path: str) -> None:
    """Which says nothing about the subject."""
    status, answer, headers = await ask(GOOD, path, "stranger")

    assert status == 401
    assert "decision" not in answer
    assert headers["WWW-Authenticate"] == "Bearer"


async def test_unknown_members_are_ignored() -> None:
    """Section 10.1.1: for forward compatibility."""
    body = GOOD | {"new": 1, "subject": USER | {"new": 1}}

    assert (await ask(body))[:2] == (200, YES)


async def test_the_subject_may_be_a_token_or_of_a_kind() -> None:
    """A token is verified like any other; a kind of ours needs no mapping."""
    unscoped = point(*FACTS)
    subjects = [
        ({"type": "token", "id": token("agent")}, True),
        ({"type": "token", "id": token("agent")[:-4] + "AAAA"}, False),
        ({"type": "token", "id": "an-opaque-one"}, False),
        ({"type": "jwt.sub", "id": sub("agent").value}, True),
        ({"type": "jwt.sub", "id": "nobody"}, False),
        ({"type": "person.id", "id": "x" * 300}, False),
        ({"type": "user", "id": "alice@example.com"}, False),
    ]
    async with client(unscoped) as made:
        for subject, expected in subjects:
            _, answer, _ = await post(made, GOOD | {"subject": subject})
            assert answer["decision"] is expected, subject


async def test_without_a_lease_the_decision_is_false() -> None:
    """And not an error: the caller has to deny either way."""
    known = point(*FACTS, **SETTINGS)
    known.clocks.boot += 60 * SECOND
    async with client(known) as made:
        status, answer, _ = await post(made, GOOD)

    assert (status, answer) == (200, NO | {"context": {"reason": "no_lease"}})


async def test_dear_questions_leave_the_guard_as_long_as_they_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One walks a deep lineage; the usual ones leave it a turn of the loop each."""
    now, rests = 0.0, list[float]()
    cheap, dear = questions.DEAR / 2, 5 * questions.DEAR
    took = iter((cheap, dear, cheap))
    answer, sleep = questions.AuthZen._answer, asyncio.sleep

    async def answered(self: questions.AuthZen, asked: Any) -> dict[str, Any]:
        nonlocal now
        now += next(took)
        return await answer(self, asked)

    async def rested(seconds: float) -> None:
        rests.append(seconds)
        await sleep(0)

    monkeypatch.setattr(questions.AuthZen, "_answer", answered)
    monkeypatch.setattr(questions, "monotonic", lambda: now)
    several = [{"resource": document("1")}] * 3
    body = {"subject": USER, "action": READ, "evaluations": several}
    async with client() as asked:
        with monkeypatch.context() as only:
            only.setattr(asyncio, "sleep", rested)
            headers = {"Authorization": "Bearer caller"}
            await asked.post("/access/v1/evaluations", json=body, headers=headers)

    assert [pytest.approx(dear)] == [each for each in rests if each > 0]
