"""A random walk of logins, exchanges and revocations at a running Keycloak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from tests.recordings.keycloak.realm import KeycloakError, Realm

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

_USERS: Final = ("alice", "bob")
_SERVICES: Final = ("svc-a", "batch")
_DISABLED: Final = ("app", "svc-a", "svc-b", "svc-c", "batch")
# Who may exchange the tokens of whom.
_NEXT: Final = {"app": "svc-b", "svc-a": "svc-b", "svc-b": "svc-c"}


@frozen
class Holder:
    """A token's client, and the user that it speaks for."""

    client: str
    user: str


@define
class Walk:
    """Does one thing after the other.

    Attributes:
        holders: of all tokens so far, by label.
        living: those that were active last; they are the ones that are worked with.
        disabled: users and clients.
        done: what was done, for people.
    """

    realm: Realm
    random: Random
    holders: dict[str, Holder] = field(factory=dict)
    living: set[str] = field(factory=set)
    disabled: set[str] = field(factory=set)
    done: list[str] = field(factory=list)

    async def step(self) -> bool:
        """Do something; tell whether Keycloak did it."""
        (act,) = self.random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        try:
            said = await act(self)
        except KeycloakError:
            return False  # the client is disabled, the token dead: as it should be
        if said:
            self.done.append(said)
        return bool(said)

    def _label(self) -> str:
        return f"t{len(self.holders)}"

    def _any(self, *, refreshed: bool = False) -> str | None:
        """Choose a living token, or one of them that came with a refresh token."""
        among = sorted(self.living)
        if refreshed:
            among = [one for one in among if one in self.realm.refresh_tokens]
        return self.random.choice(among) if among else None

    async def _login(self) -> str:
        label, user = self._label(), self.random.choice(_USERS)
        await self.realm.login(label, user)
        self.holders[label] = Holder("app", user)
        return f"{user} logs in: {label}"

    async def _service(self) -> str:
        label, client = self._label(), self.random.choice(_SERVICES)
        await self.realm.service(label, client)
        self.holders[label] = Holder(client, f"account of {client}")
        return f"{client} gets {label}"

    async def _refresh(self) -> str | None:
        old, label = self._any(refreshed=True), self._label()
        if old is None:
            return None
        await self.realm.refresh(label, old, self.holders[old].client)
        self.holders[label] = self.holders[old]
        return f"{old} is refreshed: {label}"

    async def _exchange(self) -> str | None:
        old, label = self._any(), self._label()
        client = _NEXT.get(self.holders[old].client) if old else None
        if old is None or client is None:
            return None
        user = self.holders[old].user
        lasting = user in _USERS and self.random.random() < 1 / 3
        await self.realm.exchange(label, client, old, refresh=lasting)
        self.holders[label] = Holder(client, user)
        return f"{client} exchanges {old}: {label}"

    async def _revoke(self) -> str | None:
        token = self._any()
        if token is None:
            return None
        await self.realm.revoke(self.holders[token].client, self.realm.tokens[token])
        return f"{token} is revoked"

    async def _revoke_refresh(self) -> str | None:
        token = self._any(refreshed=True)
        if token is None:
            return None
        refresh = self.realm.refresh_tokens[token]
        await self.realm.revoke(self.holders[token].client, refresh)
        return f"the refresh token of {token} is revoked"

    async def _delete_session(self) -> str | None:
        token = self._any()
        session = self.realm.claims(token).get("sid") if token else None
        if session is None:
            return None
        await self.realm.admin("DELETE", f"/sessions/{session}")
        return f"the session of {token} is deleted"

    async def _log_out(self) -> str:
        user = self.random.choice(_USERS)
        await self.realm.admin("POST", f"/users/{self.realm.users[user]}/logout")
        return f"{user} is logged out"

    async def _log_out_all(self) -> str:
        await self.realm.admin("POST", "/logout-all")
        return "all are logged out"

    async def _switch_user(self) -> str:
        name, enabled = self._switched(_USERS)
        path = f"/users/{self.realm.users[name]}"
        await self.realm.admin("PUT", path, {"enabled": enabled})
        return f"{name} is {'enabled' if enabled else 'disabled'}"

    async def _switch_client(self) -> str:
        name, enabled = self._switched(_DISABLED)
        body: dict[str, Any] = {"enabled": enabled}
        if self.random.random() < 1 / 2:
            body["clientId"] = name
        path = f"/clients/{self.realm.clients[name]}"
        await self.realm.admin("PUT", path, body)
        return f"{name} is {'enabled' if enabled else 'disabled'}"

    def _switched(self, names: tuple[str, ...]) -> tuple[str, bool]:
        """Choose what is disabled next, or enabled again where something is off."""
        off = [name for name in names if name in self.disabled]
        name = self.random.choice(off or names)
        self.disabled ^= {name}
        return name, bool(off)


_WEIGHTS: Final[dict[Callable[[Walk], Awaitable[str | None]], int]] = {
    Walk._login: 6, Walk._service: 3, Walk._refresh: 4, Walk._exchange: 12,
    Walk._revoke: 3, Walk._revoke_refresh: 3, Walk._delete_session: 3,
    Walk._log_out: 1, Walk._log_out_all: 1, Walk._switch_user: 2,
    Walk._switch_client: 3,
}  # fmt: skip
