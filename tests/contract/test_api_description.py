"""The server does what docs/api/openapi.yaml says, and that says all of it."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.integration.serving import created_key, running, used_key
from tests.integration.test_route_roles import INGEST, OPEN, OWN, ROUTES
from tests.integration.test_status_lists import settings as lists_of

if TYPE_CHECKING:
    from tests.integration.serving import Server

pytestmark = pytest.mark.contract

DESCRIPTION = Path(__file__).parents[2] / "docs" / "api" / "openapi.yaml"
API: dict[str, Any] = yaml.load(DESCRIPTION.read_text(), yaml.CSafeLoader)
METHODS = ("get", "post", "put", "patch", "delete")
STATUS_LISTS = ("/v1/status-entries", "/statuslists/")  # where they are configured
KEY, ROOT = "aws.access_key:AKIAIOSFODNN7EXAMPLE", "aws.access_key:AKIAEXAMPLEROOT00001"
EXAMPLES = max(3, int(os.environ.get("RESCIND_EXAMPLES", "0")) // 400)  # a route
NAMED = [KEY, ROOT, "secret:s1"]


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Give method, path and description of each operation."""
    return [
        (method.upper(), path, item[method])
        for path, item in API["paths"].items()
        for method in METHODS
        if method in item
    ]


def described_roles(method: str, path: str) -> set[str] | str:
    """Give who may use a route of the list of routes and roles."""
    who = ROUTES[f"{method} {path}"]
    if who in (OPEN, OWN):
        return str(who)
    return {"ingest" if one in INGEST else one for one in who}


def test_every_route_is_described_with_its_roles() -> None:
    """The list of routes is held against the server elsewhere."""
    found = {
        f"{method} {path}": set(each.get("x-roles", ()))
        for method, path, each in operations()
        if not path.startswith(STATUS_LISTS)
    }

    assert set(found) == set(ROUTES)
    for name, roles in found.items():
        wanted = described_roles(*name.split())
        assert roles == (set() if isinstance(wanted, str) else wanted), name


def test_every_schema_is_one() -> None:
    """Of the dialect of OpenAPI 3.1, and every reference leads somewhere."""
    for name, schema in API["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert isinstance(schema, dict), name
    for reference in _references(API):
        place: Any = API
        for step in reference.removeprefix("#/").split("/"):
            assert step in place, reference
            place = place[step]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [each for one in value.values() for each in _references(one)]
    if isinstance(value, list):
        return [each for one in value for each in _references(one)]
    return []


@pytest.mark.worlds
@pytest.mark.timeout(300)
async def test_the_server_answers_as_described(tmp_path: Path) -> None:
    """Whatever is asked, rightly and wrongly, by somebody who may and who may not."""
    configured = lists_of(tmp_path)
    async with running(tmp_path, **configured) as run:
        names = {"source": ["cloudtrail"], "identifier": NAMED, "id": [await fill(run)]}
        await asyncio.to_thread(ask_everything, run.url, names)


async def fill(run: Server) -> str:
    """Let a server know credentials, one dead and still used; give what ended it."""
    made = [created_key(KEY.split(":")[1], "ann", "2023-07-10T12:09:47Z", "e1")]
    assert (await run.post("/v1/events/cloudtrail", "aws", b"not json"))[0] == 202
    for event in (
        *made,
        used_key(KEY.split(":")[1], "ann", "2030-01-01T00:00:00Z", "e2"),
    ):
        assert (await run.post("/v1/events/cloudtrail", "aws", event))[0] == 202
    adopted = {"credentials": [{"identifier": ROOT, "root": True}]}
    assert (await run.post("/v1/adopt", "restorer", adopted))[0] == 201
    status, told = await run.post("/v1/revocations", "revoker", {"identifier": KEY})
    assert status == 201
    return str(told["id"])


def ask_everything(url: str, names: dict[str, list[str]]) -> None:
    """Ask each operation but the WebSocket, at times by names that it knows."""
    from tests.contract import described  # noqa: PLC0415 - see there

    asked = itertools.count()
    with requests.Session() as session:
        for operation in described.operations(API):
            if operation.path == "/v1/feed":
                continue
            roles = list(operation.definition.raw.get("x-roles", ["viewer"]))
            roles = ["aws" if role == "ingest" else role for role in roles]
            tokens = st.sampled_from([*roles, *roles, "nobody"])

            @described.examples(EXAMPLES)
            @given(case=described.questions(operation), token=tokens, data=st.data())
            def ask(case: Any, token: str, data: Any) -> None:
                for part in (case.path_parameters, case.body):
                    for name in names if isinstance(part, dict) else ():
                        if name in part and data.draw(st.booleans()):
                            part[name] = data.draw(st.sampled_from(names[name]))
                case.headers["Authorization"] = f"Bearer {token}"
                described.validated(case, url, session)
                next(asked)

            ask()
    assert next(asked) > EXAMPLES * 20
