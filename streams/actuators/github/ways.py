"""Tokens, installations, deploy keys and leaked tokens: how each of them is ended.

Rules:

- GitHub answers 404 where a right is missing too. So what is gone is known by a list
  that the app may read, and by no 404.
- The lists are those of one organisation and one app, and the names do not tell of
  which. So an absence proves something only of what was seen there before, by a look
  of this process or by an act that was begun.
- A fine-grained personal access token loses its access to the organisation. It lives
  on for its owner: only its owner, or somebody who has the token, ends it. The audit
  log names classic tokens and those of OAuth apps in the same way; no list has them.
- An installation of the app itself is suspended, and given back after a lift. What ends
  it for good deletes it. Those of other apps, and of this one in other organisations,
  have no way. The list has no other app's, so one that it lacks is dead only if it is
  known as one of this app.
- A deploy key is deleted. Its name does not say its repository, so all are asked; that
  none has it any more is known only where the app is installed on all of them.
- A token of GitHub's own in an alert of secret scanning is revoked by its value, as
  anybody may who has it: 1,000 in a request, 60 requests an hour, without a credential.
  GitHub is then asked with the token itself. It is read for that, and kept nowhere.
- A token of which a hash is known alone has no way.

Source: GitHub REST API ("Personal access tokens" of organisations, "GitHub Apps",
"Deploy keys", "Secret scanning", "Revocation"); "Troubleshooting the REST API".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from streams.actuators.calls import Call, path, strange, unusable
from streams.actuators.github.pages import listed_pages
from streams.actuators.ways import Look, Way, alive, dead, never, unknown
from streams.model.endings import Alive, Ending, WantedEnd
from streams.outbound.answers import UnreadableAnswerError
from streams.sources.reading.fields import mapping, number, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.actuators.calls import CallSender, IssuerApi
    from streams.model.endings import EndTarget

# What /credentials/revoke takes and /user tells of; the fifth, ghr_, is no token to ask
# with.
PREFIXES: Final = ("ghp_", "github_pat_", "gho_", "ghu_")
NOT_GITHUBS: Final = (
    "the alert is about no token of GitHub that can be revoked by its value: end it "
    "at its issuer"
)
NOT_LISTED: Final = (
    "the list of fine-grained tokens with access does not have it, nor was it seen "
    "there before: it may be a classic token or one of an OAuth app, which lives on; "
    "have its owner delete it, then confirm it"
)
IN_NO_LIST: Final = (
    "no repository that the app may see has it, nor was it seen there before: it may "
    "be one of another organisation; look there, then confirm it"
)
ELSEWHERE: Final = "the alert is of a repository of another organisation"
INSTALLED_ELSEWHERE: Final = "the app is installed there in another organisation"
OF_ANOTHER_APP: Final = "it is of another app: end it by that app, or in its settings"
OF_WHICH_APP: Final = (
    "this app has no such installation, and it may be one of another app: look at the "
    "organisation's installed apps, then confirm it"
)
APP: Final = "github.app"
UNAUTHORIZED: Final = 401
OK: Final = 200


class GitHubListedWay(Way):
    """Something whose absence from a list proves its end only if it was there."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def note(self, target: EndTarget) -> None:
        """Remember that a list has it; restarts are bridged by the acts begun."""
        self._seen.add(target.identifier.value)

    def was_here(self, target: EndTarget) -> bool:
        """Whether a list had it before."""
        return target.seen or target.identifier.value in self._seen


class GitHubTokenWay(GitHubListedWay):
    """A fine-grained personal access token with access to the organisation."""

    ending: ClassVar[Ending] = Ending("revoke the token's access to the organisation")

    def __init__(self, org: str) -> None:
        super().__init__()
        self._place = path("orgs", org, "personal-access-tokens")

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look for it in the list of tokens with access."""
        value = target.identifier.value
        place = f"{self._place}?token_id[]={value}" if value.isdigit() else self._place
        async for one in listed_pages(api, "list the tokens", place):
            if number(one.get("token_id")) == value:
                self.note(target)
                if one.get("token_expired") is True:
                    return dead("the token is expired")
                return alive("the token has access", grant=number(one.get("id")))
        if self.was_here(target):
            return dead("no token of this id has access to the organisation any more")
        return unknown(NOT_LISTED)

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Revoke its access."""
        del target
        where = f"{self._place}{path(found['grant'])}"
        yield Call(
            "revoke the token's access", "POST", where, json={"action": "revoke"}
        )


class GitHubInstallationWay(GitHubListedWay):
    """An installation of the app itself, in the organisation.

    Args:
        app: API with the app's own credential.
        org: login of the organisation.
        own: id of the app, or its client id.
    """

    ending: ClassVar[Ending] = Ending(
        "delete the installation", suspends=True, placed=True
    )

    def __init__(self, app: IssuerApi, org: str, own: str) -> None:
        super().__init__()
        self._app = app
        self._org = org
        self._own = own

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look for it in the list of the app's installations."""
        del api
        place, own = "/app/installations", {self._own}
        async for one in listed_pages(self._app, "list the installations", place):
            own.add(number(one.get("app_id")) or self._own)
            if number(one.get("id")) == target.identifier.value:
                return self._listed(one, target)
        if self.was_here(target):
            return dead("the app has no such installation any more")
        names = (*target.names, *target.requires)
        apps = {each.value for each in names if each.kind == APP}
        if apps and apps <= own:
            return dead("the app has no such installation")
        # A client id is no app id: with it alone, no app is another one.
        if apps.isdisjoint(own) and apps and any(map(str.isdigit, own)):
            return never(OF_ANOTHER_APP)
        return unknown(OF_WHICH_APP)

    def _listed(self, one: Mapping[str, Any], target: EndTarget) -> Look:
        """Look at an installation of the app, wherever it is."""
        account = text(mapping(one.get("account")).get("login"))
        if account is None:
            return unknown("the installation does not tell its account")
        if account.casefold() != self._org.casefold():
            return never(INSTALLED_ELSEWHERE)
        self.note(target)
        off = one.get("suspended_at") is not None
        said = "the installation is suspended" if off else "the app is installed"
        over = off and target.wanted is not WantedEnd.ENDED
        return Look(Alive.DEAD if over else Alive.ALIVE, said)

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Delete, suspend or give it back."""
        del found
        where = path("app", "installations", target.identifier.value)
        if target.wanted is WantedEnd.ENDED:
            yield Call("delete the installation", "DELETE", where, by=self._app)
            return
        back = target.wanted is WantedEnd.RESTORED
        verb, method = ("unsuspend", "DELETE") if back else ("suspend", "PUT")
        where += "/suspended"
        yield Call(f"{verb} the installation", method, where, by=self._app)


class GitHubDeployKeyWay(GitHubListedWay):
    """A deploy key of a repository of the organisation."""

    ending: ClassVar[Ending] = Ending("delete the deploy key")

    def __init__(self, org: str) -> None:
        super().__init__()
        self._org = org

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look for it in the lists of all repositories."""
        count = 0
        repositories = "/installation/repositories"
        async for one in listed_pages(
            api, "list the repositories", repositories, "repositories"
        ):
            owner, _, name = str(one.get("full_name")).partition("/")
            if owner.casefold() != self._org.casefold():
                continue
            count += 1
            place = f"{path('repos', owner, name)}/keys"
            async for key in listed_pages(api, "list the deploy keys", place):
                if number(key.get("id")) == target.identifier.value:
                    self.note(target)
                    return alive("a repository has it", place=place)
        if not self.was_here(target):
            return unknown(IN_NO_LIST)
        about = await api.object(
            Call("read the installation", "GET", f"{repositories}?per_page=1")
        )
        if mapping(about).get("repository_selection") == "all":
            return dead(f"none of {count} repositories has it")
        return unknown("no repository that the app may see has it")

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Delete it."""
        where = f"{found['place']}{path(target.identifier.value)}"
        yield Call("delete the deploy key", "DELETE", where)


class GitHubAlertWay(Way):
    """A token of GitHub's own that secret scanning found.

    Args:
        org: whose repositories' alerts it reads.
        bare: API without a credential.
        bulk: sends the tokens of many acts in one request.
    """

    ending: ClassVar[Ending] = Ending("revoke the token by its value", settles=60.0)

    def __init__(self, org: str, bare: IssuerApi, bulk: CallSender) -> None:
        self._org = org
        self._bare = bare
        self._bulk = bulk

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Read the token from its alert, and ask GitHub with it."""
        repository, _, alert = target.identifier.value.rpartition("#")
        owner, _, name = repository.partition("/")
        if owner.casefold() != self._org.casefold():
            return never(ELSEWHERE)
        place = path("repos", owner, name, "secret-scanning", "alerts", alert)
        found = await api.object(Call("read the alert", "GET", place))
        secret = mapping(found).get("secret")
        if not isinstance(secret, str) or not secret.startswith(PREFIXES):
            return never(NOT_GITHUBS)
        headers = {"authorization": f"Bearer {secret}"}
        call = Call("ask with the token", "GET", "/user", headers=headers)
        answer = await self._bare.send(call)
        try:
            said = answer.object()
        except UnreadableAnswerError as error:
            raise strange(call, answer, "no answer of GitHub") from error
        if answer.status == UNAUTHORIZED and said.get("message") == "Bad credentials":
            return dead("GitHub refuses the token")
        if answer.status == OK and "login" in said:
            return alive("GitHub takes the token", secret=secret)
        raise unusable(call, answer)

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Revoke it; GitHub refuses this request to whoever has a credential."""
        del target
        body = {"credentials": [found["secret"]]}
        yield Call(
            "revoke the token", "POST", "/credentials/revoke", json=body, by=self._bulk
        )
