"""Users, service principals, applications and their credentials: how each is ended.

Rules:

- The account of a user or a service principal is disabled, and enabled after a lift.
- What a user was given up to a time ends by `revokeSignInSessions`, which sets
  `signInSessionsValidFromDateTime`. Microsoft says that it may take some minutes, and
  that users of other tenants are not reached.
- A password credential is removed by its key id; a key credential by writing the list
  without it, since `removeKey` asks for a proof by the key itself.
- An application ends by the removal of all that it logs in with: federated
  credentials, passwords and keys.
- Access tokens live on until they expire (about an hour), or shorter where continuous
  access evaluation is on.

Source: Microsoft Graph v1.0 reference (user: revokeSignInSessions, update user, update
servicePrincipal, application: removePassword, update application,
federatedIdentityCredential; error Request_ResourceNotFound).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from streams.actuators.calls import Call, object_of, path
from streams.actuators.ways import Look, RecordWay, Way, alive, dead
from streams.model.endings import Ending, WantedEnd
from streams.model.times import sound_time
from streams.outbound.answers import RequestError
from streams.sources.reading.fields import listed, mapping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from streams.actuators.calls import IssuerApi
    from streams.model.endings import EndTarget
    from streams.outbound.answers import HttpAnswer

MOST_PAGES: Final = 1000
MINUTES: Final = 180.0  # seconds: "a small delay of a few minutes"
PASSWORDS: Final = "passwordCredentials"
KEYS: Final = "keyCredentials"
HOLDERS: Final = ("applications", "servicePrincipals")
NEXT: Final = "@odata.nextLink"


def missing(answer: HttpAnswer) -> bool:
    """Whether Graph itself says so, by its code."""
    said = object_of(answer)
    return mapping(said.get("error")).get("code") == "Request_ResourceNotFound"


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
    fields = "id,accountEnabled,signInSessionsValidFromDateTime"
    ending: ClassVar[Ending] = Ending(
        "disable the user and revoke its sign-in sessions",
        suspends=True, dated=True, settles=MINUTES,
    )  # fmt: skip

    def over(self, record: Mapping[str, Any], target: EndTarget) -> str:
        """Whether it is disabled, or its sessions from before are invalid."""
        since = target.not_before
        valid = sound_time(record.get("signInSessionsValidFromDateTime"))
        if since is not None and valid is not None and valid > since:
            return "its sign-in sessions are valid from a later time on"
        return super().over(record, target)

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Disable it where it is to end, and revoke its sessions."""
        if target.not_before is None:
            yield from super().calls(target, found)
        if target.wanted is WantedEnd.ENDED:
            where = path("v1.0", self.set, target.identifier.value)
            yield Call(
                "revoke its sign-in sessions", "POST", f"{where}/revokeSignInSessions"
            )


class EntraAppWay(Way):
    """An application, with all that it logs in with."""

    ending: ClassVar[Ending] = Ending("remove all credentials of the application")

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Read its credentials."""
        where = path("v1.0", "applications", target.identifier.value)
        select = f"?$select=id,{PASSWORDS},{KEYS}"
        call = Call("read the application", "GET", where + select)
        record = await api.object(call, missing)
        if record is None:
            return dead("there is no such application")
        call = Call("list federated credentials", "GET", f"{where}{FEDERATED}")
        federated = [str(one.get("id")) for one in await api.objects(call, "value")]
        passwords = [_key_id(one) for one in _some(record, PASSWORDS)]
        found = {"where": where, "federated": federated, "passwords": passwords,
                 "keys": bool(_some(record, KEYS))}  # fmt: skip
        if not federated and not passwords and not found["keys"]:
            return dead("the application has no credential")
        return alive("the application has credentials", **found)

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Remove them, those first that make tokens without a secret."""
        del target
        where = found["where"]
        for each in found["federated"]:
            place = f"{where}{FEDERATED}{path(each)}"
            yield Call("delete the federated credential", "DELETE", place)
        for each in found["passwords"]:
            yield _without_password(where, each)
        if found["keys"]:
            yield Call("remove the keys", "PATCH", where, json={KEYS: []})


class EntraCredentialWay(Way):
    """A password or key of an application or a service principal."""

    ending: ClassVar[Ending] = Ending("remove the credential")

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look for its key id in all applications and service principals."""
        key_id = target.identifier.value
        for holders in HOLDERS:
            async for one in _all(api, holders):
                where = path("v1.0", holders, str(one.get("id")))
                if key_id in [_key_id(each) for each in _some(one, PASSWORDS)]:
                    return alive("a password has its id", where=where, keys=None)
                keys = _some(one, KEYS)
                rest = [each for each in keys if _key_id(each) != key_id]
                if len(rest) < len(keys):
                    return alive("a key has its id", where=where, keys=rest)
        return dead("no application and no service principal has it")

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Remove it where it was seen."""
        where, keys = found["where"], found["keys"]
        if keys is None:
            yield _without_password(where, target.identifier.value)
        else:
            yield Call("remove the key", "PATCH", where, json={KEYS: keys})


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
    return [mapping(one) for one in listed(record.get(field))]


def _key_id(credential: Mapping[str, Any]) -> str:
    return str(credential.get("keyId"))


FEDERATED: Final = "/federatedIdentityCredentials"
