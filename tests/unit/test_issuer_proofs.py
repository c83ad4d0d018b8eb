"""What is no proof at a single vendor, and what is not ours to end or give back."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from attrs import evolve

from agents_registry.identifiers import Identifier
from streams.actuators.ways import WayActuator
from streams.model.endings import Alive, EndStep, EndTarget, NoWay, WantedEnd
from streams.outbound.answers import RequestError
from tests.issuers.cases import CASES
from tests.issuers.directories import FakeOkta
from tests.issuers.fake import json
from tests.issuers.keycloak import REALM_ID, FakeKeycloak
from tests.issuers.platforms import FakeLiteLlm

pytestmark = pytest.mark.unit

BATCH = Identifier("keycloak.client", f"{REALM_ID}|batch")


async def acted(actuator: WayActuator, target: EndTarget) -> None:
    """Plan and act."""
    step = await actuator.plan(target)
    assert isinstance(step, EndStep)
    assert (await actuator.act(step)).done


@pytest.mark.parametrize("other", ["client", "account"])
async def test_a_lift_leaves_disabled_what_somebody_else_disabled(other: str) -> None:
    """The suspend noted what it disabled itself."""
    actuator, issuer = CASES["keycloak keycloak.client"].made()
    assert isinstance(issuer, FakeKeycloak)
    both: dict[str, dict[str, Any]] = {
        "client": issuer.clients["c-1"], "account": issuer.users["sa"],
    }  # fmt: skip
    both[other]["enabled"] = False
    suspend = EndTarget(BATCH, wanted=WantedEnd.SUSPENDED)
    await acted(actuator, suspend)
    await acted(actuator, suspend)  # as after a crash
    assert (await actuator.probe(suspend)).found is Alive.DEAD

    lift = evolve(suspend, wanted=WantedEnd.RESTORED)
    assert (await actuator.probe(lift)).found is Alive.DEAD
    await acted(actuator, lift)

    assert (await actuator.probe(lift)).found is Alive.ALIVE
    assert [name for name, one in both.items() if one["enabled"] is False] == [other]


async def test_a_user_of_another_realm_is_not_ended_or_dead_in_this_one() -> None:
    """Its id may be one of this realm, or of none here."""
    actuator, issuer = CASES["keycloak jwt.sub"].made()
    for user in ("u", "nobody"):
        name = Identifier("jwt.sub", f"https://idp.example/realms/other|{user}")
        assert (await actuator.probe(EndTarget(name))).found is Alive.ALIVE
        assert isinstance(await actuator.plan(EndTarget(name)), NoWay)
    assert issuer.acts() == []


@pytest.mark.parametrize(
    ("kind", "resource"), [("aws.user", "role"), ("aws.role", "user")]
)
async def test_a_role_is_no_user_of_its_name(kind: str, resource: str) -> None:
    """The act would be on another one."""
    actuator, issuer = CASES[f"aws {kind}"].made() if kind == "aws.user" else (
        CASES["aws aws.role up to a time"].made()
    )  # fmt: skip
    whole = next(
        case.target.identifier.value
        for case in CASES.values()
        if case.target.identifier.kind == "aws.user"
    )
    account = whole.split(":")[4]
    name = Identifier(kind, f"arn:aws:iam::{account}:{resource}/planner")

    assert isinstance(await actuator.plan(EndTarget(name)), NoWay)
    assert issuer.acts() == []


async def test_an_event_about_another_user_proves_nothing() -> None:
    """A name may widen the filter of the System Log."""
    case = CASES["okta okta.user up to a time"]
    actuator, issuer = case.made()
    assert isinstance(issuer, FakeOkta)
    await acted(actuator, case.target)
    issuer.now += case.later
    assert (await actuator.probe(case.target)).found is Alive.DEAD
    issuer.log[0]["target"] = [{"id": "00u2"}]

    assert (await actuator.probe(case.target)).found is Alive.ALIVE


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("litellm litellm.team", {"detail": "Not Found"}),
        ("openai openai.user", {"error": {"message": "Invalid URL (GET /v1/x)"}}),
    ],
)
async def test_a_path_that_is_not_there_proves_nothing(
    name: str, said: dict[str, Any]
) -> None:
    """The URL in the settings may be a wrong one."""
    case = CASES[name]
    actuator, issuer = case.made()
    issuer.always = json(said, 404)

    with pytest.raises(RequestError):
        await actuator.probe(case.target)


async def test_a_team_that_is_gone_is_dead() -> None:
    """As LiteLLM says it, by an error about teams."""
    case = CASES["litellm litellm.team"]
    actuator, issuer = case.made()
    issuer.always = json(
        {"detail": {"error": "Team not found, passed team id: t"}}, 404
    )

    assert (await actuator.probe(case.target)).found is Alive.DEAD


async def test_an_alert_of_another_organisation_is_left_alone() -> None:
    """The app may be installed there too; nothing is read or ended."""
    actuator, issuer = CASES["github github.secret_alert"].made()
    name = Identifier("github.secret_alert", "elsewhere/app#7")

    assert isinstance(await actuator.plan(EndTarget(name)), NoWay)
    assert issuer.asked == []


HERE: list[tuple[str, Alive]] = [
    ("keycloak.user:u", Alive.DEAD),
    ("jwt.sub:https://idp.example/realms/main|u", Alive.DEAD),
    (f"keycloak.realm:{REALM_ID}", Alive.UNKNOWN),
    ("jwt.sub:https://idp.example/realms/main|gone", Alive.UNKNOWN),
    (f"keycloak.client:{REALM_ID}|batch", Alive.UNKNOWN),
    ("keycloak.user:gone", Alive.UNKNOWN),
    ("agent.id:planner", Alive.UNKNOWN),
    ("", Alive.UNKNOWN),
    ("keycloak.realm:another", Alive.ALIVE),
    ("jwt.sub:https://idp.example/realms/other|u", Alive.ALIVE),
]


@pytest.mark.parametrize(("above", "found"), HERE)
async def test_a_session_that_no_list_has_is_dead_only_if_it_was_of_this_realm(
    above: str, found: Alive
) -> None:
    """Its user tells that, and has the one list that is whole.

    One of another realm is not ended here.
    """
    actuator, issuer = CASES["keycloak session.id"].made()
    requires = (Identifier.parse(above),) if above else ()
    target = EndTarget(Identifier("session.id", "elsewhere"), requires=requires)

    assert (await actuator.probe(target)).found is found
    with nullcontext() if found is not Alive.UNKNOWN else pytest.raises(RequestError):
        planned = await actuator.plan(target)
        assert isinstance(planned, EndStep) is (found is Alive.DEAD)
    assert issuer.acts() == []
    told = found is Alive.DEAD or above.startswith("keycloak.user:")
    seen = Alive.DEAD if told else Alive.UNKNOWN
    assert (await actuator.probe(evolve(target, seen=True))).found is seen


USERS: list[tuple[str, Alive]] = [
    (f"keycloak.realm:{REALM_ID}", Alive.DEAD),
    ("jwt.sub:https://idp.example/realms/main|gone", Alive.DEAD),
    ("agent.id:planner", Alive.UNKNOWN),
    ("", Alive.UNKNOWN),
    ("keycloak.realm:another", Alive.ALIVE),
    ("jwt.sub:https://idp.example/realms/other|gone", Alive.ALIVE),
]


@pytest.mark.parametrize(("beside", "found"), USERS)
async def test_a_user_that_the_realm_does_not_have_is_dead_only_if_it_was_of_it(
    beside: str, found: Alive
) -> None:
    """What it requires tells that, or another name of it; its id does not."""
    actuator, issuer = CASES["keycloak keycloak.user"].made()
    beside_it = (Identifier.parse(beside),) if beside else ()
    gone = EndTarget(Identifier("keycloak.user", "gone"))
    for target in (evolve(gone, requires=beside_it), evolve(gone, names=beside_it)):
        assert (await actuator.probe(target)).found is found
        proven = found is not Alive.UNKNOWN
        with nullcontext() if proven else pytest.raises(RequestError):
            planned = await actuator.plan(target)
            assert isinstance(planned, EndStep) is (found is Alive.DEAD)
    assert issuer.acts() == []
    assert (await actuator.probe(evolve(gone, seen=True))).found is Alive.DEAD
    token = Identifier("jwt.sub", "https://idp.example/realms/main|gone")
    # A token may call its user otherwise than Keycloak does.
    assert (await actuator.probe(EndTarget(token))).found is Alive.UNKNOWN
    known = EndTarget(token, names=(gone.identifier,))
    assert (await actuator.probe(known)).found is Alive.DEAD
    bare = EndTarget(Identifier("jwt.sub", "gone"))
    assert (await actuator.probe(bare)).found is Alive.UNKNOWN


PARTS: list[tuple[str, Alive]] = [
    (f"keycloak.client:{REALM_ID}|batch", Alive.DEAD),
    ("session.id:s", Alive.DEAD),
    ("session.id:elsewhere", Alive.UNKNOWN),
    ("", Alive.UNKNOWN),
    ("keycloak.client:another|batch", Alive.ALIVE),
]


@pytest.mark.parametrize("client", ["batch", "gone"])
@pytest.mark.parametrize(("above", "found"), PARTS)
async def test_a_part_of_a_session_is_dead_only_if_it_was_of_this_realm(
    above: str, found: Alive, client: str
) -> None:
    """Another realm may have a client of the same id."""
    actuator, _ = CASES["keycloak session.id"].made()
    requires = (Identifier.parse(above),) if above else ()
    name = Identifier("keycloak.client_session", f"elsewhere|{client}")

    target = EndTarget(name, requires=requires)

    assert (await actuator.probe(target)).found is found


async def test_an_issuer_that_is_given_tells_two_realms_of_one_name_apart() -> None:
    """Another Keycloak may have a realm of the same name."""
    case = CASES["keycloak jwt.sub"]
    ours = "https://idp.example/realms/main"
    settings = {**case.settings, "issuer": f"{ours}/"}
    actuator, _ = evolve(case, settings=settings).made()
    other = Identifier("jwt.sub", "https://other.example/realms/main|u")

    assert isinstance(await actuator.plan(EndTarget(other)), NoWay)
    assert isinstance(await actuator.plan(case.target), EndStep)


@pytest.mark.parametrize("old", [True, False])
async def test_a_user_that_the_proxy_does_not_know_is_not_dead(old: bool) -> None:
    """It may be one of another proxy; some versions answer 200 all the same."""
    actuator, issuer = CASES["litellm litellm.user"].made()
    assert isinstance(issuer, FakeLiteLlm)
    issuer.old = old
    target = EndTarget(Identifier("litellm.user", "elsewhere"))

    assert (await actuator.probe(target)).found is Alive.UNKNOWN
    assert (await actuator.probe(evolve(target, seen=True))).found is Alive.DEAD
    issuer.keys.clear()
    known = EndTarget(Identifier("litellm.user", "u"))
    assert (await actuator.probe(known)).found is Alive.DEAD


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("openai openai.api_key", "key_2"),
        ("openai openai.service_account", "sa-2"),
        ("openai openai.user", "user-2"),
        ("anthropic anthropic.api_key", "apikey_2"),
        ("anthropic anthropic.user", "user_2"),
        ("okta okta.api_token", "00T2"),
        ("okta okta.app", "0oa2"),
        ("okta okta.user", "00u2"),
        ("okta okta.user_sessions up to a time", "00u2"),
        ("okta okta.user up to a time", "00u2"),
    ],
)
async def test_what_an_organisation_does_not_have_may_be_of_another_one(
    name: str, value: str
) -> None:
    """It is dead only if it was found here before; nothing is planned for it."""
    case = CASES[name]
    actuator, issuer = case.made()
    other = Identifier(case.target.identifier.kind, value)
    target = evolve(case.target, identifier=other)

    probed = await actuator.probe(target)
    assert (probed.found, "another" in probed.reason) == (Alive.UNKNOWN, True)
    with pytest.raises(RequestError, match="another"):
        await actuator.plan(target)
    assert issuer.acts() == []
    assert (await actuator.probe(evolve(target, seen=True))).found is Alive.DEAD


@pytest.mark.parametrize(
    ("name", "value", "above", "found"),
    [
        ("openai openai.api_key", "key_2", "openai.project:p-2", Alive.DEAD),
        ("openai openai.api_key", "key_2", "openai.project:p-9", Alive.UNKNOWN),
        ("openai openai.api_key", "key_2", "openai.user:p-2", Alive.UNKNOWN),
        ("openai openai.service_account", "sa-2", "openai.project:p-2", Alive.DEAD),
        ("okta okta.api_token", "00T2", "okta.user:00u1", Alive.DEAD),
        ("okta okta.api_token", "00T2", "okta.user:00u9", Alive.UNKNOWN),
    ],
)
async def test_what_is_of_something_here_is_dead_where_it_is_gone(
    name: str, value: str, above: str, found: Alive
) -> None:
    """The log told of what it is, and the organisation has that."""
    case = CASES[name]
    actuator, _ = case.made()
    other = Identifier(case.target.identifier.kind, value)
    target = evolve(case.target, identifier=other, requires=(Identifier.parse(above),))

    assert actuator.kinds()[other.kind].placed
    assert (await actuator.probe(target)).found is found
