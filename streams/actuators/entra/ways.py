"""Users, service principals, applications and their credentials: how each is ended.

Rules:

- The account of a user or a service principal is disabled, and enabled after a lift.
- A user ends for good if it is disabled and its sessions were revoked since: else they
  go on when somebody enables it. Graph does not say when a user was disabled, so the
  time from which sessions are valid must be later than it was right before the act.
- What a user was given up to a time ends by `revokeSignInSessions`, which sets
  `signInSessionsValidFromDateTime`. Microsoft says that it may take some minutes, and
  that users of other tenants are not reached. That it is disabled proves nothing here:
  the issue of its sessions lies before that.
- A password credential is removed by its key id; a key credential by writing the list
  without it, since `removeKey` asks for a proof by a key of the application. The list
  is read right before that, so that a key which was added meanwhile stays.
- An application ends by the removal of all that it logs in with: federated
  credentials, passwords and keys, also those of its service principal.
- What the tenant does not have may be of another tenant, so that it is dead is known
  only of what was found here before, and of a credential of an application that is
  here. A service principal that is here proves nothing of credentials: those of its
  application may be in another tenant.
- Access tokens live on until they expire (about an hour), or shorter where continuous
  access evaluation is on.

Source: Microsoft Graph v1.0 reference (user: revokeSignInSessions, update user, update
servicePrincipal, application and servicePrincipal: removePassword, removeKey, addKey,
update; list servicePrincipals, federatedIdentityCredential; error
Request_ResourceNotFound).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from attrs import evolve, frozen

from streams.actuators.calls import Call, object_of, path
from streams.actuators.ways import Look, RecordWay, Way, alive, dead, unknown
from streams.model.endings import Alive, Ending, WantedEnd
from streams.model.times import SECOND, sound_time
from streams.outbound.answers import OK, RequestError
from streams.sources.reading.fields import mapping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from streams.actuators.calls import IssuerApi
    from streams.model.endings import EndTarget
    from streams.outbound.answers import HttpAnswer

MOST_PAGES: Final = 1000
MINUTES: Final = 180.0  # seconds: "a small delay of a few minutes"
PASSWORDS: Final = "passwordCredentials"
KEYS: Final = "keyCredentials"
HOLDERS: Final = ("applications", "servicePrincipals")
OWNER: Final = "entra.application"
NEXT: Final = "@odata.nextLink"
VALID_FROM: Final = "signInSessionsValidFromDateTime"
ELSEWHERE: Final = "the tenant has no such {}, and it may be of another tenant"
REMEMBERED: Final = 3600 * SECOND  # of an act, until its effect must show
MOST_REMEMBERED: Final = 10_000
LEFT: Final = "the user is disabled, and its sign-in sessions were not revoked since"
REVOKED: Final = "the user is disabled, and its sign-in sessions were revoked since"


def missing(answer: HttpAnswer) -> bool:
    """Whether Graph itself says so, by its code."""
    said = object_of(answer)
    return mapping(said.get("error")).get("code") == "Request_ResourceNotFound"


def gone(target: EndTarget, noun: str) -> Look:
    """Look at what the tenant does not have: dead, if it was found here before."""
    if target.seen:
        return dead(f"the tenant has no such {noun} any more")
    return unknown(ELSEWHERE.format(noun))


class EntraWay(RecordWay):
    """A record of Graph."""

    set: ClassVar[str]
    fields: ClassVar[str]

    def place(self, value: str) -> str:
        """Path of the record."""
        return f"{path('v1.0', self.set, value)}?$select={self.fields}"

    def missing(self, answer: HttpAnswer) -> bool:
        """Whether Graph itself says so."""
        return missing(answer)

    async def gone(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look at what the tenant does not have."""
        del api
        return gone(target, self.noun)

    def over(self, record: Mapping[str, Any], target: EndTarget) -> str:
        """Whether the account is disabled."""
        del target
        off = record.get("accountEnabled") is False
        return f"the {self.noun} is disabled" if off else ""

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Disable or enable the account."""
        del found
        back = target.wanted is WantedEnd.RESTORED
        verb = "enable" if back else "disable"
        where = path("v1.0", self.set, target.identifier.value)
        yield Call(
            f"{verb} the {self.noun}", "PATCH", where, json={"accountEnabled": back}
        )


class EntraServiceWay(EntraWay):
    """A service principal."""

    noun = "service principal"
    set = "servicePrincipals"
    fields = "id,accountEnabled"
    ending: ClassVar[Ending] = Ending("disable the service principal", suspends=True)


class EntraUserWay(EntraWay):
    """A user."""

    noun = "user"
    set = "users"
    fields = f"id,accountEnabled,{VALID_FROM}"
    ending: ClassVar[Ending] = Ending(
        "disable the user and revoke its sign-in sessions",
        suspends=True, dated=True, settles=MINUTES,
    )  # fmt: skip

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        # By user, of acts for good: when, and from when on sessions were valid then.
        # It is held in memory alone: without it, the act is made once more.
        self._before: dict[str, tuple[int, int]] = {}

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Read the user, and say what is left of it where it is disabled."""
        seen = await super().look(api, target)
        off = seen.found.get("record", {}).get("accountEnabled") is False
        if off and target.not_before is None and seen.alive is Alive.ALIVE:
            return evolve(seen, reason=LEFT)
        return seen

    def over(self, record: Mapping[str, Any], target: EndTarget) -> str:
        """Whether it is disabled, with its sessions where it is to end for good."""
        since = target.not_before
        if since is not None:
            later = _valid_from(record) > since
            return (
                "its sign-in sessions are valid from a later time on" if later else ""
            )
        off = super().over(record, target)
        if not off or target.wanted is not WantedEnd.ENDED:
            return off
        at, before = self._before.get(target.identifier.value, (None, 0))
        if at is None or self._clock() - at > REMEMBERED:
            return ""
        return REVOKED if _valid_from(record) > before else ""

    def _remember(self, user: str, record: Mapping[str, Any]) -> None:
        self._before.pop(user, None)
        if len(self._before) >= MOST_REMEMBERED:
            del self._before[next(iter(self._before))]
        self._before[user] = self._clock(), _valid_from(record)

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Disable it where it is to end, and revoke its sessions."""
        if target.wanted is WantedEnd.ENDED and target.not_before is None:
            self._remember(target.identifier.value, found["record"])
        if target.not_before is None:
            yield from super().calls(target, found)
        if target.wanted is WantedEnd.ENDED:
            where = path("v1.0", self.set, target.identifier.value)
            yield Call(
                "revoke its sign-in sessions", "POST", f"{where}/revokeSignInSessions"
            )


def _valid_from(record: Mapping[str, Any]) -> int:
    """Time (ns) from which sessions of a user are valid; 0: it has none."""
    return sound_time(record.get(VALID_FROM)) or 0


class EntraAppWay(Way):
    """An application, with all that it logs in with."""

    ending: ClassVar[Ending] = Ending("remove all credentials of the application")

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Read its credentials, and those of its service principal."""
        where = path("v1.0", "applications", target.identifier.value)
        select = f"?$select=id,appId,{PASSWORDS},{KEYS}"
        call = Call("read the application", "GET", where + select)
        record = await api.object(call, missing)
        if record is None:
            return gone(target, "application")
        call = Call("list federated credentials", "GET", f"{where}{FEDERATED}")
        federated = [str(one.get("id")) for one in await api.objects(call, "value")]
        below = await _principals(api, record)
        holders = [(path("v1.0", HOLDERS[1], str(one.get("id"))), one) for one in below]
        holders.insert(0, (where, record))
        passwords = [
            (place, _key_id(each))
            for place, one in holders
            for each in _some(one, PASSWORDS)
        ]
        keys = [place for place, one in holders if _some(one, KEYS)]
        if not federated and not passwords and not keys:
            return dead("the application and its service principal have no credential")
        return alive("the application has credentials", where=where,
                     federated=federated, passwords=passwords, keys=keys)  # fmt: skip

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Remove them, those first that make tokens without a secret."""
        del target
        for each in found["federated"]:
            place = f"{found['where']}{FEDERATED}{path(each)}"
            yield Call("delete the federated credential", "DELETE", place)
        for place, each in found["passwords"]:
            yield _without_password(place, each)
        for place in found["keys"]:
            yield Call("remove the keys", "PATCH", place, json={KEYS: []})


async def _principals(
    api: IssuerApi, application: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Service principals of an application in this tenant: one, or none.

    Raises:
        RequestError: they are not known.
    """
    app_id = application.get("appId")
    if not isinstance(app_id, str) or not app_id or "'" in app_id:
        raise RequestError("strange", "read the application: no appId", status=200)
    wanted = quote(f"appId eq '{app_id}'", safe="")
    query = f"?$filter={wanted}&$select=id,{PASSWORDS},{KEYS}"
    place = path("v1.0", HOLDERS[1]) + query
    return await api.objects(Call("list its service principal", "GET", place), "value")


class EntraCredentialWay(Way):
    """A password or key of an application or a service principal."""

    ending: ClassVar[Ending] = Ending("remove the credential", placed=True)

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look for its key id in all applications and service principals."""
        key_id = target.identifier.value
        owners = {one.value for one in target.requires if one.kind == OWNER}
        here = False
        for holders in HOLDERS:
            async for one in _all(api, holders):
                here = here or (holders == HOLDERS[0] and one.get("id") in owners)
                where = path("v1.0", holders, str(one.get("id")))
                if key_id in [_key_id(each) for each in _some(one, PASSWORDS)]:
                    return alive("a password has its id", where=where, by=None)
                if key_id in [_key_id(each) for each in _some(one, KEYS)]:
                    by = KeyRemoval(api, key_id)
                    return alive("a key has its id", where=where, by=by)
        if here:
            return dead("its application is in the tenant, and does not have it")
        return gone(target, "credential")

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Remove it where it was seen."""
        where, by = found["where"], found["by"]
        if by is None:
            yield _without_password(where, target.identifier.value)
        else:
            yield Call("remove the key", "PATCH", where, by=by)


@frozen
class KeyRemoval:
    """Writes the list of keys without one of them, as the list is right before.

    Graph has no condition for a write: what is added between the two requests is lost.
    """

    api: IssuerApi
    key_id: str

    async def send(self, call: Call) -> HttpAnswer:
        """Read the list, and write it; where it cannot be read, that is the answer.

        Raises:
            RequestError: there is no answer to use.
        """
        place = f"{call.path}?$select=id,{KEYS}"
        answer = await self.api.send(Call("read the keys", "GET", place))
        if answer.status != OK:
            return answer
        rest = [
            each
            for each in _some(object_of(answer), KEYS)
            if _key_id(each) != self.key_id
        ]
        return await self.api.send(evolve(call, json={KEYS: rest}, by=None))


def _without_password(where: str, key_id: str) -> Call:
    call = f"{where}/removePassword"
    return Call("remove the password", "POST", call, json={"keyId": key_id})


async def _all(api: IssuerApi, holders: str) -> AsyncIterator[dict[str, Any]]:
    """Yield all applications, or service principals, with their credentials.

    Raises:
        RequestError: a page is none, or there are too many.
    """
    below = path("v1.0", holders)
    place = f"{below}?$select=id,{PASSWORDS},{KEYS}&$top=999"
    for _ in range(MOST_PAGES):
        page = await api.object(Call(f"list {holders}", "GET", place)) or {}
        items = page.get("value")
        if not isinstance(items, list):
            raise RequestError("strange", f"list {holders}: no page", status=200)
        for one in items:
            yield mapping(one)
        link = page.get(NEXT)
        if link is None:
            return
        if not isinstance(link, str) or not link.startswith(f"{api.base}{below}?"):
            raise RequestError("strange", f"list {holders}: its next page is elsewhere")
        place = link.removeprefix(api.base)
    raise RequestError("too_many", f"list {holders}: too many pages")


def _some(record: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    """Credentials of a record; one without the member is none that was asked for.

    Raises:
        RequestError: it has no such list.
    """
    found = record.get(field)
    if not isinstance(found, list):
        raise RequestError("strange", f"a record has no {field}", status=200)
    return [mapping(one) for one in found]


def _key_id(credential: Mapping[str, Any]) -> str:
    return str(credential.get("keyId"))


FEDERATED: Final = "/federatedIdentityCredentials"
