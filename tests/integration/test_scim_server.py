"""A directory provisions into a running server, as RFC 7644 says."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from streams.sources.reading.envelope import LIMIT
from tests.golden.answers import requests
from tests.integration.scim_directory import call, settings
from tests.integration.serving import running, until

if TYPE_CHECKING:
    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
ALICE = {"userName": "alice@example.com", "externalId": "00uA", "active": True,
         "emails": [{"value": "alice@example.com"}]}  # fmt: skip


def replace(value: Any, **operation: Any) -> dict[str, Any]:
    """Give a PATCH with one operation."""
    one = {"op": "Replace", "value": value} | operation
    return {"schemas": [PATCH], "Operations": [one]}


async def reason(server: Server, identifier: str, expected: bool) -> bool:
    """Tell whether an identifier is dead or not, as expected."""
    _, why = await server.get(f"/v1/why/{identifier}")
    return bool(why["dead"]) is expected


async def becomes(server: Server, identifier: str, *, dead: bool) -> None:
    """Wait until an identifier is dead, or lives."""
    await until(functools.partial(reason, server, identifier, dead))


async def test_a_user_lives_and_ends_with_its_requests(tmp_path: Path) -> None:
    """Created, found, suspended, restored, deleted; by both of its names."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        status, made = await call(server, "POST", "Users", ALICE)
        assert 201 == status
        assert ("alice@example.com", "00uA", True) == (
            made["userName"], made["externalId"], made["active"],
        )  # fmt: skip
        assert "emails" not in made
        for query in ('userName eq "ALICE@example.com"', 'externalId eq "00uA"'):
            status, found = await call(server, "GET", f"Users?filter={query}")
            assert (200, 1) == (status, found["totalResults"])
            assert made == found["Resources"][0]
        ours, theirs = f"scim.user:{made['id']}", "okta.user:00uA"
        one = f"Users/{made['id']}"
        status, changed = await call(
            server, "PATCH", one, replace("False", path="active")
        )
        assert (200, False) == (status, changed["active"])
        await becomes(server, ours, dead=True)
        await becomes(server, theirs, dead=True)
    async with running(tmp_path, **settings(tmp_path)) as server:
        assert False is (await call(server, "GET", one))[1]["active"]
        status, changed = await call(server, "PUT", one, ALICE)
        assert (200, True) == (status, changed["active"])
        assert (204, None) == await call(server, "DELETE", one)
        await becomes(server, theirs, dead=True)
        assert 404 == (await call(server, "GET", one))[0]
        assert 404 == (await call(server, "DELETE", one))[0]


async def test_patches_keep_what_directories_match_by(tmp_path: Path) -> None:
    """With a path, without one, with the schema's URN; the rest is let through."""
    urn = "urn:ietf:params:scim:schemas:core:2.0:User:userName"
    async with running(tmp_path, **settings(tmp_path)) as server:
        _, made = await call(server, "POST", "Users", ALICE)
        one = f"Users/{made['id']}"
        for body, key, value in (
            (replace("bob", path="userName"), "userName", "bob"),
            (replace("carol", path=urn), "userName", "carol"),
            (replace({"externalId": "x1", "title": "y"}), "externalId", "x1"),
            (replace("z", path='emails[type eq "work"].value'), "userName", "carol"),
            (replace({"active": False}), "active", False),
            (replace(None, op="remove", path="externalId"), "externalId", None),
        ):
            status, changed = await call(server, "PATCH", one, body)
            assert (200, value) == (status, changed.get(key))


async def test_refusals_are_in_scims_form_and_change_nothing(tmp_path: Path) -> None:
    """Status as a text, a type where the RFC has one."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        _, made = await call(server, "POST", "Users", ALICE)
        one = f"Users/{made['id']}"
        _, other = await call(server, "POST", "Users", {"userName": "other"})
        large = orjson.dumps(replace(False, path="active") | {"x": "x" * LIMIT})
        facts = server.served.stages.store.end
        for method, path, body, status, kind in (
            ("POST", "Users", {"userName": "Alice@example.com"}, 409, "uniqueness"),
            ("POST", "Users", {}, 400, "invalidValue"),
            ("POST", "Users", {"userName": "x" * 300}, 400, "invalidValue"),
            ("POST", "Users", b"{", 400, "invalidSyntax"),
            ("POST", "Users", b"[]", 400, "invalidSyntax"),
            ("PUT", f"Users/{other['id']}", ALICE, 409, "uniqueness"),
            ("PATCH", one, {"Operations": []}, 400, "invalidSyntax"),
            ("PATCH", one, replace(1, op="move"), 400, "invalidSyntax"),
            ("PATCH", one, replace(False, path=7), 400, "invalidPath"),
            ("PATCH", one, large, 413, None),
            ("PATCH", "Users/nobody", replace(False, path="active"), 404, None),
            ("GET", 'Users?filter=title sw "x"', None, 400, "invalidFilter"),
            ("GET", "Users?startIndex=one", None, 400, "invalidValue"),
            ("GET", "Schemas/nothing", None, 404, None),
        ):
            got, answer = await call(server, method, path, body)
            assert (status, str(status)) == (got, answer["status"])
            assert [ERROR] == answer["schemas"]
            assert kind == answer.get("scimType")
        after = server.served.stages.store.end
        assert facts == after
        assert made["userName"] == (await call(server, "GET", one))[1]["userName"]
        assert (await call(server, "GET", one))[1]["active"]


async def test_every_route_asks_for_a_token_with_an_authority(tmp_path: Path) -> None:
    """401 unknown, 403 without the role or the grant; nothing of others is seen."""
    async with running(tmp_path, **settings(tmp_path, agents=True)) as server:
        _, made = await call(server, "POST", "Users", ALICE)
        for method, path, body in (
            ("GET", "ServiceProviderConfig", None),
            ("GET", "ResourceTypes", None),
            ("GET", "ResourceTypes/User", None),
            ("GET", "Schemas", None),
            ("GET", "Users", None),
            ("POST", "Users", ALICE),
            ("GET", f"Users/{made['id']}", None),
            ("PUT", f"Users/{made['id']}", ALICE),
            ("PATCH", f"Users/{made['id']}", replace(False, path="active")),
            ("DELETE", f"Users/{made['id']}", None),
            ("POST", "Agents", {"name": "a"}),
        ):
            assert 401 == (await call(server, method, path, body, "nobody"))[0]
            assert 403 == (await call(server, method, path, body, "viewer"))[0]
        one = f"Users/{made['id']}"
        assert 404 == (await call(server, "GET", one, None, "aws"))[0]
        assert 404 == (await call(server, "DELETE", one, None, "aws"))[0]
        assert 0 == (await call(server, "GET", "Users", None, "aws"))[1]["totalResults"]
        assert (await call(server, "GET", one))[1]["active"]
    narrow = settings(tmp_path)
    narrow["authorities"]["stranger"] = {"grants": [{"kind": "jwt.jti"}]}
    async with running(tmp_path, **narrow) as server:
        assert 403 == (await call(server, "DELETE", one))[0]
        assert 200 == (await call(server, "GET", one))[0]


async def test_agents_are_there_where_the_settings_say_so(tmp_path: Path) -> None:
    """A draft: without the switch there is no such path."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        headers = {"Authorization": "Bearer stranger"}
        async with server.session.get(
            f"{server.url}/scim/v2/Agents", headers=headers
        ) as got:
            assert 404 == got.status
    async with running(tmp_path, **settings(tmp_path, agents=True)) as server:
        status, made = await call(server, "POST", "Agents", {"name": "crawler"})
        assert (201, "crawler") == (status, made["name"])
        one = f"Agents/{made['id']}"
        await call(server, "PATCH", one, replace(False, path="active"))
        await becomes(server, f"scim.agent:{made['id']}", dead=True)
        _, types = await call(server, "GET", "ResourceTypes")
        assert ["User", "Agent"] == [each["name"] for each in types["Resources"]]
        _, schemas = await call(server, "GET", "Schemas")
        assert 2 == schemas["totalResults"]
        _, config = await call(server, "GET", "ServiceProviderConfig")
        assert config["patch"]["supported"]


async def test_pages_of_users(tmp_path: Path) -> None:
    """StartIndex and count; a wrong order of two pages shows nobody twice."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        for number in range(5):
            await call(server, "POST", "Users", {"userName": f"u{number}"})
        seen = []
        for start in (1, 3, 5, 7):
            query = f"Users?startIndex={start}&count=2"
            _, page = await call(server, "GET", query)
            assert 5 == page["totalResults"]
            seen += [one["userName"] for one in page["Resources"]]
        assert [f"u{number}" for number in range(5)] == sorted(seen)


async def test_an_external_id_must_be_able_to_name_somebody(tmp_path: Path) -> None:
    """Else an end would reach our id alone."""
    prefixed = settings(tmp_path, external_prefix="x" * 200)
    async with running(tmp_path, **prefixed) as server:
        body = {"userName": "a", "externalId": "y" * 100}
        status, answer = await call(server, "POST", "Users", body)
        assert (400, "invalidValue") == (status, answer["scimType"])
        assert 0 == (await call(server, "GET", "Users"))[1]["totalResults"]


@pytest.mark.parametrize("kind", ["entra.upn", "okta.usr"])
async def test_an_external_kind_that_cannot_be_is_a_wrong_setting(
    tmp_path: Path, kind: str
) -> None:
    """A name that is given again would be dead for its next holder."""
    wrong = settings(tmp_path, external_kind=kind)
    with pytest.raises(BaseExceptionGroup) as raised:
        async with running(tmp_path, **wrong):
            pass
    assert kind in str(raised.value.exceptions[0])


async def test_a_directory_provisions_from_its_first_question_to_its_last(
    tmp_path: Path,
) -> None:
    """Our sample, with the ids that the server gives in place of the sample's.

    Refused are the body that is no JSON, groups, which are not kept here, and the
    DELETE of no user in particular.
    """
    given: dict[str, str] = {}
    answers: list[tuple[str, int]] = []
    async with running(tmp_path, **settings(tmp_path, external_kind=None)) as server:
        for one in requests("scim/requests.jsonl"):
            path, body = one.path.removeprefix("/scim/v2/"), one.body
            for name, real in given.items():
                path = path.replace(name, real)
                body = body.replace(name.encode(), real.encode())
            status, answer = await call(server, one.method, path, body or None)
            answers.append((one.method, status))
            if status == 201 and one.assigned is not None:
                given[one.assigned] = answer["id"]
        await becomes(server, f"scim.user:{given['kq-u1']}", dead=True)
        await becomes(server, f"scim.user:{given['kq-u2']}", dead=True)
        await becomes(server, f"scim.user:{given['kq-u3']}", dead=True)
    assert [
        ("GET", 200), ("GET", 200), ("POST", 201), ("POST", 201), ("POST", 201),
        ("POST", 404), ("POST", 400), ("GET", 200), *[("PATCH", 200)] * 6,
        *[("PUT", 200)] * 3, ("PATCH", 404), ("DELETE", 404), ("DELETE", 204),
        ("DELETE", 404),
    ] == answers  # fmt: skip
