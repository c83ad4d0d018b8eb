"""What a person may is asked for again, and no answer that is older stands."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from streams.console import csrf
from streams.console.api import ApiAnswer, ApiProblem
from streams.console.login import holder_of_token
from streams.console.roles import FRESH, RoleCheck
from streams.console.sessions import ConsoleSession, Holder
from tests.virtual import VirtualLoop, run

pytestmark = pytest.mark.unit


def session() -> ConsoleSession:
    """Begin one of a person who may revoke."""
    holder = Holder("ann", "ann", {"default": frozenset({"revoker"})}, "default")
    return ConsoleSession(holder, "t", bytes(32), 0, 0)


def test_an_act_takes_no_answer_of_an_earlier_look() -> None:
    """A role that was taken meanwhile is gone, whichever of the answers comes last."""
    late = [5.0, 0.5, 0.1]

    async def get(_: str) -> ApiAnswer:
        had = list(given)
        await asyncio.sleep(late.pop(0))
        who = {"name": "ann", "person": "ann", "realm": "default"}
        return ApiAnswer(200, who | {"roles": {"default": had}})

    async def main(_: VirtualLoop) -> None:
        held = session()
        check = RoleCheck(lambda *_: SimpleNamespace(get=get), lambda: FRESH)  # type: ignore[arg-type]
        await check.look(held)
        given.clear()
        await check.act(held)
        assert not held.holder.roles_in("default")
        await asyncio.sleep(10)
        assert not held.holder.roles_in("default")
        assert not check._tasks | check._asking.keys()
        given.append("viewer")
        await check.act(held)
        assert held.holder.roles_in("default") == {"viewer"}

    given = ["revoker"]
    run(main)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "ann"},
        {"name": "ann", "person": "ann", "realm": "default", "roles": ["viewer"]},
        {"name": "ann", "person": "ann", "realm": "default", "roles": {"default": 1}},
    ],
)
async def test_an_odd_answer_lets_nobody_in(body: dict[str, Any]) -> None:
    """It is said, and nothing is thrown."""

    async def get(_: str) -> ApiAnswer:
        return ApiAnswer(200, body)

    found = await holder_of_token(SimpleNamespace(get=get))  # type: ignore[arg-type]
    assert isinstance(found, ApiProblem)
    assert found.status == 502


def test_a_header_of_any_bytes_is_no_token() -> None:
    """As a server reads it, each byte that is no UTF-8 is a surrogate."""
    held = session()
    for text in ("aa.\udcff\udcfe", "\udcff", held.csrf_in("\udcff")[:-1] + "\ufffd"):
        realm = csrf.realm_of({csrf.HEADER: text}, {})
        assert not csrf.is_allowed({csrf.HEADER: text}, {}, held.csrf_in(realm))
