"""What is no proof at GitHub: an absence, the end of a page, a limit."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, evolve, field

from agents_registry.identifiers import Identifier
from streams.actuators.github.app import AppHeader, InstallationHeader
from streams.actuators.ways import WayActuator
from streams.model.endings import Alive, EndStep, EndTarget, NoWay, WantedEnd
from streams.model.times import SECOND
from streams.outbound.answers import HttpAnswer, RequestError
from streams.outbound.waits import waiting
from streams.stages.ending.items import MOST_REASON
from tests.issuers.cases import CASES
from tests.issuers.fake import BASE, NOW, json
from tests.issuers.github import FakeGitHub, private_key

if TYPE_CHECKING:
    from tests.issuers.fake import Asked

pytestmark = pytest.mark.unit

TOKENS = "/orgs/acme/personal-access-tokens"


def made(kind: str) -> tuple[WayActuator, FakeGitHub]:
    """Give the actuator and the issuer of a kind."""
    actuator, issuer = CASES[f"github github.{kind}"].made()
    assert isinstance(issuer, FakeGitHub)
    return actuator, issuer


def named(text: str, **more: Any) -> EndTarget:
    """Give a target by the text of its identifier."""
    return EndTarget(Identifier.parse(text), **more)


# ---------------------------------------------------------------------------- Pages


@define
class Pages(FakeGitHub):
    """Its first page of tokens is short, and links to a second one.

    Attributes:
        link: in the header of the first page.
    """

    link: str = field(default=f'<{BASE}{TOKENS}?per_page=100&page=2>; rel="next"')

    def answer(self, asked: Asked) -> HttpAnswer:
        """Answer as GitHub does."""
        if asked.query["page"] == "2":
            return json([{"id": 2, "token_id": 98}])
        return json([{"id": 1, "token_id": 1}] * 99, link=self.link)


def paged(**more: Any) -> WayActuator:
    """Give an actuator whose issuer has two pages."""
    actuator, _ = made("token")
    for api in (actuator.api, *actuator.others):
        api.client = Pages(**more)  # type: ignore[assignment]
    return actuator


async def test_a_short_page_that_links_to_a_next_one_is_not_the_last() -> None:
    """GitHub fills no page for sure."""
    probed = await paged().probe(named("github.token:98", seen=True))
    assert probed.found is Alive.ALIVE


@pytest.mark.parametrize(
    "link",
    [
        f'<https://elsewhere.example{TOKENS}?page=2>; rel="next"',
        f'{BASE}{TOKENS}?page=2; rel="next"',
        f'<{BASE}{TOKENS}?per_page=100&page=1>; rel="prev next"',
        f'<{BASE}{TOKENS}?per_page=100&page=1>; rel="next"',
    ],
)
async def test_a_next_page_that_cannot_be_read_proves_nothing(link: str) -> None:
    """It leads elsewhere or in a circle, or is no link."""
    with pytest.raises(RequestError, match="next page"):
        await paged(link=link).probe(named("github.token:98", seen=True))


# ------------------------------------------------------------------------- Absences


@pytest.mark.parametrize("identifier", ["github.token:62", "github.deploy_key:77"])
async def test_what_was_never_seen_here_is_not_dead(identifier: str) -> None:
    """A classic token is in no list, and a key may be one of another organisation."""
    target = named(identifier)
    actuator, issuer = made(target.identifier.kind.removeprefix("github."))

    probed = await actuator.probe(target)

    assert probed.found is Alive.UNKNOWN
    assert "confirm" in probed.reason
    assert len(probed.reason) <= MOST_REASON
    with pytest.raises(RequestError, match="confirm"):
        await actuator.plan(target)
    assert (await actuator.probe(evolve(target, seen=True))).found is Alive.DEAD
    assert issuer.acts() == []


@pytest.mark.parametrize("identifier", ["github.token:99", "github.deploy_key:12"])
async def test_what_was_seen_here_and_is_gone_is_dead(identifier: str) -> None:
    """Also where somebody else ended it."""
    target = named(identifier)
    actuator, issuer = made(target.identifier.kind.removeprefix("github."))
    assert (await actuator.probe(target)).found is Alive.ALIVE
    issuer.grants.clear()
    issuer.keys.clear()
    assert (await actuator.probe(target)).found is Alive.DEAD


async def test_a_token_that_is_listed_as_expired_is_dead() -> None:
    """The list says so, whether it was seen before or not."""
    actuator, issuer = made("token")
    issuer.grants[1]["token_expired"] = True
    assert (await actuator.probe(named("github.token:99"))).found is Alive.DEAD


# -------------------------------------------------------------------- Installations


INSTALLATIONS: list[tuple[str, Alive, bool]] = [
    ("", Alive.UNKNOWN, False),
    ("github.app:1", Alive.DEAD, False),
    ("github.app:2", Alive.ALIVE, True),
]


@pytest.mark.parametrize(("app", "found", "no_way"), INSTALLATIONS)
async def test_an_installation_that_no_list_has_is_dead_only_if_it_is_of_this_app(
    app: str, found: Alive, no_way: bool
) -> None:
    """The list has those of this app alone, and the audit log names all."""
    actuator, issuer = made("installation")
    above = (Identifier.parse(app),) if app else ()
    target = named("github.installation:999", requires=above)
    assert actuator.kinds()["github.installation"].placed

    assert (await actuator.probe(target)).found is found
    with nullcontext() if app else pytest.raises(RequestError, match="of another app"):
        assert isinstance(await actuator.plan(target), NoWay) is no_way
    assert (await actuator.probe(evolve(target, seen=True))).found is Alive.DEAD
    assert issuer.acts() == []


async def test_an_app_that_is_set_by_its_client_id_is_known_by_its_installations() -> (
    None
):
    """Each of them names the app's id; without any of them nobody can tell."""
    case = CASES["github github.installation"]
    settings = {**case.settings, "app": "Iv23liTheClientId"}
    actuator, issuer = evolve(case, settings=settings).made()
    assert isinstance(issuer, FakeGitHub)
    ours = named("github.installation:999", requires=(Identifier("github.app", "1"),))
    assert (await actuator.probe(ours)).found is Alive.DEAD
    issuer.gone = True
    assert (await actuator.probe(ours)).found is Alive.UNKNOWN


@pytest.mark.parametrize("suspended", [None, "2026-11-29T20:00:00Z"])
@pytest.mark.parametrize("wanted", WantedEnd)
async def test_an_installation_in_another_organisation_is_left_alone(
    wanted: WantedEnd, suspended: str | None
) -> None:
    """The same app may be installed there; suspended there is no proof either."""
    actuator, issuer = made("installation")
    issuer.installed |= {
        "account": {"login": "elsewhere"}, "suspended_at": suspended,
    }  # fmt: skip
    target = named("github.installation:7", wanted=wanted)

    assert (await actuator.probe(target)).found is Alive.ALIVE
    assert isinstance(await actuator.plan(target), NoWay)
    assert issuer.acts() == []


async def test_an_installation_that_does_not_say_where_it_is_is_left_alone() -> None:
    """Nothing proves that it is one of this organisation."""
    actuator, issuer = made("installation")
    issuer.installed["account"] = None
    target = named("github.installation:7")
    assert (await actuator.probe(target)).found is Alive.UNKNOWN
    with pytest.raises(RequestError, match="account"):
        await actuator.plan(target)
    assert issuer.acts() == []


# --------------------------------------------------------------------------- Limits


SECONDARY = {
    "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api"
    "#about-secondary-rate-limits",
    "message": "You have exceeded a secondary rate limit. Please wait a few minutes.",
}
QUOTA = {"x-ratelimit-remaining": "4000", "x-ratelimit-reset": "1796000000"}
LIMITS: list[tuple[HttpAnswer, float | None]] = [
    (json(SECONDARY, 403, **QUOTA), 60.0),
    (json(SECONDARY, 429, **QUOTA), 60.0),
    (json({"message": "You have triggered an abuse detection mechanism."}, 403), 60.0),
    (json({}, 429), 60.0),
    (json(SECONDARY, 403, **{"retry-after": "7"}), 7.0),
    (json({"message": "Resource not accessible by integration"}, 403, **QUOTA), None),
    (HttpAnswer({}, b"a proxy says no", 403), None),
]


@pytest.mark.parametrize("kind", ["token", "installation", "secret_alert"])
@pytest.mark.parametrize(("answer", "seconds"), LIMITS)
async def test_a_secondary_limit_is_no_refusal(
    kind: str, answer: HttpAnswer, seconds: float | None
) -> None:
    """GitHub asks for a minute then; each credential of ours has its own client."""
    actuator, issuer = made(kind)
    target = CASES[f"github github.{kind}"].target
    step = await actuator.plan(target)
    assert isinstance(step, EndStep)
    issuer.always = answer

    assert (await actuator.act(step)).retry_after == seconds
    with pytest.raises(RequestError) as caught:
        await actuator.probe(target)
    assert caught.value.answer is not None
    assert waiting(caught.value.answer.headers, issuer.now) == seconds


async def test_a_secondary_limit_on_a_token_for_acting_is_no_refusal(pem: str) -> None:
    """The installation's token is asked for by another request."""
    app = AppHeader("1", lambda: pem, lambda: NOW / SECOND)
    header = InstallationHeader(app, BASE, "7")
    with pytest.raises(RequestError, match="no token") as caught:
        await header.value(Refuses())  # type: ignore[arg-type]
    assert caught.value.answer is not None
    assert waiting(caught.value.answer.headers, NOW) == 60.0


class Refuses:
    """Answers every request by the secondary limit."""

    async def attempt(self, *_: Any) -> HttpAnswer:
        """Answer as GitHub does."""
        return json(SECONDARY, 403, **QUOTA)


@pytest.fixture(scope="module")
def pem() -> str:
    """Give a private key of an app."""
    return private_key()
