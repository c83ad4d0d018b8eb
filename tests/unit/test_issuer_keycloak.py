"""What is no proof at Keycloak: pages that move, lists that lack, a 404 of others."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from agents_registry.identifiers import Identifier
from streams.actuators.ways import WayActuator
from streams.model.endings import Alive, EndStep, EndTarget, NoWay, WantedEnd
from streams.model.times import SECOND
from streams.outbound.answers import RequestError
from tests.issuers.cases import CASES, SINCE
from tests.issuers.fake import NOW, json
from tests.issuers.keycloak import REALM_ID, FakeKeycloak

pytestmark = pytest.mark.unit

HERE = Identifier("keycloak.realm", REALM_ID)
USER = Identifier("keycloak.user", "u")
BATCH = Identifier("keycloak.client", f"{REALM_ID}|batch")
OTHERS = Identifier("jwt.sub", "https://idp.example/realms/main|pairwise")
SUB = Identifier("jwt.sub", "https://idp.example/realms/main|u")


def made() -> tuple[WayActuator, FakeKeycloak]:
    """Give a realm and its actuator."""
    actuator, issuer = CASES["keycloak session.id"].made()
    assert isinstance(issuer, FakeKeycloak)
    return actuator, issuer


def named(text: str, *requires: Identifier, **more: Any) -> EndTarget:
    """Give a target by the text of its identifier."""
    return EndTarget(Identifier.parse(text), requires=requires, **more)


async def acted(actuator: WayActuator, target: EndTarget) -> None:
    """Plan and act."""
    step = await actuator.plan(target)
    assert isinstance(step, EndStep)
    assert (await actuator.act(step)).done


# --------------------------------------------------------------- whose word a 404 is

NO_WORDS: list[dict[str, Any]] = [
    {"error": "Not Found"},
    {"error": "Not Found", "status": 404, "path": "/x"},
    {"error": "Realm not found."},
    {"error": "HTTP 404 Not Found"},
    {"errorMessage": "no route"},
    {"error": "Could not find client"},  # said of a user
]


@pytest.mark.parametrize("said", NO_WORDS)
@pytest.mark.parametrize(
    "target", [EndTarget(SUB, names=(USER,)), EndTarget(USER, seen=True)]
)
async def test_a_404_about_anything_else_proves_nothing(
    target: EndTarget, said: dict[str, Any]
) -> None:
    """It is a gateway's, or it says that the realm's name is a wrong one."""
    actuator, issuer = made()
    issuer.planned = [json(said, 404)]

    with pytest.raises(RequestError, match="status 404"):
        await actuator.probe(target)


async def test_a_404_about_a_user_says_nothing_about_a_client() -> None:
    """Each has words of its own."""
    actuator, issuer = made()
    target = named(f"keycloak.client_uuid:{REALM_ID}|c-1")
    assert (await actuator.probe(target)).found is Alive.ALIVE
    issuer.planned = [json({"error": "User not found"}, 404)]
    with pytest.raises(RequestError, match="status 404"):
        await actuator.probe(target)
    issuer.clients.clear()
    assert (await actuator.probe(target)).found is Alive.DEAD


@pytest.mark.parametrize("word", ["error", "error_description", "errorMessage"])
async def test_what_is_gone_counts_once_the_realm_is_read_anew(word: str) -> None:
    """In whichever member Keycloak says it; its id is not the one of before."""
    actuator, issuer = made()
    await actuator.probe(named(f"keycloak.client:{REALM_ID}|batch"))
    gone = json({word: "User not found"}, 404)
    for target in (EndTarget(SUB, names=(USER,)), EndTarget(USER, seen=True)):
        issuer.planned = [gone]
        assert (await actuator.probe(target)).found is Alive.DEAD
        issuer.planned = [gone, json({"error": "Realm not found."}, 404)]
        with pytest.raises(RequestError, match="status 404"):
            await actuator.probe(target)
        issuer.planned = [gone, json({"realm": "main"})]
        with pytest.raises(RequestError, match="no id"):
            await actuator.probe(target)


async def test_a_realm_that_was_made_anew_proves_nothing() -> None:
    """It has the name of the one that the user was of, and another id."""
    actuator, issuer = made()
    await actuator.probe(named(f"keycloak.client:{REALM_ID}|batch"))
    gone, other = json({"error": "User not found"}, 404), json({"id": "another"})
    issuer.planned = [gone, other]
    with pytest.raises(RequestError, match="another_realm"):
        await actuator.probe(EndTarget(USER, seen=True))


# -------------------------------------------------------- who is disabled comes back


@pytest.mark.parametrize("target", [EndTarget(USER), EndTarget(SUB)])
async def test_a_disabled_user_is_not_logged_out(target: EndTarget) -> None:
    """What is to end up to a time would work again once somebody enables the user."""
    actuator, issuer = made()
    issuer.users["u"]["enabled"] = False
    dated = evolve(target, not_before=SINCE)
    assert (await actuator.probe(dated)).found is Alive.ALIVE
    issuer.sessions.clear()  # tokens without a session are left
    assert (await actuator.probe(dated)).found is Alive.ALIVE
    await acted(actuator, dated)
    assert (await actuator.probe(dated)).found is Alive.DEAD
    issuer.users["u"]["enabled"] = True
    assert (await actuator.probe(dated)).found is Alive.DEAD


@pytest.mark.parametrize("target", [EndTarget(USER), EndTarget(SUB)])
async def test_a_user_that_ends_for_good_is_logged_out_too(target: EndTarget) -> None:
    """Whoever disabled it before; a suspend leaves its sessions as they are."""
    actuator, issuer = made()
    lent = evolve(target, wanted=WantedEnd.SUSPENDED)
    await acted(actuator, lent)
    assert (await actuator.probe(lent)).found is Alive.DEAD
    assert (await actuator.probe(target)).found is Alive.ALIVE
    await acted(actuator, target)
    assert issuer.sessions == []
    assert (await actuator.probe(target)).found is Alive.DEAD


@pytest.mark.parametrize("off", [("client",), ("account",), ("client", "account")])
async def test_a_disabled_client_has_no_not_before(off: tuple[str, ...]) -> None:
    """Nor has its service account."""
    actuator, issuer = made()
    both = {"client": issuer.clients["c-1"], "account": issuer.users["sa"]}
    for name in off:
        both[name]["enabled"] = False
    dated = named(f"keycloak.client:{REALM_ID}|batch", not_before=SINCE)
    assert (await actuator.probe(dated)).found is Alive.ALIVE
    issuer.clients["c-1"]["notBefore"] = NOW // SECOND
    assert (await actuator.probe(dated)).found is Alive.ALIVE
    await acted(actuator, dated)
    assert (await actuator.probe(dated)).found is Alive.DEAD


async def test_a_client_that_is_suspended_ends_nothing_for_good() -> None:
    """A lift gives it back, and what was exchanged from its tokens works again."""
    actuator, _ = made()
    client = named(f"keycloak.client:{REALM_ID}|batch", wanted=WantedEnd.SUSPENDED)
    own = named(f"keycloak.exchange:{REALM_ID}|batch|sa", above=(client,))
    lent = evolve(own, wanted=WantedEnd.SUSPENDED)
    further = named(f"keycloak.exchange:{REALM_ID}|next|sa", above=(lent,))
    await acted(actuator, client)

    for target in (own, further):
        assert (await actuator.probe(target)).found is not Alive.DEAD
        assert isinstance(await actuator.plan(target), NoWay)
    for target in (lent, evolve(further, wanted=WantedEnd.SUSPENDED)):
        assert (await actuator.probe(target)).found is Alive.DEAD
    revoked = evolve(client, wanted=WantedEnd.ENDED)
    for target in (own, evolve(further, above=(evolve(own, above=(revoked,)),))):
        both = evolve(target, above=(*target.above, revoked))
        assert (await actuator.probe(both)).found is Alive.DEAD


# --------------------------------------------------------- what lists of sessions lack

MANY = 250


def refreshed(issuer: FakeKeycloak, session: str) -> None:
    """Move it to the end: Keycloak sorts by the last refresh, and then pages."""
    issuer.sessions.sort(key=lambda one: one["id"] == session)


def crowded(issuer: FakeKeycloak) -> None:
    """Give the user more sessions than a page has."""
    issuer.offline.clear()
    issuer.sessions = [
        {"id": f"s{n}", "userId": "u", "start": 1000, "clients": {"c-1": "batch"}}
        for n in range(MANY)
    ]


def once(issuer: FakeKeycloak) -> None:
    """Refresh the first session after the first page."""
    issuer.meanwhile = lambda: None
    refreshed(issuer, "s0")


BY_USER = named("session.id:s100", USER)
BY_SUB = named("session.id:s100", SUB)
PART = named("keycloak.client_session:s100|batch", BATCH)


@pytest.mark.parametrize("target", [BY_USER, BY_SUB, PART])
async def test_a_session_that_moves_between_two_pages_lives(target: EndTarget) -> None:
    """It is on neither of them."""
    actuator, issuer = made()
    crowded(issuer)
    issuer.meanwhile = lambda: once(issuer)
    assert (await actuator.probe(target)).found is Alive.ALIVE


async def test_a_list_that_moves_all_the_time_proves_nothing() -> None:
    """The bound is a few passes; once it rests, what is not in it is gone."""
    actuator, issuer = made()
    crowded(issuer)
    issuer.meanwhile = lambda: refreshed(issuer, issuer.sessions[0]["id"])
    target = named("keycloak.client_session:gone|batch", BATCH)
    with pytest.raises(RequestError, match="moving"):
        await actuator.probe(target)
    assert len(issuer.asked) < 40
    issuer.meanwhile = lambda: None
    assert (await actuator.probe(target)).found is Alive.DEAD


async def test_two_whole_passes_must_agree() -> None:
    """One alone may have missed what moved."""
    actuator, issuer = made()
    crowded(issuer)
    target = named("keycloak.client_session:gone|batch", BATCH)
    await actuator.probe(target)
    pages = [one for one in issuer.asked if one.path.endswith("/user-sessions")]
    assert len(pages) == 2 * 3


async def test_a_session_without_a_client_lives() -> None:
    """A consent that is revoked takes the client's part of it away, and no more."""
    actuator, issuer = made()
    issuer.offline.clear()
    await acted(actuator, named(f"keycloak.grant:{REALM_ID}|batch|u"))
    assert issuer.sessions[0]["clients"] == {}
    target = named("session.id:s", USER)
    assert (await actuator.probe(target)).found is Alive.ALIVE
    await acted(actuator, target)
    assert issuer.sessions == []
    assert (await actuator.probe(target)).found is Alive.DEAD


@pytest.mark.parametrize(
    "requires", [(), (HERE,), (BATCH,), (Identifier("jwt.sub", "x"),), (OTHERS,)]
)
@pytest.mark.parametrize("seen", [True, False])
async def test_a_session_of_nobody_known_is_not_dead(
    requires: tuple[Identifier, ...], *, seen: bool
) -> None:
    """Lists of clients lack what has no client's part, and no other list is there."""
    actuator, issuer = made()
    issuer.offline.clear()
    target = named("session.id:s", *requires, seen=seen)
    assert (await actuator.probe(target)).found is Alive.ALIVE
    issuer.sessions[0]["clients"] = {}
    other, _ = made()
    other.api.client = issuer  # type: ignore[assignment]
    assert (await other.probe(target)).found is Alive.UNKNOWN


async def test_the_user_whom_a_list_named_is_remembered() -> None:
    """So the end of a session is proven though nobody told whose it is."""
    actuator, issuer = made()
    target = named("session.id:s", HERE)
    await acted(actuator, target)
    issuer.sessions.append({"id": "s", "userId": "u", "start": 1000, "clients": {}})
    assert (await actuator.probe(target)).found is Alive.ALIVE
    issuer.sessions.clear()
    assert (await actuator.probe(target)).found is Alive.DEAD
    del issuer.users["u"]
    assert (await actuator.probe(target)).found is Alive.DEAD


async def test_a_session_is_looked_for_where_nobody_told_that_it_is() -> None:
    """Whoever told of its user may be wrong."""
    actuator, issuer = made()
    issuer.offline.clear()
    wrong = named("session.id:s", Identifier("keycloak.user", "sa"))
    assert (await actuator.probe(wrong)).found is Alive.ALIVE
    issuer.sessions.clear()
    assert (await actuator.probe(wrong)).found is Alive.DEAD


async def test_a_session_ends_with_its_user() -> None:
    """If both were of this realm."""
    actuator, _ = made()
    gone = Identifier("keycloak.user", "gone")
    for target, found in (
        (named("session.id:x", gone, HERE), Alive.DEAD),
        (named("session.id:x", gone, seen=True), Alive.DEAD),
        (named("session.id:x", gone), Alive.UNKNOWN),
    ):
        assert (await actuator.probe(target)).found is found
