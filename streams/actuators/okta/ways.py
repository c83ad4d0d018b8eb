"""Users, their sessions and tokens, API tokens and apps of an org: how each is ended.

Rules:

- A user is suspended, and unsuspended after a lift. What ends it for good deactivates
  it.
- The sessions of a user are cleared, with its OpenID Connect and OAuth tokens. Okta
  lists no sessions of others, so the look reads its System Log: that they were cleared
  after the cause. Refresh tokens from before must be in no list either.
- The id of a session in the System Log is not the one that the Sessions API takes: a
  session alone has no way.
- What the org does not have may be of another one, so that it is dead is known only of
  what was found here before, and of an API token whose user is here.
- An API token is revoked. An app is deactivated, and activated after a lift.

Source: Okta API reference (Users, User Lifecycle, User Sessions, User OAuth 2.0 Token
Management, API Tokens, Applications, System Log; error codes E0000007).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlencode

from streams.actuators.calls import Call, object_of, path
from streams.actuators.ways import Look, RecordWay, Way, alive, dead, unknown
from streams.model.endings import Alive, Ending, WantedEnd
from streams.model.times import rfc3339, sound_time
from streams.outbound.answers import RequestError
from streams.sources.reading.fields import listed, mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.actuators.calls import IssuerApi
    from streams.model.endings import EndTarget
    from streams.outbound.answers import HttpAnswer

NOT_FOUND: Final = "E0000007"
MOST: Final = 200  # refresh tokens of a user at a client, on one page
API: Final = ("api", "v1")
SETTLES: Final = 30.0  # seconds until the System Log has an event
ELSEWHERE: Final = "the org has no such {}, and it may be of another one"
CLEARING: Final = "user.session.clear"
CLEARED: Final = 'eventType eq "user.session.clear" and target.id eq "{}"'


def missing(answer: HttpAnswer) -> bool:
    """Whether Okta itself says so, by its code."""
    return object_of(answer).get("errorCode") == NOT_FOUND


class OktaWay(RecordWay):
    """A record of Okta's management API."""

    async def gone(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look at what is missing: dead, if it was found here before."""
        if target.seen or await self.here(api, target):
            return await super().gone(api, target)
        return unknown(ELSEWHERE.format(self.noun))

    async def here(self, api: IssuerApi, target: EndTarget) -> bool:
        """Whether something else tells that it was one of this org.

        Raises:
            RequestError: there is no answer to use.
        """
        del api, target
        return False

    def missing(self, answer: HttpAnswer) -> bool:
        """Whether Okta itself says so."""
        return missing(answer)


async def cleared_since(api: IssuerApi, user: str, since: int) -> Look:
    """Look whether sessions and tokens of a user were cleared after a time (ns)."""
    query = urlencode({
        "since": rfc3339(since), "filter": CLEARED.format(user), "limit": "100",
    })  # fmt: skip
    log = Call("read the System Log", "GET", f"{path(*API, 'logs')}?{query}")
    events = await api.objects(log)
    told = [one for one in events if _after(one, since) and _about(one, user)]
    outcomes = [one.get("outcome") for one in told]
    if {"result": "SUCCESS"} not in [_result(one) for one in outcomes]:
        return alive("the System Log tells of no clearing since")
    below = path(*API, "users", user, "clients")
    for client in await api.objects(
        Call("list its clients", "GET", below), "", missing
    ):
        own = path(str(client.get("client_id")), "tokens")
        tokens = f"{below}{own}?limit={MOST}"
        found = await api.objects(Call("list its tokens", "GET", tokens))
        if len(found) >= MOST:
            raise RequestError("too_many", "list its tokens: more than one page")
        for one in found:
            issued = sound_time(one.get("created"))
            if issued is None or issued <= since:
                return alive("it has a refresh token from before")
    return dead("its sessions were cleared, and no refresh token is from before")


def _after(event: Mapping[str, Any], since: int) -> bool:
    at = sound_time(event.get("published"))
    return at is not None and at > since


def _about(event: Mapping[str, Any], user: str) -> bool:
    """Whether an event is the clearing of a user: a filter may have asked for more."""
    targets = [mapping(one).get("id") for one in listed(event.get("target"))]
    return event.get("eventType") == CLEARING and user in targets


def _result(outcome: Any) -> dict[str, Any]:
    found = outcome if isinstance(outcome, dict) else {}
    return {"result": found.get("result")}


class OktaUserWay(OktaWay):
    """A user."""

    noun = "user"
    ending: ClassVar[Ending] = Ending(
        "deactivate the user", suspends=True, dated=True, settles=SETTLES
    )

    def place(self, value: str) -> str:
        """Path of the user."""
        return path(*API, "users", value)

    def over(self, record: Mapping[str, Any], target: EndTarget) -> str:
        """Whether it is deactivated, or suspended where that is enough."""
        status = record.get("status")
        off = ["DEPROVISIONED"]
        if target.wanted is not WantedEnd.ENDED:
            off.append("SUSPENDED")
        return f"the user is {status}" if status in off else ""

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Read the user, and its sessions where these alone are to end."""
        seen = await super().look(api, target)
        since = target.not_before
        if since is None or seen.alive is not Alive.ALIVE:
            return seen
        return await cleared_since(api, target.identifier.value, since)

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Change its state, or clear its sessions."""
        del found
        where = self.place(target.identifier.value)
        if target.not_before is not None:
            yield clearing(where)
            return
        verb = {
            WantedEnd.ENDED: "deactivate", WantedEnd.SUSPENDED: "suspend",
            WantedEnd.RESTORED: "unsuspend",
        }[target.wanted]  # fmt: skip
        yield Call(f"{verb} the user", "POST", f"{where}/lifecycle/{verb}")


def clearing(where: str) -> Call:
    """Call that clears the sessions and tokens of the user at a path."""
    query = "oauthTokens=true&forgetDevices=false"
    return Call("clear its sessions and tokens", "DELETE", f"{where}/sessions?{query}")


class OktaSessionsWay(Way):
    """All sessions of a user."""

    ending: ClassVar[Ending] = Ending(
        "clear the user's sessions and tokens", dated=True, settles=SETTLES
    )

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Read the user, and what was cleared."""
        user = target.identifier.value
        call = Call("read the user", "GET", path(*API, "users", user))
        if await api.object(call, missing) is None:
            if target.seen:
                return dead("there is no such user")
            return unknown(ELSEWHERE.format("user"))
        since = target.not_before
        if since is None:
            return Look(Alive.ALIVE, "sessions end up to a time alone", never=UNDATED)
        return await cleared_since(api, user, since)

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Clear them."""
        del found
        yield clearing(path(*API, "users", target.identifier.value))


UNDATED: Final = "a user's sessions end up to a time; for good they end with the user"


class OktaTokenWay(OktaWay):
    """An API token of the org."""

    noun = "API token"
    ending: ClassVar[Ending] = Ending("revoke the API token", placed=True)

    async def here(self, api: IssuerApi, target: EndTarget) -> bool:
        """Whether the user of the token is one of this org."""
        for one in target.requires:
            if one.kind == "okta.user":
                call = Call("read its user", "GET", path(*API, "users", one.value))
                if await api.object(call, missing) is not None:
                    return True
        return False

    def place(self, value: str) -> str:
        """Path of the token."""
        return path(*API, "api-tokens", value)

    def over(self, record: Mapping[str, Any], target: EndTarget) -> str:
        """Find nothing: a token that is listed can be used."""
        del record, target
        return ""

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Revoke it."""
        del found
        where = self.place(target.identifier.value)
        yield Call("revoke the API token", "DELETE", where)


class OktaAppWay(OktaWay):
    """An app."""

    noun = "app"
    ending: ClassVar[Ending] = Ending("deactivate the app", suspends=True)

    def place(self, value: str) -> str:
        """Path of the app."""
        return path(*API, "apps", value)

    def over(self, record: Mapping[str, Any], target: EndTarget) -> str:
        """Whether it is inactive."""
        del target
        status = record.get("status")
        return f"the app is {status}" if status in ("INACTIVE", "DELETED") else ""

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Deactivate or activate it."""
        del found
        back = target.wanted is WantedEnd.RESTORED
        verb = "activate" if back else "deactivate"
        where = self.place(target.identifier.value)
        yield Call(f"{verb} the app", "POST", f"{where}/lifecycle/{verb}")
