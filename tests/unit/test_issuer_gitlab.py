"""What GitLab does beside what all vendors do: hidden things, states, instances."""

from __future__ import annotations

from typing import Any

import pytest

from agents_registry.identifiers import Identifier
from streams.actuators.gitlab.settings import GitLabActuator
from streams.actuators.ways import WayActuator
from streams.model.endings import Alive, EndStep, EndTarget, NoWay, WantedEnd
from streams.outbound.answers import RequestError
from tests.issuers.cases import CASES
from tests.issuers.fake import NOW, SECRET, json
from tests.issuers.gitlab import FakeGitLab, deploy_token, token

pytestmark = pytest.mark.unit

HERE = "issuer.example"
PERSONAL = f"gitlab.personal_access_token:{HERE}/42"
PROJECT = f"gitlab.project_access_token:{HERE}/5/44"
DEPLOY = f"gitlab.deploy_token:{HERE}/projects/5/103"
USER = f"gitlab.user:{HERE}/7"


def made() -> tuple[WayActuator, FakeGitLab]:
    """Give an actuator and its issuer."""
    actuator, issuer = CASES["gitlab gitlab.user"].made()
    assert isinstance(issuer, FakeGitLab)
    return actuator, issuer


def named(text: str, **more: Any) -> EndTarget:
    """Give a target by the text of its identifier."""
    return EndTarget(Identifier.parse(text), **more)


@pytest.mark.parametrize("text", [PERSONAL, PROJECT, USER])
async def test_what_is_hidden_is_not_dead(text: str) -> None:
    """A 404 counts where an administrator asked, in Admin Mode if there is one."""
    actuator, issuer = made()
    issuer.tokens.clear()
    issuer.bots.clear()
    issuer.users.clear()
    assert (await actuator.probe(named(text))).found is Alive.DEAD
    issuer.admin = False
    for asked in (actuator.probe, actuator.plan):
        with pytest.raises(RequestError, match="administrators"):
            await asked(named(text))


async def test_a_404_of_a_route_that_is_not_there_is_no_word() -> None:
    """An old version says so in another field."""
    actuator, issuer = made()
    issuer.planned = [json({"error": "404 Not Found"}, 404)]
    with pytest.raises(RequestError, match="404"):
        await actuator.probe(named(PERSONAL))


async def test_a_token_whose_bot_left_its_project_lives() -> None:
    """The whole instance has it still; once it is revoked there, it is dead."""
    actuator, issuer = made()
    issuer.bots.clear()
    assert (await actuator.probe(named(PROJECT))).found is Alive.ALIVE
    issuer.tokens[44]["revoked"] = True
    assert (await actuator.probe(named(PROJECT))).found is Alive.DEAD


async def test_a_deploy_token_on_the_last_page_is_found() -> None:
    """A record that is missing counts only if the list has none of its id."""
    actuator, issuer = made()
    missing = json({"message": "404 Not found"}, 404)
    issuer.planned = [missing]
    assert (await actuator.probe(named(DEPLOY))).found is Alive.UNKNOWN
    issuer.deploys["projects/5"] = [deploy_token(n) for n in range(1, 101)]
    assert (await actuator.probe(named(DEPLOY))).found is Alive.DEAD
    group = named(f"gitlab.deploy_token:{HERE}/groups/6/200")
    assert (await actuator.probe(group)).found is Alive.ALIVE


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"active": False}, Alive.DEAD),  # expired
        ({"revoked": True}, Alive.DEAD),
        ({"active": None}, None),
        ({"revoked": None}, None),
        ({"revoked": "false"}, None),
        ({"id": 43}, None),
    ],
)
async def test_a_record_counts_as_it_is_documented(
    change: dict[str, Any], found: Alive | None
) -> None:
    """Another token's, or one without its state, is no answer."""
    actuator, issuer = made()
    issuer.tokens[42] |= change
    if found is not None:
        assert (await actuator.probe(named(PERSONAL))).found is found
        return
    with pytest.raises(RequestError, match="state"):
        await actuator.probe(named(PERSONAL))


@pytest.mark.parametrize(
    ("state", "suspended", "ended"),
    [
        ("active", Alive.ALIVE, Alive.ALIVE),
        ("deactivated", Alive.ALIVE, Alive.ALIVE),
        ("blocked_pending_approval", Alive.DEAD, Alive.ALIVE),
        ("blocked", Alive.DEAD, Alive.DEAD),
        ("banned", Alive.DEAD, Alive.DEAD),
        ("ldap_blocked", Alive.DEAD, Alive.DEAD),
    ],
)
async def test_states_of_a_user(state: str, suspended: Alive, ended: Alive) -> None:
    """Who signs in and is back was never gone."""
    actuator, issuer = made()
    issuer.users[7] = state
    for wanted, found in (
        (WantedEnd.SUSPENDED, suspended), (WantedEnd.ENDED, ended),
    ):  # fmt: skip
        probed = await actuator.probe(named(USER, wanted=wanted))
        assert probed.found is found


async def test_a_state_that_nobody_documents_is_no_answer() -> None:
    """Neither dead nor alive."""
    actuator, issuer = made()
    issuer.users[7] = "resting"
    with pytest.raises(RequestError, match="state"):
        await actuator.probe(named(USER))


async def test_a_block_of_somebody_else_is_not_taken_back() -> None:
    """Of a directory, or a ban: there is no way."""
    actuator, issuer = made()
    for state in ("ldap_blocked", "banned"):
        issuer.users[7] = state
        found = await actuator.plan(named(USER, wanted=WantedEnd.RESTORED))
        assert isinstance(found, NoWay)
        assert state in found.reason
    assert issuer.acts() == []


async def test_what_a_user_made_is_told() -> None:
    """The active tokens of the user alone, over all pages."""
    actuator, issuer = made()
    issuer.tokens |= {n: token(n, 7) for n in range(1000, 1150)}
    issuer.tokens[41]["active"] = False
    found = [str(each) async for each in actuator.children(named(USER))]
    assert len(found) == len(set(found)) == 151
    assert PERSONAL in found
    assert f"gitlab.personal_access_token:{HERE}/43" not in found
    other = named("gitlab.user:elsewhere.example/7")
    assert [each async for each in actuator.children(other)] == []


async def test_tokens_without_end_are_an_error() -> None:
    """And no list that looks whole."""
    actuator, issuer = made()
    issuer.always = json([token(1, 7)] * 100)
    with pytest.raises(RequestError, match="too many pages"):
        [each async for each in actuator.children(named(USER))]


@pytest.mark.parametrize(
    "text",
    [
        "gitlab.user:elsewhere.example/7",
        "gitlab.user:7",
        f"gitlab.user:{HERE}/07",
        f"gitlab.user:{HERE}/7/block",
        f"gitlab.personal_access_token:{HERE}/self",
        f"gitlab.project_access_token:{HERE}/44",
        f"gitlab.project_access_token:{HERE}/5/self",
        f"gitlab.deploy_token:{HERE}/users/5/103",
    ],
)
async def test_a_name_of_another_form_or_instance_is_left_alone(text: str) -> None:
    """It would lead to somebody else, or to the token that acts itself."""
    actuator, issuer = made()
    assert isinstance(await actuator.plan(named(text)), NoWay)
    assert (await actuator.probe(named(text))).found is Alive.UNKNOWN
    assert issuer.asked == []


async def test_an_instance_may_have_a_name_of_its_own() -> None:
    """Such as one that is reached by another address than people use."""
    settings = GitLabActuator.model_validate({
        "vendor": "gitlab", "authority": "a", "token": {"value": SECRET},
        "instance": "code",
    })  # fmt: skip
    actuator = settings.actuator("it", lambda: NOW)
    issuer = FakeGitLab()
    assert isinstance(actuator, WayActuator)
    actuator.api.client = issuer  # type: ignore[assignment]
    actuator.api.base = "https://issuer.example"
    step = await actuator.plan(named("gitlab.user:code/7"))
    assert isinstance(step, EndStep)
    assert step.act == "block the user"
    await actuator.close()
