"""What single vendors do beside what all of them do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import jwt
import pytest
from attrs import evolve

from agents_registry.identifiers import Identifier
from streams.actuators.calls import path
from streams.actuators.catalogue import own_actuators
from streams.actuators.github.app import AppHeader, InstallationHeader
from streams.actuators.kubernetes.ways import REPLACES
from streams.model.endings import Alive, EndStep, EndTarget, NoWay, WantedEnd
from streams.model.extensions import loaded
from streams.model.times import SECOND
from streams.outbound.answers import HttpAnswer, RequestError
from tests.issuers.cases import CASES, SINCE, keycloak, kubernetes
from tests.issuers.directories import FakeEntra, FakeOkta
from tests.issuers.fake import BASE, NOW, json
from tests.issuers.github import LEAKED, FakeGitHub, private_key
from tests.issuers.keycloak import REALM_ID, FakeKeycloak
from tests.issuers.kubernetes import SPACE, FakeKubernetes
from tests.issuers.platforms import FakeLiteLlm

if TYPE_CHECKING:
    from pathlib import Path

    from streams.actuators.ways import WayActuator

pytestmark = pytest.mark.unit

ACCOUNT = f"{SPACE}/serviceaccounts/planner"


def made(name: str, fake: type[Any]) -> tuple[WayActuator, Any]:
    """Give the actuator and the issuer of a case."""
    actuator, issuer = CASES[name].made()
    assert isinstance(issuer, fake)
    return actuator, issuer


async def acted(actuator: WayActuator, target: EndTarget) -> EndStep:
    """Plan and act."""
    step = await actuator.plan(target)
    assert isinstance(step, EndStep)
    assert (await actuator.act(step)).done
    return step


def named(text: str, **more: Any) -> EndTarget:
    """Give a target by the text of its identifier."""
    return EndTarget(Identifier.parse(text), **more)


@pytest.mark.parametrize("name", own_actuators())
def test_each_descriptor_is_whole(name: str, repository: Path) -> None:
    """Its settings are of its vendor, and its page says which rights it needs."""
    of = own_actuators()[name]
    model = loaded(of.settings)
    assert get_args(model.model_fields["vendor"].annotation) == (name,)
    page = (repository / "docs" / of.page).read_text("utf-8")
    overview = (repository / "docs/actuators.md").read_text("utf-8")
    assert f"vendor: {name}\n" in page
    assert f"`{name}`" in overview


@pytest.mark.parametrize("name", CASES)
def test_a_credential_that_cannot_be_read_is_told_at_once(
    name: str, tmp_path: Path
) -> None:
    """When the actuator is made, and not when something is to end."""
    case = CASES[name]
    of = own_actuators()[case.vendor]
    gone = {"file": str(tmp_path / "gone")}
    secret = {
        key: gone if isinstance(value, dict) and "value" in value else value
        for key, value in case.settings.items()
    }
    settings = loaded(of.settings).model_validate(
        {"vendor": case.vendor, "authority": "a", "url": BASE, **secret}
    )
    with pytest.raises(OSError, match="gone"):
        settings.actuator("it", lambda: NOW)


@pytest.mark.parametrize("name", ["aws aws.access_key", "entra entra.user"])
def test_another_address_without_tls_is_refused(name: str) -> None:
    """The one that gives tokens, or tells whose a key is."""
    case = CASES[name]
    field = "sts" if case.vendor == "aws" else "login"
    values = {"vendor": case.vendor, "authority": "a", **case.settings}
    with pytest.raises(ValueError, match="https"):
        loaded(own_actuators()[case.vendor].settings).model_validate(
            values | {field: "http://elsewhere.example"}
        )


def test_no_part_of_a_path_leads_elsewhere() -> None:
    """Whatever somebody named an identifier."""
    assert path("users", "../admin?x#y") == "/users/..%2Fadmin%3Fx%23y"
    for part in ("", ".", ".."):
        with pytest.raises(ValueError, match="dots"):
            path("users", part)


# ------------------------------------------------------------------------- Keycloak


async def test_a_client_of_another_realm_is_left_alone() -> None:
    """Its name has the id of its realm."""
    actuator, issuer = made("keycloak keycloak.client", FakeKeycloak)
    other = named("keycloak.client:another-realm|batch")
    for asked in (actuator.probe, actuator.plan):
        with pytest.raises(RequestError, match="another_realm"):
            await asked(other)
    assert issuer.acts() == []


async def test_what_a_user_has_is_told() -> None:
    """Its sessions, online and offline; none once they are gone."""
    actuator, issuer = made("keycloak keycloak.user", FakeKeycloak)
    target = named("keycloak.user:u")
    assert {"s"} == {each.value async for each in actuator.children(target)}
    issuer.offline.clear()
    await acted(actuator, target)
    assert [] == [each async for each in actuator.children(target)]


async def test_a_logout_in_the_second_of_the_cause_is_no_proof() -> None:
    """Tokens of that second are honoured; the next logout covers them."""
    actuator, issuer = made("keycloak keycloak.user", FakeKeycloak)
    target = named("keycloak.user:u", not_before=NOW)
    await acted(actuator, target)
    assert (await actuator.probe(target)).found is Alive.ALIVE
    issuer.now += SECOND
    await acted(actuator, target)
    assert (await actuator.probe(target)).found is Alive.DEAD


async def test_a_session_from_after_the_cause_lives() -> None:
    """A new login is none of the cause's business."""
    actuator, issuer = made("keycloak keycloak.user", FakeKeycloak)
    target = named("keycloak.user:u", not_before=SINCE)
    await acted(actuator, target)
    later = {"id": "s2", "userId": "u", "start": NOW // 10**6}
    issuer.sessions.append(later)
    assert (await actuator.probe(target)).found is Alive.DEAD
    issuer.sessions.append(later | {"start": 1})
    assert (await actuator.probe(target)).found is Alive.ALIVE


async def test_a_lift_gives_a_whole_client_back() -> None:
    """Half of it is not enough."""
    actuator, issuer = made("keycloak keycloak.client", FakeKeycloak)
    target = named(f"keycloak.client:{REALM_ID}|batch", wanted=WantedEnd.RESTORED)
    await acted(actuator, evolve(target, wanted=WantedEnd.SUSPENDED))
    issuer.clients["c-1"]["enabled"] = True
    assert (await actuator.probe(target)).found is Alive.DEAD
    await acted(actuator, target)
    assert issuer.users["sa"]["enabled"] is True
    assert (await actuator.probe(target)).found is Alive.ALIVE


async def test_a_client_without_a_service_account_ends_alone() -> None:
    """By its switch, and by its not-before."""
    for since in (None, SINCE):
        actuator, issuer = made("keycloak keycloak.client", FakeKeycloak)
        issuer.clients["c-1"]["serviceAccountsEnabled"] = False
        target = named(f"keycloak.client:{REALM_ID}|batch", not_before=since)
        step = await acted(actuator, target)
        assert "account" not in step.act
        assert (await actuator.probe(target)).found is Alive.DEAD


async def test_a_consent_from_after_the_cause_stands() -> None:
    """And what was never consented to has no way."""
    actuator, issuer = made("keycloak keycloak.grant up to a time", FakeKeycloak)
    target = named(f"keycloak.grant:{REALM_ID}|batch|u", not_before=SINCE)
    issuer.consents = [{"clientId": "batch", "createdDate": NOW // 10**6}]
    found = await actuator.plan(target)
    assert isinstance(found, NoWay)
    issuer.sessions.clear()
    assert (await actuator.probe(target)).found is Alive.DEAD


async def test_a_part_of_a_session_has_no_way() -> None:
    """It is dead with its session."""
    actuator, issuer = made("keycloak session.id", FakeKeycloak)
    client = Identifier("keycloak.client", f"{REALM_ID}|batch")
    target = named("keycloak.client_session:s|batch", requires=(client,))
    assert isinstance(await actuator.plan(target), NoWay)
    await acted(actuator, named("session.id:s"))
    assert (await actuator.probe(target)).found is Alive.DEAD
    gone = named("keycloak.client_session:s|x", requires=(client,))
    assert (await actuator.probe(gone)).found is (Alive.DEAD)
    assert issuer.sessions == []


async def test_more_sessions_than_can_be_looked_through_prove_nothing() -> None:
    """The probe says why."""
    actuator, issuer = made("keycloak session.id", FakeKeycloak)
    issuer.sessions = [{"id": str(n), "userId": "u"} for n in range(20_200)]
    with pytest.raises(RequestError, match="more than 20000 sessions"):
        await actuator.probe(named("session.id:none"))


async def test_names_of_one_realm_are_asked_for_its_id_once() -> None:
    """The realm keeps its id."""
    case = keycloak(f"keycloak.client:{REALM_ID}|batch")
    actuator, issuer = case.made()
    for _ in range(3):
        await actuator.probe(case.target)
    assert 1 == [str(one) for one in issuer.asked].count("GET /admin/realms/main")


# ----------------------------------------------------------------------- Kubernetes


async def test_a_service_account_is_made_anew_as_it_was() -> None:
    """Without its old secrets, and it names what it replaces."""
    name = "kubernetes k8s.service_account up to a time"
    actuator, issuer = made(name, FakeKubernetes)
    await acted(actuator, CASES[name].target)
    found = issuer.objects[ACCOUNT]
    assert found["metadata"]["labels"] == {"team": "orders"}
    assert found["metadata"]["annotations"] == {"a": "b", REPLACES: "u-1"}
    assert found["automountServiceAccountToken"] is False
    assert "secrets" not in found


async def test_what_was_deleted_and_not_made_anew_is_finished() -> None:
    """By what was stored before; the secret that a token was in is not in it."""
    name = "kubernetes k8s.service_account up to a time"
    actuator, issuer = made(name, FakeKubernetes)
    target = CASES[name].target
    step = await actuator.plan(target)
    assert isinstance(step, EndStep)
    del issuer.objects[ACCOUNT]
    half = evolve(target, kept=step.kept)
    issuer.now += 60 * SECOND
    assert (await actuator.probe(half)).found is Alive.ALIVE

    again = await acted(actuator, half)

    assert again.kept == step.kept
    assert issuer.acts() == [f"POST {SPACE}/serviceaccounts"]
    assert issuer.objects[ACCOUNT]["metadata"]["annotations"][REPLACES] == "u-1"
    issuer.now += 12 * SECOND
    assert (await actuator.probe(half)).found is Alive.DEAD


async def test_a_lift_makes_anew_what_was_deleted_for_that() -> None:
    """And leaves alone what is there."""
    name = "kubernetes k8s.service_account up to a time"
    actuator, issuer = made(name, FakeKubernetes)
    step = await actuator.plan(CASES[name].target)
    assert isinstance(step, EndStep)
    back = evolve(
        CASES[name].target, not_before=None, kept=step.kept, wanted=WantedEnd.RESTORED
    )
    assert (await actuator.probe(back)).found is Alive.ALIVE
    del issuer.objects[ACCOUNT]
    assert (await actuator.probe(back)).found is Alive.DEAD
    await acted(actuator, back)
    assert (await actuator.probe(back)).found is Alive.ALIVE


async def test_a_revoke_makes_nothing_anew() -> None:
    """What is to end for good, and is gone, is dead."""
    name = "kubernetes k8s.service_account up to a time"
    actuator, issuer = made(name, FakeKubernetes)
    step = await actuator.plan(CASES[name].target)
    assert isinstance(step, EndStep)
    del issuer.objects[ACCOUNT]
    target = evolve(CASES[name].target, not_before=None, kept=step.kept)
    await actuator.probe(target)
    issuer.now += 12 * SECOND
    assert (await actuator.probe(target)).found is Alive.DEAD


async def test_nothing_is_finished_of_an_act_that_did_nothing() -> None:
    """Unless the account is being deleted; another of its name says nothing."""
    name = "kubernetes k8s.service_account up to a time"
    actuator, issuer = made(name, FakeKubernetes)
    step = await actuator.plan(CASES[name].target)
    assert isinstance(step, EndStep)
    target = evolve(CASES[name].target, kept=step.kept)
    assert (await actuator.probe(target)).untouched
    assert not (await actuator.probe(CASES[name].target)).untouched
    metadata = issuer.objects[ACCOUNT]["metadata"]
    metadata["deletionTimestamp"] = "2026-11-30T00:00:00Z"
    assert not (await actuator.probe(target)).untouched
    del metadata["deletionTimestamp"]
    metadata["uid"] = "another"
    assert not (await actuator.probe(target)).untouched


async def test_an_account_too_large_to_be_stored_is_not_deleted() -> None:
    """It could not be made anew after a crash."""
    name = "kubernetes k8s.service_account up to a time"
    actuator, issuer = made(name, FakeKubernetes)
    issuer.objects[ACCOUNT]["metadata"]["annotations"] = {"a": "b" * (64 << 10)}
    with pytest.raises(RequestError, match="by hand"):
        await actuator.plan(CASES[name].target)


async def test_its_successor_in_the_same_second_is_another_one() -> None:
    """Only if it was made here: of others nobody can tell."""
    case = kubernetes("k8s.service_account:agents/planner", since=NOW)
    actuator, issuer = case.made()
    assert isinstance(issuer, FakeKubernetes)
    await acted(actuator, case.target)
    issuer.now += 12 * SECOND
    assert (await actuator.probe(case.target)).found is Alive.DEAD
    issuer.objects[ACCOUNT]["metadata"]["annotations"].pop(REPLACES)
    assert (await actuator.probe(case.target)).found is Alive.ALIVE


async def test_what_has_its_name_by_now_is_not_deleted() -> None:
    """The act is bound to the UID that was seen."""
    actuator, issuer = made("kubernetes k8s.secret", FakeKubernetes)
    step = await actuator.plan(named("k8s.secret:agents/planner"))
    assert isinstance(step, EndStep)
    place = f"{SPACE}/secrets/planner"
    issuer.objects[place]["metadata"]["uid"] = "another"
    assert (await actuator.act(step)).done
    assert place in issuer.objects


async def test_of_a_secret_the_metadata_alone_is_asked_for() -> None:
    """So no token comes here."""
    actuator, issuer = made("kubernetes k8s.secret", FakeKubernetes)
    await actuator.probe(named("k8s.secret:agents/planner"))
    assert "as=PartialObjectMetadata;" in issuer.asked[-1].headers["accept"]


async def test_a_rehearsal_changes_nothing() -> None:
    """By the API's own dry run; others have none."""
    actuator, issuer = made("kubernetes k8s.pod up to a time", FakeKubernetes)
    step = await actuator.plan(named("k8s.pod:agents/planner"))
    assert isinstance(step, EndStep)
    answer = await actuator.rehearse(step)
    assert answer is not None
    assert answer.done
    assert f"{SPACE}/pods/planner" in issuer.objects
    other, _ = made("openai openai.user", object)
    assert await other.rehearse(step) is None


@pytest.mark.parametrize("value", ["planner", "agents/a/b", "/planner", "agents/"])
async def test_a_name_of_another_form_has_no_way(value: str) -> None:
    """It would lead to another object."""
    actuator, issuer = made("kubernetes k8s.pod up to a time", FakeKubernetes)
    found = await actuator.plan(EndTarget(Identifier("k8s.pod", value)))
    assert isinstance(found, NoWay)
    assert issuer.asked == []


async def test_something_is_alive_while_an_api_server_may_remember_it() -> None:
    """Eleven seconds after it was first missed, and anew if it came back."""
    actuator, issuer = made("kubernetes k8s.secret", FakeKubernetes)
    target = named("k8s.secret:agents/planner")
    place = f"{SPACE}/secrets/planner"
    kept = issuer.objects.pop(place)
    for seconds, found in ((0, Alive.ALIVE), (10, Alive.ALIVE), (11, Alive.DEAD)):
        issuer.now = NOW + seconds * SECOND
        assert (await actuator.probe(target)).found is found
    issuer.objects[place] = kept
    assert (await actuator.probe(target)).found is Alive.ALIVE
    del issuer.objects[place]
    assert (await actuator.probe(target)).found is Alive.ALIVE


# ------------------------------------------------------------- Okta, Entra, LiteLLM


async def test_a_clearing_that_failed_is_none() -> None:
    """Nor is one from before, nor one that left a refresh token."""
    name = "okta okta.user up to a time"
    actuator, issuer = made(name, FakeOkta)
    target = CASES[name].target
    await acted(actuator, target)
    (event,) = issuer.log
    assert (await actuator.probe(target)).found is Alive.DEAD
    issuer.refresh_tokens = [{"created": "2026-01-01T00:00:00.000Z"}]
    assert (await actuator.probe(target)).found is Alive.ALIVE
    issuer.refresh_tokens = [{"created": "2026-12-31T00:00:00.000Z"}] * 200
    with pytest.raises(RequestError, match="more than one page"):
        await actuator.probe(target)
    issuer.refresh_tokens = []
    for wrong in (
        {"outcome": {"result": "FAILURE"}}, {"published": "2026-01-01T00:00:00.000Z"},
        {"outcome": None}, {"published": None},
    ):  # fmt: skip
        issuer.log = [event | wrong]
        assert (await actuator.probe(target)).found is Alive.ALIVE


async def test_sessions_of_okta_end_up_to_a_time_alone() -> None:
    """For good they end with the user."""
    actuator, _ = made("okta okta.user_sessions up to a time", FakeOkta)
    assert isinstance(await actuator.plan(named("okta.user_sessions:00u1")), NoWay)


async def test_a_suspended_user_has_not_ended_for_good() -> None:
    """A switch gives it back."""
    actuator, issuer = made("okta okta.user", FakeOkta)
    issuer.user["status"] = "SUSPENDED"
    target = named("okta.user:00u1")
    assert (await actuator.probe(target)).found is Alive.ALIVE
    lent = evolve(target, wanted=WantedEnd.SUSPENDED)
    assert (await actuator.probe(lent)).found is Alive.DEAD


async def test_a_key_of_an_application_is_removed_and_no_other_one() -> None:
    """The list is written without it."""
    actuator, issuer = made("entra entra.app_credential", FakeEntra)
    target = named("entra.app_credential:k-3")
    await acted(actuator, target)
    assert issuer.app["keyCredentials"] == [{"keyId": "k-4"}]
    assert len(issuer.app["passwordCredentials"]) == 2
    assert (await actuator.probe(evolve(target, seen=True))).found is Alive.DEAD


async def test_a_next_page_elsewhere_is_not_asked() -> None:
    """The token stays at Graph."""
    actuator, issuer = made("entra entra.app_credential", FakeEntra)
    issuer.planned = [json({"value": [], "@odata.nextLink": "https://evil.example/"})]
    with pytest.raises(RequestError, match="elsewhere"):
        await actuator.probe(named("entra.app_credential:k-3"))


async def test_keys_of_other_users_are_not_blocked() -> None:
    """Whatever a list holds."""
    actuator, issuer = made("litellm litellm.user", FakeLiteLlm)
    issuer.users.add("somebody")
    await acted(actuator, named("litellm.user:somebody"))
    assert list(issuer.keys.values()) == [False, True, False]


# --------------------------------------------------------------------------- GitHub


async def test_a_deploy_key_that_no_repository_has_may_be_elsewhere() -> None:
    """Unless the app sees all repositories."""
    actuator, issuer = made("github github.deploy_key", FakeGitHub)
    target = named("github.deploy_key:404", seen=True)
    assert (await actuator.probe(target)).found is Alive.DEAD
    issuer.selection = "selected"
    assert (await actuator.probe(target)).found is Alive.UNKNOWN
    with pytest.raises(RequestError, match="no repository that the app may see"):
        await actuator.plan(target)


async def test_a_secret_of_another_issuer_has_no_way() -> None:
    """And it is not sent to GitHub as a token."""
    actuator, issuer = made("github github.secret_alert", FakeGitHub)
    issuer.secret = "AKIAIOSFODNN7EXAMPLE"
    assert isinstance(
        await actuator.plan(named("github.secret_alert:Acme/one#3")), NoWay
    )
    assert [str(one) for one in issuer.asked if one.path == "/user"] == []


async def test_a_leaked_token_is_shown_nowhere() -> None:
    """Neither by a step nor by a probe; and GitHub's limit is no proof."""
    actuator, issuer = made("github github.secret_alert", FakeGitHub)
    target = named("github.secret_alert:Acme/one#3")
    step = await actuator.plan(target)
    assert LEAKED not in repr(step) + repr(await actuator.probe(target))
    limited = json({"message": "rate limit"}, 403, **{"x-ratelimit-remaining": "0"})
    issuer.planned = [None, limited]
    with pytest.raises(RequestError, match="status 403") as caught:
        await actuator.probe(target)
    assert LEAKED not in str(caught.value)


async def test_an_installation_that_is_suspended_has_not_ended_for_good() -> None:
    """It is deleted then."""
    actuator, issuer = made("github github.installation", FakeGitHub)
    issuer.installed["suspended_at"] = "2026-11-29T20:00:00Z"
    target = named("github.installation:7")
    assert (await actuator.probe(target)).found is Alive.ALIVE
    await acted(actuator, target)
    assert issuer.gone


class Tokens:
    """Gives tokens to an installation."""

    def __init__(self, *answers: HttpAnswer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []

    async def attempt(
        self, method: str, url: str, headers: dict[str, str], *_: Any
    ) -> HttpAnswer:
        """Answer as GitHub does."""
        self.asked.append((f"{method} {url}", headers["authorization"]))
        return self.answers.pop(0)


@pytest.fixture(scope="module")
def pem() -> str:
    """Give a private key of an app."""
    return private_key()


async def test_an_app_authorises_itself_by_its_key(pem: str) -> None:
    """And its installation by a token, which is got once until its end."""
    now = [NOW / SECOND]
    app = AppHeader("12", lambda: pem, lambda: now[0])
    header = InstallationHeader(app, "https://api.example", "7")
    tokens: Any = Tokens(json({"token": "ghs_a"}, 201), json({"token": "ghs_b"}, 201))
    assert "Bearer ghs_a" == await header.value(tokens) == await header.value(tokens)
    (asked, bearer), *more = tokens.asked
    assert more == []
    assert asked == "POST https://api.example/app/installations/7/access_tokens"
    claims = jwt.decode(bearer.removeprefix("Bearer "), options={
        "verify_signature": False, "verify_exp": False, "verify_iat": False,
    })  # fmt: skip
    assert claims["iss"] == "12"
    assert claims["exp"] - claims["iat"] == 600
    now[0] += 3000
    assert "Bearer ghs_b" == await header.value(tokens)
    assert header.refused("Bearer ghs_b")
    assert not app.refused("x")
    assert "ghs_" not in repr(header)


@pytest.mark.parametrize(
    "answer", [json({"token": "t"}, 404), json({}, 201), HttpAnswer({}, b"x", 201)]
)
async def test_an_installation_without_a_token_says_so(
    pem: str, answer: HttpAnswer
) -> None:
    """And a key that is none, too."""
    app = AppHeader("12", lambda: pem, lambda: NOW / SECOND)
    header = InstallationHeader(app, "https://api.example", "7")
    tokens: Any = Tokens(answer)
    with pytest.raises(RequestError, match="no token"):
        await header.value(tokens)
    with pytest.raises(RequestError, match="private key"):
        await AppHeader("12", lambda: "x", lambda: 0.0).value(tokens)


# ----------------------------------------------------------------- what has no door


async def test_a_token_is_dead_with_its_session_or_its_user() -> None:
    """Once one of what it requires is, and not before."""
    actuator, issuer = made("keycloak keycloak.user", FakeKeycloak)
    here = (Identifier("keycloak.realm", REALM_ID),)
    session = named("session.id:s", requires=here)
    above = (session, named("keycloak.user:u", not_before=SINCE))
    target = named("jwt.jti:t", above=above)
    probed = await actuator.probe(target)
    assert probed.found is Alive.UNKNOWN
    assert "keycloak.user, session.id" in probed.reason
    with pytest.raises(RequestError, match="unclear"):
        await actuator.plan(target)
    await acted(actuator, above[0])
    assert (await actuator.probe(target)).found is Alive.DEAD
    assert issuer.users["u"]["enabled"] is True


async def test_what_a_service_account_handed_on_is_dead_with_its_client() -> None:
    """And what was exchanged for people has no way: it ends with them."""
    actuator, _ = made("keycloak keycloak.user", FakeKeycloak)
    client = named(f"keycloak.client:{REALM_ID}|batch")
    own = named(f"keycloak.exchange:{REALM_ID}|batch|sa", above=(client,))
    token = named(f"keycloak.subject_token:{REALM_ID}|x", above=(own,))
    further = named(f"keycloak.exchange:{REALM_ID}|next|sa", above=(own,))
    other = named(f"keycloak.exchange:{REALM_ID}|batch|u", above=(client,))
    for target in (own, token, further):
        assert (await actuator.probe(target)).found is Alive.UNKNOWN
    await acted(actuator, client)
    for target in (own, token, further):
        assert (await actuator.probe(target)).found is Alive.DEAD
    found = await actuator.plan(other)
    assert isinstance(found, NoWay)
    assert "ends with that user" in found.reason


async def test_a_token_outlives_a_consent() -> None:
    """Keycloak goes on to honour it, so the end of the consent proves nothing."""
    actuator, issuer = made("keycloak keycloak.user", FakeKeycloak)
    consent = named(f"keycloak.grant:{REALM_ID}|batch|u", not_before=SINCE)
    target = named("jwt.jti:t", above=(consent,))
    await acted(actuator, consent)
    assert isinstance(await actuator.plan(target), NoWay)
    assert issuer.consents == []


@pytest.mark.parametrize(
    ("case", "identifier"),
    [
        ("keycloak keycloak.user", "jwt.jti:t"),
        ("kubernetes k8s.secret", "k8s.credential:JTI=t"),
        ("aws aws.access_key", "aws.access_key:ASIAIOSFODNN7EXAMPLE"),
    ],
)
async def test_a_token_whose_holder_lives_on_has_no_way(
    case: str, identifier: str
) -> None:
    """The reason says what would end it; nothing is asked and nothing is ended."""
    actuator, issuer = CASES[case].made()
    found = await actuator.plan(named(identifier, above=(named("agent.id:a"),)))
    assert isinstance(found, NoWay)
    assert "end" in found.reason
    assert issuer.asked == []


async def test_a_temporary_key_is_dead_with_its_role() -> None:
    """By the policy that denies its older sessions."""
    role = CASES["aws aws.role up to a time"].target
    actuator, _ = CASES["aws aws.access_key"].made()
    target = named("aws.access_key:ASIAIOSFODNN7EXAMPLE", above=(role,))
    assert (await actuator.probe(target)).found is Alive.UNKNOWN
    await acted(actuator, role)
    assert (await actuator.probe(target)).found is Alive.DEAD
