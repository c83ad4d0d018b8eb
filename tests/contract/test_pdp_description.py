"""The decision point does what docs/api/openapi-pdp.yaml says, which says all of it."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agents_registry.facts import ScopeSet
from streams.pdp.metrics import DecisionMetrics
from streams.pdp.service import application
from tests.contract.test_pdp_authzen import FACTS, READ, SETTINGS, client
from tests.pdp import SAID, node, point, revoke, sub, token

if TYPE_CHECKING:
    from tests.pdp import Point

pytestmark = pytest.mark.contract

DESCRIPTION = Path(__file__).parents[2] / "docs" / "api" / "openapi-pdp.yaml"
API: dict[str, Any] = yaml.load(DESCRIPTION.read_text(), yaml.CSafeLoader)
EXAMPLES = 6
TOKENS = [token("agent"), token("boss"), token("nobody"), "opaque", "a.b.c"]
CHECKED = [
    ("/v1/check", {}),
    ("/v1/routes/{route}/check", {"route": "lax"}),
    ("/v1/routes/{route}/check", {"route": "write"}),
    ("/v1/routes/{route}/check", {"route": "none"}),
]
ROUTES = {"lax": {"mode": "observe"}, "write": {"scope": "api|write"}}
RESOURCE = {"type": "document", "id": "1"}
SUBJECTS = [("user", "alice@example.com"), ("user", "bob@example.com")]


def known() -> Point:
    """Give a decision point that knows the living and the dead."""
    reads = ScopeSet(**SAID, node=sub("agent"), scopes=("api|read",))
    facts = (*FACTS, reads, node(sub("boss")), revoke(sub("boss")))
    return point(*facts, routes=ROUTES, **SETTINGS)


def test_every_route_is_described() -> None:
    """And nothing besides; the check takes any method, of which some are told."""
    made = known()
    app = application(made.decider, DecisionMetrics(made.guard, made.keys), made.keys)
    served: dict[str, set[str]] = {}
    for route in app.router.routes():
        if route.resource is not None and route.method != "HEAD":
            served.setdefault(route.resource.canonical, set()).add(route.method)
    described = {
        path: {each.upper() for each in item if each in ("get", "post")}
        for path, item in API["paths"].items()
    }

    assert described.keys() == served.keys()
    for path, methods in served.items():
        assert described[path] == methods or methods == {"*"}, path


def test_every_schema_is_one() -> None:
    """Of the dialect of OpenAPI 3.1."""
    for schema in API["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.timeout(300)
async def test_the_decision_point_answers_as_described() -> None:
    """Whatever is asked, rightly and wrongly, by callers and by strangers."""
    async with client(known()) as made:
        url = str(made.make_url("/")).rstrip("/")
        seen = await asyncio.to_thread(ask_everything, url)
        seen |= await asyncio.to_thread(ask_of_the_known, url)
    assert {200, 401, 403} <= seen


def ask_everything(url: str) -> set[int]:
    """Ask each operation whatever there may be; give what was answered."""
    from tests.contract import described  # noqa: PLC0415 - see there

    asked, seen = itertools.count(), set()
    with requests.Session() as session:
        for operation in described.operations(API):

            @described.examples(EXAMPLES)
            @given(
                case=described.questions(operation),
                bearer=st.sampled_from(["caller", "caller", *TOKENS]),
            )
            def ask(case: Any, bearer: str) -> None:
                seen.add(validated(case, url, session, bearer))
                next(asked)

            ask()
    assert next(asked) > EXAMPLES * 5  # probes are soon asked in every way
    return seen


def ask_of_the_known(url: str) -> set[int]:
    """Ask about the living, the dead, and what is no token; give the answers."""
    from tests.contract.described import schema_of  # noqa: PLC0415 - see there

    schema = schema_of(API)
    seen = set()
    with requests.Session() as session:
        for text in TOKENS:
            for path, names in CHECKED:
                case = schema[path]["GET"].Case(path_parameters=names)
                seen.add(validated(case, url, session, text))
            case = schema["/v1/introspect"]["POST"].Case(
                body={"token": text}, media_type="application/x-www-form-urlencoded"
            )
            seen.add(validated(case, url, session, "caller"))
        questions: list[Any] = [
            {
                "subject": {"type": kind, "id": name},
                "action": READ,
                "resource": RESOURCE,
            }
            for kind, name in (*SUBJECTS, *(("token", text) for text in TOKENS))
        ]
        several: Any = {"evaluations": [*questions, {"subject": 1}]}
        for path, body in (
            *(("/access/v1/evaluation", each) for each in questions),
            ("/access/v1/evaluations", several),
            ("/access/v1/evaluations", questions[0]),
        ):
            case = schema[path]["POST"].Case(body=body, media_type="application/json")
            seen.add(validated(case, url, session, "caller"))
    return seen


def validated(case: Any, url: str, session: requests.Session, bearer: str) -> int:
    """Ask, hold the answer against the description, and give its status."""
    from tests.contract import described  # noqa: PLC0415 - see there

    case.headers["Authorization"] = f"Bearer {bearer}"
    return described.validated(case, url, session, headers=True)
