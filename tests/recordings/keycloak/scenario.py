"""What is done at Keycloak, and what must follow at a guard: one list for both runs.

The live test plays it with a real server and a real guard; the recorder plays it to
keep what Keycloak says; the default suite replays that recording. A step names the
tokens that a guard denies from then on (`dead`) and allows from then on (`alive`), and
those of the dead that Keycloak goes on to honour (`honoured`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from tests.recordings.keycloak.realm import (
    AUDIENCES,
    Realm,
    make_client,
    make_user,
    next_second,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

USERS: Final = (
    "alice",
    "bob",
    "carol",
    "dave",
    "erin",
    "frank",
    "grace",
    "heidi",
    "ivan",
)
LOOKBACK: Final = 5  # seconds; the setting `exchange_lookback` of both runs


@frozen(kw_only=True)
class Step:
    """One thing that is done.

    Attributes:
        name: what.
        act: does it.
        alive: labels of tokens that a guard allows from now on.
        dead: those that it denies from now on.
        honoured: those of the dead that Keycloak still introspects as active.
    """

    name: str
    act: Callable[[Realm], Awaitable[Any]]
    alive: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    honoured: tuple[str, ...] = ()


@frozen
class Expected:
    """What is expected of one token.

    Attributes:
        allowed: by a guard.
        active: by introspection at Keycloak.
    """

    allowed: bool
    active: bool


async def play(
    realm: Realm, see: Callable[[Step, Mapping[str, Expected]], Awaitable[None]]
) -> None:
    """Do all steps; after each one have it seen, with what is expected then."""
    for step, expected in expectations():
        await step.act(realm)
        await see(step, expected)


def expectations() -> list[tuple[Step, dict[str, Expected]]]:
    """Give each step with what is expected after it of every token that exists."""
    expected: dict[str, Expected] = {}
    steps = []
    for step in STEPS:
        expected |= {label: Expected(True, True) for label in step.alive}
        expected |= {
            label: Expected(False, label in step.honoured) for label in step.dead
        }
        steps.append((step, dict(expected)))
    return steps


async def set_up(realm: Realm) -> None:
    """Make the clients and the users."""
    for client in AUDIENCES:
        await make_client(realm, client)
    for user in USERS:
        await make_user(realm, user)


async def _tokens(realm: Realm) -> None:
    for label, user in (
        ("alice", "alice"), ("bob 1", "bob"), ("bob 2", "bob"), ("carol 1", "carol"),
        ("carol 2", "carol"), ("dave 1", "dave"), ("erin 1", "erin"),
        ("erin 2", "erin"), ("frank", "frank"), ("grace", "grace"), ("U0", "heidi"),
        ("ivan", "ivan"),
    ):  # fmt: skip
        await realm.login(label, user)
    await realm.refresh("dave 2", "dave 1")
    await realm.service("batch", "batch")
    await realm.service("nightly", "nightly")
    await _chain(realm, "T")
    await realm.exchange("U1", "svc-b", "U0")
    await realm.exchange("U2", "svc-c", "U1")
    await realm.exchange("ivan at svc-b", "svc-b", "ivan", refresh=True)


async def _chain(realm: Realm, name: str, generation: str = "") -> None:
    """Make T0 -> T1 -> T2: service accounts that hand on what the first one got."""
    first, middle, last = (f"{name}{number}{generation}" for number in range(3))
    await realm.service(first, "svc-a")
    await realm.exchange(middle, "svc-b", first)
    await realm.exchange(last, "svc-c", middle)


async def _enable(realm: Realm, user: str, *, enabled: bool) -> None:
    await realm.admin("PUT", f"/users/{realm.users[user]}", {"enabled": enabled})


async def _enable_client(realm: Realm, client: str, *, enabled: bool) -> None:
    path = f"/clients/{realm.clients[client]}"
    await realm.admin("PUT", path, {"clientId": client, "enabled": enabled})


async def _disable_clients(realm: Realm) -> None:
    """Disable one as the console does, and one with nothing said but that."""
    await _enable_client(realm, "batch", enabled=False)
    await realm.admin("PUT", f"/clients/{realm.clients['nightly']}", {"enabled": False})


async def _delete_session(realm: Realm, label: str) -> None:
    await realm.admin("DELETE", f"/sessions/{realm.claims(label)['sid']}")


async def _log_out(realm: Realm, user: str) -> None:
    await realm.admin("POST", f"/users/{realm.users[user]}/logout")


async def _log_out_and_in(realm: Realm) -> None:
    await _log_out(realm, "erin")
    await next_second()
    await realm.login("erin 3", "erin")


async def _rotate(realm: Realm) -> None:
    """Rotate the signing key between two SETs; the first is held until after it."""
    stream = {"stream_id": await realm.stream_id()}
    await realm.signals("POST", "/streams/status", stream | {"status": "paused"})
    await _log_out(realm, "frank")
    found = await realm.admin("GET", "/")
    await realm.admin("POST", "/components", {
        "name": "newer", "providerId": "rsa-generated", "parentId": found["id"],
        "providerType": "org.keycloak.keys.KeyProvider",
        "config": {"priority": ["200"], "enabled": ["true"], "active": ["true"]},
    })  # fmt: skip
    await realm.signals("POST", "/streams/status", stream | {"status": "enabled"})
    await _log_out(realm, "grace")
    await next_second()
    await realm.login("frank 2", "frank")


async def _re_enable(realm: Realm) -> None:
    await _enable(realm, "alice", enabled=True)
    await _enable_client(realm, "batch", enabled=True)


async def _revoke_root(realm: Realm) -> None:
    """Revoke T0, and go on exchanging T1, as Keycloak lets one."""
    await realm.revoke("svc-a", realm.tokens["T0"])
    await next_second()
    await realm.exchange("T2 again", "svc-c", "T1")


async def _new_chain(realm: Realm) -> None:
    await asyncio.sleep(LOOKBACK)
    await next_second()
    await _chain(realm, "T", "'")


async def _disable_root(realm: Realm) -> None:
    """Disable the client of T0', and go on exchanging T1'."""
    await _enable_client(realm, "svc-a", enabled=False)
    await next_second()
    await realm.exchange("T2' again", "svc-c", "T1'")


async def _revoke_users_root(realm: Realm) -> None:
    await realm.revoke("app", realm.tokens["U0"])


STEPS: Final = (
    Step(name="set-up", act=set_up),
    Step(
        name="tokens are given", act=_tokens,
        alive=("alice", "bob 1", "bob 2", "carol 1", "carol 2", "dave 1", "dave 2",
               "batch", "nightly", "erin 1", "erin 2", "frank", "grace",
               "T0", "T1", "T2", "U0", "U1", "U2", "ivan", "ivan at svc-b"),
    ),
    Step(
        name="user disabled", dead=("alice",),
        act=lambda realm: _enable(realm, "alice", enabled=False),
    ),
    Step(
        name="one session deleted by an admin", dead=("bob 1",),
        act=lambda realm: _delete_session(realm, "bob 1"),
    ),
    Step(
        name="refresh token revoked (RFC 7009)", dead=("carol 1",),
        act=lambda realm: realm.revoke("app", realm.refresh_tokens["carol 1"]),
    ),
    Step(
        name="refresh token of another client of a session revoked",
        act=lambda realm: realm.revoke("svc-b",
                                       realm.refresh_tokens["ivan at svc-b"]),
        dead=("ivan at svc-b",),
    ),
    Step(
        name="access token revoked (RFC 7009)", dead=("dave 1",),
        act=lambda realm: realm.revoke("app", realm.tokens["dave 1"]),
    ),
    Step(
        name="clients disabled", act=_disable_clients, dead=("batch", "nightly"),
    ),
    Step(
        name="user logged out everywhere (session.id ALL)", act=_log_out_and_in,
        dead=("erin 1", "erin 2"), alive=("erin 3",),
    ),
    Step(
        name="key rotated between two SETs", act=_rotate,
        dead=("frank", "grace"), alive=("frank 2",),
    ),
    Step(
        name="user and client enabled again", act=_re_enable,
        alive=("alice", "batch"),
    ),
    Step(
        name="root of a chain of service accounts revoked", act=_revoke_root,
        dead=("T0", "T1", "T2", "T2 again"), honoured=("T1", "T2", "T2 again"),
    ),
    Step(
        name="a new chain of the same service accounts", act=_new_chain,
        alive=("T0'", "T1'", "T2'"),
    ),
    Step(
        name="client of the chain's root disabled", act=_disable_root,
        dead=("T0'", "T1'", "T2'", "T2' again"),
        honoured=("T1'", "T2'", "T2' again"),
    ),
    Step(
        name="root of a user's chain revoked", act=_revoke_users_root,
        dead=("U0", "U1", "U2"), honoured=("U1", "U2"),
    ),
)  # fmt: skip
