"""A revocation that reaches too much: paged, or held until a second person approves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.life import Reason
from enforcement import Guard
from tests.integration.serving import DEADLINE, deleted_key, running, until
from tests.integration.test_operator_acts import lives, persons

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

LIMIT = 3
KEY = "aws.access_key:AKIAONE"
DELETED = deleted_key("AKIAONE", "mallory", "2026-07-10T12:09:47Z", "e-2")


def limited(over: str) -> dict[str, Any]:
    """Give settings in which AWS and the operators have a limit."""
    limit = {"blast_limit": LIMIT, "over_limit": over}
    return persons(
        authorities={
            "aws": {"grants": [{"kind": "aws.*"}], "issuer_log": True, **limit},
            "stranger": {"grants": []},
            "operators": {"grants": [], **limit},
        },
        sources={"cloudtrail": {"format": "cloudtrail"}},
    )


async def grow(server: Server, parent: str, names: range) -> None:
    """Hang agents under a parent."""
    entries = [{"identifier": f"agent.id:{n}", "parents": [parent]} for n in names]
    body = {"credentials": [{"identifier": parent}, *entries]}
    status, answer = await server.post("/v1/adopt", "restorer", body)
    assert status == 201, answer


async def paged(server: Server) -> list[dict[str, Any]]:
    """Give the findings on the limit, all worked off."""
    await until(lambda: server.served.stages.idle)
    return [each for each in await server.findings() if each["kind"] == "blast_limit"]


async def test_up_to_the_limit_nobody_is_paged(tmp_path: Path) -> None:
    """One more is; both are enforced."""
    async with running(tmp_path, **limited("page")) as run:
        order = {"identifier": "agent.id:parent", "reason": "leaked"}
        await grow(run, "agent.id:parent", range(LIMIT))
        assert (await run.post("/v1/revocations", "revoker", order))[0] == 201
        assert not await paged(run)
        order["identifier"] = "agent.id:other"
        await grow(run, "agent.id:other", range(10, 11 + LIMIT))
        assert (await run.post("/v1/revocations", "revoker", order))[0] == 201
        (finding,) = await paged(run)
        assert finding["presented"] == "agent.id:other"
        assert "enforced" in finding["message"]
        assert not await lives(run, "agent.id:10")


async def test_a_held_cause_is_enforced_only_once_it_is_approved(
    tmp_path: Path,
) -> None:
    """Over a restart, with all that came to hang there meanwhile; once."""
    more = limited("hold")
    async with running(tmp_path, **more) as run:
        await grow(run, KEY, range(1 + LIMIT))
        for _ in range(2):  # a source repeats
            status, answer = await run.post(
                "/v1/events/cloudtrail", "aws", {"Records": [DELETED]}
            )
            assert (status, answer["held"]) == (202, 1)
            assert "not accepted" in answer["detail"]
        assert await lives(run, "agent.id:0")
        (finding,) = await paged(run)
        assert "not enforced" in finding["message"]

    async with running(tmp_path, **more) as run:
        _, answer = await run.get("/v1/approvals")
        (held,) = answer["approvals"]
        assert (held["kind"], held["expires_at"]) == ("held", None)
        await grow(run, KEY, range(10, 20))  # it reaches more by now
        assert await lives(run, "agent.id:19")

        status, answer = await run.post(
            f"/v1/approvals/{held['id']}/approve", "bob", {}
        )

        assert status == 201, answer
        for name in (KEY, "agent.id:0", "agent.id:19"):
            assert not await lives(run, name)
        # A copy that comes later changes nothing, and is not held again.
        _, answer = await run.post(
            "/v1/events/cloudtrail", "aws", {"Records": [DELETED]}
        )
        assert "held" not in answer
        _, answer = await run.get("/v1/approvals")
        assert answer == {"approvals": []}


async def test_a_guard_allows_what_is_held_and_not_what_is_approved(
    tmp_path: Path,
) -> None:
    """Within the lease after the approval was answered."""
    async with (
        running(tmp_path, **limited("hold")) as run,
        Guard(run.url, "guard", name="g") as guard,
    ):
        await grow(run, "agent.id:parent", range(1 + LIMIT))
        order = {"identifier": "agent.id:parent", "reason": "leaked"}
        _, answer = await run.post("/v1/revocations", "alice", order)
        _, adopted = await run.post(
            "/v1/adopt", "restorer", {"credentials": [{"identifier": "agent.id:z"}]}
        )
        assert await guard.wait_for(adopted["token"], DEADLINE)
        await until(lambda: guard.check("agent.id:0").allowed)

        path = f"/v1/approvals/{answer['pending'][0]['id']}/approve"
        _, approved = await run.post(path, "bob", {})

        assert await guard.wait_for(approved["token"], DEADLINE)
        verdict = guard.check("agent.id:0", at_least=approved["token"])
        assert verdict.reason is Reason.REVOKED


async def test_an_operators_own_revocation_is_not_approved_by_that_operator(
    tmp_path: Path,
) -> None:
    """Whichever of the two credentials is used; rejected, it never comes."""
    async with running(tmp_path, **limited("hold")) as run:
        await grow(run, "agent.id:parent", range(1 + LIMIT))
        order = {"identifier": "agent.id:parent", "reason": "leaked"}
        status, answer = await run.post("/v1/revocations", "alice", order)
        assert (status, answer["accepted"]) == (202, False)
        path = f"/v1/approvals/{answer['pending'][0]['id']}"
        for himself in ("alice", "alice-laptop"):
            assert (await run.post(f"{path}/approve", himself, {}))[0] == 403
        reason = {"reason": "too wide"}
        assert (await run.post(f"{path}/reject", "bob", reason))[0] == 200
        assert await lives(run, "agent.id:parent")
        assert (await run.get("/v1/approvals"))[1] == {"approvals": []}


async def test_a_declaration_that_ends_too_much_is_paged(tmp_path: Path) -> None:
    """What comes to hang under something dead is ended as by a revocation."""
    async with running(tmp_path, **limited("hold")) as run:
        await grow(run, "agent.id:parent", range(1 + LIMIT))
        order = {"identifier": "agent.id:gone", "reason": "leaked"}
        assert (await run.post("/v1/revocations", "revoker", order))[0] == 201
        entry = {"identifier": "agent.id:parent", "parents": ["agent.id:gone"]}
        await run.post("/v1/adopt", "restorer", {"credentials": [entry]})

        (finding,) = await paged(run)
        assert finding["presented"] == "agent.id:parent"
        assert "enforced" in finding["message"]
        assert not await lives(run, "agent.id:0")


@pytest.mark.parametrize(
    ("path", "said"),
    [("labels", {"labels": ["team=x"]}), ("owners", {"owners": ["person.id:bea"]})],
)
async def test_who_puts_something_under_what_has_ended_is_held_to_the_limit(
    tmp_path: Path, path: str, said: dict[str, Any]
) -> None:
    """Labels and owners end as a revocation does, where a cause stands on them."""
    async with running(tmp_path, **limited("hold")) as run:
        await grow(run, "agent.id:parent", range(1 + LIMIT))
        for name in ("label.team:x", "person.id:bea"):
            order = {"identifier": name, "reason": "contained"}
            assert (await run.post("/v1/suspensions", "alice", order))[0] == 201
        assert not await paged(run)
        order = {"identifier": "agent.id:parent", "reason": "moves", **said}

        status, answer = await run.post(f"/v1/{path}", "alice", order)

        assert status == 202, answer
        assert await lives(run, "agent.id:0")
        (finding,) = await paged(run)
        assert finding["presented"] == "agent.id:parent"
        (held,) = (await run.get("/v1/approvals"))[1]["approvals"]
        approve = f"/v1/approvals/{held['id']}/approve"
        status, answer = await run.post(approve, "bob", {})
        assert status == 201, answer
        assert not await lives(run, "agent.id:0")
