"""Users, clients and consents of a realm: how each of them is ended.

Rules, also of `streams.actuators.keycloak.sessions`:

- A session is deleted. It is dead once no list of sessions has it, online or offline.
- What the realm does not have is dead if it was one of this realm. The ids of users and
  sessions do not tell that: what they require does, or another name.
- A user is disabled, and enabled again after a lift. What ends it for good logs it out
  too; what ends all that is older logs it out alone, which sets its not-before.
- A client is disabled, or gets a not-before. A suspend notes at the client which of the
  two were enabled, so that a lift gives back no more.
- What was exchanged from the tokens of a client's service account are tokens of that
  account's user, and Keycloak honours them further: the user is logged out with its
  client.
- A consent is revoked, with the offline tokens that it gave.
- A token has no door of its own in the admin API, and a client's part of a session has
  none: they end with the session, the user or the client, if these end too.

Source: Keycloak Admin REST API 26 (sessions, users, clients); behaviour seen on 26.7.3.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from agents_registry.identifiers import Identifier
from streams.actuators.calls import Call
from streams.actuators.keycloak.realm import CLIENT, CLIENT_UUID, SESSION, USER
from streams.actuators.ways import Look, Way, alive, dead, never, unknown
from streams.model.endings import Alive, Ending, WantedEnd
from streams.model.times import SECOND

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from streams.actuators.calls import IssuerApi
    from streams.actuators.keycloak.realm import KeycloakRealm
    from streams.model.endings import EndTarget

TOKEN: Final = "jwt.jti"  # noqa: S105 - a kind
BY_ITSELF: Final = (
    "Keycloak's admin API ends no token; end its session, its user or its client"
)
SUB: Final = "jwt.sub"
EXCHANGE: Final = "keycloak.exchange"
SUBJECT_TOKEN: Final = "keycloak.subject_token"  # noqa: S105 - a kind
EXCHANGED: Final = (
    "what was exchanged from a client's tokens for a user ends with that user"
)
GRANT: Final = "keycloak.grant"
ELSEWHERE: Final = "its name is of another realm"
NO_USER: Final = "the realm has no such user"
PAIRWISE: Final = (
    "the realm has no user of this id, and it may be a pairwise subject of one; "
    "nothing here tells which user it is"
)
NO_CLIENT: Final = "the realm has no such client"
UNPLACED: Final = "{}, and nothing that it requires tells that it was one of this realm"
DISABLED: Final = "rescind.disabled"  # attribute of a client: what we disabled of it
RESTORED: Final = "restored"
NO_CONSENT: Final = (
    "the user gave no consent that could be revoked; end the user or the client"
)


def seconds_after(time: int) -> int:
    """Whole second that lies behind a time (ns): Keycloak counts in seconds."""
    return time // SECOND + 1


class KeycloakWay(Way):
    """A way in one realm."""

    def __init__(self, realm: KeycloakRealm) -> None:
        self.realm = realm

    async def gone(self, api: IssuerApi, target: EndTarget, reason: str) -> Look:
        """Look whether what the realm does not have was ever one of it."""
        names = (target.identifier, *target.names, *target.requires)
        here = target.seen or await self.realm.has(api, names)
        if here:
            return dead(reason)
        return never(ELSEWHERE) if here is False else unknown(UNPLACED.format(reason))


class KeycloakUserWay(KeycloakWay):
    """A user, also the one of a service account."""

    ending: ClassVar[Ending] = Ending(
        "disable the user and log it out",
        mints=True, suspends=True, dated=True, placed=True,
    )  # fmt: skip

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Read whether it is enabled, its not-before and its sessions."""
        if not self.realm.issues(target.identifier):
            return never(ELSEWHERE)
        found = await self.realm.user(api, user_of(target.identifier))
        if found is None and _may_be_pairwise(target):
            return unknown(PAIRWISE)
        if found is None:
            return await self.gone(api, target, NO_USER)
        if target.not_before is not None:
            return await user_since(self.realm, api, found, target.not_before)
        if found.get("enabled") is not False:
            return alive("the user is enabled")
        # If somebody enables it again, sessions that are left would work again.
        if target.wanted is WantedEnd.ENDED and await self.realm.user_sessions(
            api, str(found.get("id"))
        ):
            return alive("the user is disabled, and was not logged out")
        return dead("the user is disabled")

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Disable, enable or log it out, as is wanted."""
        del found
        below = self.realm.path("users", user_of(target.identifier))
        if target.not_before is None:
            yield _enabled("user", below, enabled=target.wanted is WantedEnd.RESTORED)
        if target.wanted is WantedEnd.ENDED:
            yield Call("log the user out", "POST", f"{below}/logout")

    async def children(
        self, api: IssuerApi, target: EndTarget
    ) -> AsyncIterator[Identifier]:
        """Yield its sessions."""
        user = user_of(target.identifier)
        for one in await self.realm.user_sessions(api, user):
            yield Identifier(SESSION, str(one.get("id")))
        async for one in self.realm.offline_of(api, user):
            yield Identifier(SESSION, str(one.get("id")))


def _may_be_pairwise(target: EndTarget) -> bool:
    """Whether the subject of a token may be another text than the id of its user.

    A client may have a mapper of pairwise subjects (OpenID Connect Core 1.0, 8.1).
    """
    user = Identifier(USER, user_of(target.identifier))
    known = target.seen or user in (*target.names, *target.requires)
    return target.identifier.kind == SUB and not known


def user_of(name: Identifier) -> str:
    """Id of a user; tokens name it behind their issuer."""
    return name.value.rpartition("|")[2]


async def user_since(
    realm: KeycloakRealm, api: IssuerApi, user: Mapping[str, Any], since: int
) -> Look:
    """Look at what a user was given up to a time (ns).

    Whether the user is disabled says nothing of that: somebody may enable it again,
    and what was not logged out works then.
    """
    after = seconds_after(since)
    if _number(user.get("notBefore")) < after:
        return alive("the user's not-before is earlier, or in the same second")
    for one in await realm.user_sessions(api, str(user.get("id"))):
        if _number(one.get("start")) < after * 1000:
            return alive("the user has a session from before")
    return dead("the user's not-before is later, and no session is from before")


class KeycloakClientWay(KeycloakWay):
    """A client, by its client id or its internal id."""

    ending: ClassVar[Ending] = Ending(
        "disable the client and its service account, or set a not-before of both",
        mints=True, suspends=True, dated=True,
    )  # fmt: skip

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Read whether it is enabled, its not-before, and its service account's."""
        found = await self.realm.client(api, target.identifier)
        if found is None:
            return dead(NO_CLIENT)
        uuid, since = str(found.get("id")), target.not_before
        account = await self.account(api, found)
        user = str(account.get("id")) if account else ""
        parts: dict[str, Any] = {"uuid": uuid, "user": user}
        both = {"client": found} | ({"account": account} if account else {})
        off = {name for name, one in both.items() if one.get("enabled") is False}
        parts |= {"on": both.keys() - off, "ours": _disabled_by_us(found)}
        if target.wanted is WantedEnd.RESTORED:
            if off & parts["ours"]:
                return Look(Alive.DEAD, "what was suspended of it is disabled", parts)
            return alive("what was suspended of it is enabled", **parts)
        return await self._usable(api, (found, account), since, parts)

    async def _usable(
        self,
        api: IssuerApi,
        both: tuple[Mapping[str, Any], Mapping[str, Any] | None],
        since: int | None,
        parts: Mapping[str, Any],
    ) -> Look:
        found, account = both
        if since is not None:
            return await self._since(api, both, since, parts)
        if account is not None and account.get("enabled") is not False:
            return alive("its service account is enabled", **parts)
        if found.get("enabled") is not False:
            return alive("the client is enabled", **parts)
        return dead("the client is disabled, as its service account")

    async def _since(
        self,
        api: IssuerApi,
        both: tuple[Mapping[str, Any], Mapping[str, Any] | None],
        since: int,
        parts: Mapping[str, Any],
    ) -> Look:
        """Look at what both were given up to a time (ns), disabled or not."""
        found, account = both
        if account is not None:
            seen = await user_since(self.realm, api, account, since)
            if seen.alive is Alive.ALIVE:
                return alive(f"of its service account: {seen.reason}", **parts)
        if _number(found.get("notBefore")) < seconds_after(since):
            return alive("the client's not-before is earlier", **parts)
        return dead("the client's not-before is later, as its service account's")

    async def account(
        self, api: IssuerApi, client: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """User of a client's service account; None: it has none."""
        if client.get("serviceAccountsEnabled") is not True:
            return None
        uuid = str(client.get("id"))
        below = self.realm.path("clients", uuid, "service-account-user")
        found = await api.object(Call("read its service account", "GET", below))
        return await self.realm.user(api, str((found or {}).get("id")))

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Disable or enable both, or set the not-before of both."""
        below = self.realm.path("clients", found["uuid"])
        user = self.realm.path("users", found["user"]) if found["user"] else ""
        if target.wanted is WantedEnd.RESTORED:
            if user and "account" in found["ours"]:
                yield _enabled("service account", user, enabled=True)
            note: dict[str, Any] = {"attributes": {DISABLED: RESTORED}}
            if "client" in found["ours"]:
                note |= {"enabled": True}
            yield Call("enable the client", "PUT", below, json=note)
            return
        if target.not_before is None:
            note = {"enabled": False}
            if target.wanted is WantedEnd.SUSPENDED:
                ours = ",".join(sorted(found["ours"] | found["on"])) or RESTORED
                note |= {"attributes": {DISABLED: ours}}
            yield Call("disable the client", "PUT", below, json=note)
            if user:
                yield _enabled("service account", user, enabled=False)
            return
        since = {"notBefore": seconds_after(target.not_before)}
        yield Call("set the client's not-before", "PUT", below, json=since)
        yield Call("push the not-before", "POST", f"{below}/push-revocation")
        if user:
            yield Call("log the service account out", "POST", f"{user}/logout")


def _disabled_by_us(client: Mapping[str, Any]) -> set[str]:
    """Parts of a client that a suspend of ours disabled."""
    attributes = client.get("attributes")
    noted = attributes.get(DISABLED) if isinstance(attributes, dict) else None
    return {"client", "account"}.intersection(str(noted).split(","))


def counts(parent: EndTarget, target: EndTarget) -> bool:
    """Whether the end of what a target requires may be the end of the target.

    What is only suspended is given back by a lift, with all that hangs on it. So it
    proves nothing of what is to end for good.
    """
    ended = WantedEnd.ENDED
    return target.wanted is not ended or parent.wanted is ended


class KeycloakExchangeWay(KeycloakWay):
    """What was exchanged from a client's tokens for one user.

    It ends with its client only where the user is the client's own service account:
    what was exchanged for people lives on.
    """

    ending: ClassVar[Ending] = Ending("it ends with its user", dated=True, above=True)

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look at the client that it requires, if its account is the user."""
        user = target.identifier.value.rpartition("|")[2]
        client_way = KeycloakClientWay(self.realm)
        waits = False
        for one in target.above:
            if not counts(one, target):
                continue
            if one.identifier.kind == EXCHANGE:  # what was exchanged once more
                seen = await self.look(api, one)
                if seen.alive is Alive.DEAD:
                    return seen
                waits = waits or not seen.never
            if one.identifier.kind not in (CLIENT, CLIENT_UUID):
                continue
            client = await self.realm.client(api, one.identifier)
            account = None if client is None else await client_way.account(api, client)
            if account is None or account.get("id") != user:
                continue
            seen = await client_way.look(api, one)
            if seen.alive is Alive.DEAD:
                return dead(f"with its client: {seen.reason}")
            waits = True
        if waits:
            return unknown("it ends with its client, which lives")
        return never(EXCHANGED)

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Return none."""
        del target, found
        return ()


class KeycloakGrantWay(KeycloakWay):
    """What a user allowed a client: the consent, and offline tokens by it."""

    ending: ClassVar[Ending] = Ending("revoke the consent", dated=True)

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look for the client among the consents and the sessions of the user."""
        realm_id, _, rest = target.identifier.value.partition("|")
        client_id, _, user = rest.rpartition("|")
        await self.realm.check(api, realm_id)
        if await self.realm.user(api, user) is None:
            return dead(NO_USER)
        below = self.realm.path("users", user, "consents")
        until = _until(target)
        for one in await api.objects(Call("list its consents", "GET", below)):
            given = _number(one.get("createdDate"))
            if one.get("clientId") == client_id and given < until:
                place = f"{below}/{quote(client_id, safe='')}"
                return alive("the user's consent stands", place=place)
        for one in await self.realm.user_sessions(api, user):
            clients = one.get("clients")
            if _number(one.get("start")) < until and (
                isinstance(clients, dict) and client_id in clients.values()
            ):
                return never(NO_CONSENT)
        return dead("no consent and no session of the client is from before")

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Revoke it."""
        del target
        yield Call("revoke the consent", "DELETE", found["place"])


def _until(target: EndTarget) -> float:
    """Milliseconds up to which all is to end."""
    since = target.not_before
    return math.inf if since is None else seconds_after(since) * 1000


def _enabled(noun: str, below: str, *, enabled: bool) -> Call:
    verb = "enable" if enabled else "disable"
    return Call(f"{verb} the {noun}", "PUT", below, json={"enabled": enabled})


def _number(value: Any) -> int:
    return value if type(value) is int else 0
