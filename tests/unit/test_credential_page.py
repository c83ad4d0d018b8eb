"""The page of one node: each part stands where another fails, by any address."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from attrs import define, field

from agents_registry.facts import SECOND, Cause, Effect
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from streams.console.api import ApiAnswer, ApiProblem
from streams.console.assets import assets
from streams.console.page import Exported, PageRequest, Person, Rendered
from streams.console.pages import credential, find
from streams.console.templates import environment, rendered
from tests.property.lineages import answer
from tests.unit.test_lineage_steps import NOW, SAID, TOP, fan

pytestmark = pytest.mark.unit

CAUSE = "c" * 64
PEOPLE = Person("ann", "ann", frozenset({"viewer"}), "default", ("default",), "csrf")
AWAY = ApiProblem("not ready", "partition 3 moves", "Try again.", 503)


def answers() -> dict[str, dict[str, Any]]:
    """Give what an API says about a revoked agent with many tokens."""
    return deepcopy(_answers())


@cache
def _answers() -> dict[str, dict[str, Any]]:
    end = Cause(target=TOP, effect=Effect.REVOKE, at=2 * SECOND, **SAID)
    lineage = answer(Registry.build([*fan(), end]), TOP, 100, NOW)
    lineage |= {"identifier": str(TOP), "known": True, "incomplete": []}
    for node in lineage["nodes"]:
        node["cause"] = node["cause"] and node["cause"] | {"id": CAUSE}
    cause = {
        "id": CAUSE, "target": str(TOP), "effect": "revoke", "reach": "subtree",
        "authority": "operators", "at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    told = {
        "authority": "idp",
        "scopes": ["api|read:*", "api|write"],
        "scopes_total": 2,
    }
    return {
        "why": {
            "allowed": False, "reason": "revoked", "dead": True, "via": "direct",
            "path": [str(TOP)], "cause": cause, "created": 0, "created_by": [],
        },
        "lineage": lineage,
        "nodes": {
            "identifier": str(TOP), "kind": "agent.id", "class": "principal",
            "known": True, "declared": True, "root": False, "names": [str(TOP)],
            "names_total": 1, "issued_at": None, "expires_at": None, "owners": [],
            "owners_gone": False, "scopes": [told], "labels": [], "devices": [],
            "tenants": [], "causes": [], "causes_total": 0,
        },
        "uses": {
            "total": 0, "points": [], "callers": [],
            "scopes": [
                {"scope": "api|read:orders", "last": "2026-01-01T00:00:00Z"},
                {"scope": "api|readers", "last": "2026-01-01T00:00:00Z"},
            ],
        },
        "revocations": {"id": CAUSE, "state": "pending"},
        "findings": {"findings": [], "looked": 1, "before": None},
        "audit/head": {"sequence": 7000},
        "audit/search": {"lines": [], "looked": {"first": 2001, "last": 7000}},
    }  # fmt: skip


@define(slots=False)
class FakeApi:
    """An API that says what it is told to; what fails answers with a problem."""

    told: dict[str, dict[str, Any]] = field(factory=answers)
    failing: frozenset[str] = frozenset()
    asked: list[tuple[str, dict[str, Any]]] = field(factory=list)

    async def get(self, path: str, *_: str, **query: Any) -> ApiAnswer:
        """Answer a question."""
        self.asked.append((path, query))
        if path in self.failing:
            return ApiAnswer(503, problem=AWAY)
        return ApiAnswer(200, self.told[path])


async def html(api: FakeApi, name: str = str(TOP), **query: str) -> str:
    """Give the content of the page."""
    made = await credential.render(page(api, name, **query))
    made_by = environment(assets())
    bare = made_by.from_string("{% block content %}{% endblock %}")
    values = {"layout": bare, "person": PEOPLE, **made.values}
    return rendered(made_by, made.template, values).decode()


def page(api: Any, name: str, **query: str) -> PageRequest:
    """Give a request."""
    return PageRequest(api, query, name, NOW, PEOPLE)


async def test_a_revocation_that_is_not_everywhere_is_said_at_each_node() -> None:
    """In words, with a link to how it spreads; scopes are matched with their uses."""
    api = FakeApi()
    text = await html(api)

    assert text.count("not at every guard yet") == 21
    assert "api|read:orders</td>" in text
    assert "<td>not seen</td>" in text
    assert "1,980 more below agent.id:top: 1,980 vault.accessor" in text
    assert dict(api.asked)["audit/search"]["after"] == 2000
    # Each revocation once, beside the list of those that spread.
    assert [query for path, query in api.asked if path == "revocations"] == [
        {"state": "open", "limit": credential.LATE},
        {},
    ]

    everywhere = answers()
    everywhere["revocations"]["state"] = "closed"
    assert "not at every guard yet" not in await html(FakeApi(everywhere))


async def test_where_nobody_knows_what_spreads_nothing_looks_arrived() -> None:
    """Neither beside the verdict, nor at a node, nor in the file that is saved."""
    api = FakeApi(failing=frozenset({"revocations"}))
    text = await html(api)
    assert "not at every guard yet could not be asked: not ready" in text
    assert "It could not be asked: not ready." in text
    assert text.count("unknown at which guards") == 21
    made = await credential.svg(page(api, str(TOP)))
    assert isinstance(made, Rendered)
    assert (made.status, made.values["problem"]) == (503, AWAY)

    more = answers()
    more["revocations"]["before"] = "7"
    assert "More revocations spread still than" in await html(FakeApi(more))
    made = await credential.svg(page(FakeApi(more), str(TOP)))
    assert isinstance(made, Exported)
    assert f">{credential.MORE_SPREAD}</text></svg>".encode() in made.body


@pytest.mark.parametrize(
    "part",
    ["why", "lineage", "nodes", "uses", "findings", "audit/search", "audit/head"],
)
async def test_what_fails_says_so_and_the_rest_is_there(part: str) -> None:
    """A part that the server cannot answer is never blank, and never the whole page."""
    text = await html(FakeApi(failing=frozenset({part})))

    assert text.count("partition 3 moves") >= 1
    assert "Try again." in text
    heads = ("Verdict now", "Why", "Lineage", "Owners", "Uses of the last day")
    assert all(f">{head}</h2>" in text for head in heads)
    assert ("A guard denies it." in text) == (part != "why")


@pytest.mark.parametrize(
    "expand", ["", "[", "5", "{}", "[5, null]", '["a", 7]', json.dumps(["n"] * 50)]
)
async def test_an_odd_address_is_a_page_all_the_same(expand: str) -> None:
    """What is no list of names expands nothing; of many the last ones count."""
    api = FakeApi()
    text = await html(api, expand=expand, limit="9999")

    assert "Verdict now" in text
    query = dict(api.asked)["lineage"]
    assert query["limit"] == credential.SHOWN
    assert len(json.loads(query["expand"] or "[]")) <= credential.MOST_EXPANDED


async def test_a_link_to_expand_stays_short() -> None:
    """However long the names are that are expanded already."""
    api = FakeApi()
    long = json.dumps([f"jwt.jti:{number}{'x' * 240}" for number in range(8)])
    text = await html(api, expand=long)

    links = [part.split('"')[0] for part in text.split('class="fold" href="')[1:]]
    assert links
    assert max(map(len, links)) < 2 * credential.LONGEST_EXPANDED
    assert all("agent.id" in link for link in links)


async def test_a_file_is_a_picture_or_says_why_there_is_none() -> None:
    """As SVG; the page of the problem where the server does not answer."""
    made = await credential.svg(page(FakeApi(), str(TOP)))
    assert isinstance(made, Exported)
    assert made.body.startswith(b"<svg ")
    assert b"spread still" not in made.body

    away = await credential.svg(page(FakeApi(failing=frozenset({"lineage"})), "a:b"))
    assert isinstance(away, Rendered)
    assert away.status == 503


async def test_a_name_that_cannot_be_read_leads_to_the_search() -> None:
    """With what the API says about it."""
    api = FakeApi()

    async def refused(path: str, *_: str, **__: Any) -> ApiAnswer:
        problem = ApiProblem("unreadable", "write it as kind:value", "Correct it.", 422)
        return ApiAnswer(422, problem=problem)

    api.get = refused  # type: ignore[method-assign]
    made = await credential.render(page(api, "nonsense"))

    assert (made.template, made.status) == (find.TEMPLATE, 422)
    text = await html(api, "nonsense")
    assert "write it as kind:value" in text


def test_a_node_of_many_names_is_one_node() -> None:
    """It is shown by the first, and says how many others it has."""
    told = answer(
        Registry.build(fan()), Identifier("vault.token_hmac", "n00007"), 9, NOW
    )

    asked = next(node for node in told["nodes"] if node["depth"] == 0)
    assert asked["identifier"] == "vault.token_hmac:n00007"
    assert asked["names"] == ["vault.accessor:n00007", "vault.token_hmac:n00007"]
