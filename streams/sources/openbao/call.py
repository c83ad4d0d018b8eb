"""Read one line of an OpenBao or Vault audit device into a call.

Nothing of a line is taken on trust: a field of another type than the format says
counts as absent. Values that the device was told not to hash are never taken where
they could be a secret (`hashed`).

Source: openbao/openbao internal/audit/format.go, and lines of OpenBao 2.7.2.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any, Final, NamedTuple

from agents_registry.identifiers import MAX_VALUE_BYTES, Identifier

ACCESSOR: Final = "vault.accessor"
TOKEN: Final = "vault.token_hmac"  # noqa: S105 - the name of a kind
PATH: Final = "vault.path"

HASHED: Final = "hmac-sha256:"
# What stands in the log as an HMAC; accessors in plain text where the device says so.
OPEN_KINDS: Final = frozenset({ACCESSOR, "vault.secret_id_accessor"})
HASHED_KINDS: Final = OPEN_KINDS | {
    TOKEN, "vault.secret_id_hmac", "vault.lease_hmac",
}  # fmt: skip
# A token that somebody put into a URL stands there in plain text: s., b., r. with or
# without hv in front (Vault 1.10), or anything behind these endpoints of old clients.
_TOKEN_SHAPE: Final = re.compile(r"(?:hv)?[sbr]\.[\w.-]{20,}", re.ASCII)
_TOKEN_IN_PATH: Final = frozenset({"lookup", "renew", "revoke", "revoke-orphan"})
REDACTED: Final = "[token]"
_ERROR_LENGTH: Final = 500
_CALL: Final = ("operation", "path", "client_token_accessor", "client_token")
# What OpenBao writes as token_type of a caller whose token it did not look up.
_UNRESOLVED: Final = "default"


class VaultCall(NamedTuple):
    """One API call, as its request or response line tells it.

    Attributes:
        time: of the line (ns), None where it is unreadable.
        path: within its namespace, without tokens that stood in the URL.
        namespace: empty for the root namespace, else with a slash at its end.
        mount_type: as the server names it, without ``ns_``; empty where unknown.
        mount: path of the mount, without a slash at its end.
        relative: the path within the mount.
        caller: the token that the server accepted, accessor first; empty where it
            looked at none.
        presented: the token that the client sent, accepted or not.
        auth: of the caller, except that a login shows the new token here.
        made: the token that the response brings.
        error: on one line; empty when the call succeeded.
        address: of the client, as the server saw it.
    """

    offset: int
    event_id: str | None
    time: int | None
    operation: str
    path: str
    namespace: str
    mount_type: str
    mount: str
    relative: str
    caller: tuple[Identifier, ...]
    presented: tuple[Identifier, ...]
    auth: dict[str, Any]
    made: dict[str, Any]
    data: dict[str, Any]
    response: dict[str, Any]
    error: str
    address: str | None

    @property
    def event_type(self) -> str:
        """Operation and path, as people search for them."""
        return f"{self.operation} {self.path}"

    @property
    def writes(self) -> bool:
        """Whether the call may change anything."""
        return self.operation in ("create", "update", "patch", "delete")

    @property
    def wrapped(self) -> str:
        """Accessor of what the client gets in a wrapping, or nothing."""
        return text(obj(self.response, "wrap_info"), "wrapped_accessor")

    @property
    def logs_in(self) -> bool:
        """Whether the call asks for a token by something else than a token.

        When it succeeds, its top-level ``auth`` is the new token, not the caller.
        """
        if self.mount_type == "token" or not self.mount.startswith("auth/"):
            return False
        if self.made or self.relative.partition("/")[0] == "login":
            return True
        return bool(self.wrapped) and self.wrapped == text(self.auth, "accessor")

    def container(self, path: str) -> Identifier:
        """Container of a path of the call's namespace."""
        return Identifier(PATH, (self.namespace + path).strip("/"))


class BareCalls:
    """Names for the calls whose lines have no id, so that their lines pair.

    The oldest request of an operation, path and token belongs to the next response of
    the same. Help calls of some servers are such, and the first calls of a new one.
    """

    def __init__(self, limit: int) -> None:
        """Remember at most so many kinds of call, and requests of each."""
        self._limit = limit
        self._named = 0
        self._open: dict[tuple[str, ...], deque[str]] = {}

    def name(self, request: dict[str, Any], kind: str) -> str:
        """Name that no other call has; no id of a server begins like it."""
        asked = tuple(text(request, one) for one in _CALL)
        waiting = self._open.get(asked)
        if kind == "response" and waiting:
            found = waiting.popleft()
            if not waiting:
                del self._open[asked]
            return found
        self._named += 1
        name = f"\0{self._named}"
        if kind == "request":
            self._open.setdefault(asked, deque(maxlen=self._limit)).append(name)
            if len(self._open) > self._limit:
                del self._open[next(iter(self._open))]
        return name


def read(event: dict[str, Any], offset: int, time: int | None) -> VaultCall:
    """Read a request or response line."""
    request = obj(event, "request")
    auth = obj(event, "auth")
    response = obj(event, "response")
    namespace = text(obj(request, "namespace"), "path")
    path = text(request, "path").strip("/").removeprefix(namespace)
    mount_type, mount, relative = _mount(request, path, namespace)
    clean = _redacted(path, mount, relative, mount_type)
    presented = token(request, "client_token_accessor", "client_token")
    resolved = auth.get("token_type") != _UNRESOLVED
    return VaultCall(
        offset=offset,
        event_id=text(request, "id") or None,
        time=time,
        operation=text(request, "operation"),
        path=clean,
        namespace=namespace,
        mount_type=mount_type,
        mount=mount,
        relative=clean[len(mount) :].strip("/"),
        caller=token(auth, "accessor", "client_token") if resolved else (),
        presented=presented,
        auth=auth,
        made=obj(response, "auth"),
        data=obj(request, "data"),
        response=response,
        error=_error(text(event, "error")),
        address=text(request, "remote_address") or None,
    )


def obj(value: dict[str, Any], name: str) -> dict[str, Any]:
    """Member that is an object, else an empty one."""
    member = value.get(name)
    return member if type(member) is dict else {}


def text(value: dict[str, Any], name: str) -> str:
    """Member that is a string, else an empty one."""
    member = value.get(name)
    return member if type(member) is str else ""


def hashed(value: dict[str, Any], name: str) -> str:
    """Member that the device hashed, else an empty string.

    With ``log_raw`` or ``audit_non_hmac_request_keys`` a secret may stand there.
    """
    member = text(value, name)
    return member if member.startswith(HASHED) and _fits(member) else ""


def token(value: dict[str, Any], accessor: str, secret: str) -> tuple[Identifier, ...]:
    """Names of a token, the accessor (where there is one) first.

    Vault's own HMACs are used as given. An accessor is no secret: a device with
    ``hmac_accessor = false`` writes it in plain text.
    """
    names = []
    if (found := text(value, accessor)) and _fits(found):
        names.append(Identifier(ACCESSOR, found))
    if found := hashed(value, secret):
        names.append(Identifier(TOKEN, found))
    return tuple(names)


def identifier(kind: str, value: str) -> tuple[Identifier, ...]:
    """Return the identifier, or none where the value is empty or too long."""
    return (Identifier(kind, value),) if value and _fits(value) else ()


def chain(container: Identifier) -> list[Identifier]:
    """Path and its parent paths, the longest first."""
    parts = container.value.split("/")
    paths = ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
    return [Identifier(PATH, path) for path in paths if path and _fits(path)]


def raw_token(event: dict[str, Any]) -> bool:
    """Whether the device writes tokens in plain text (``log_raw``)."""
    auth, request = event.get("auth"), event.get("request")
    return any(
        type(holder) is dict
        and bool(value := text(holder, "client_token"))
        and not value.startswith(HASHED)
        for holder in (auth, request)
    )


def _error(message: str) -> str:
    """Error on one line, without tokens that it quotes."""
    return _TOKEN_SHAPE.sub(REDACTED, " ".join(message.split()))[:_ERROR_LENGTH]


def _fits(value: str) -> bool:
    return len(value) <= MAX_VALUE_BYTES and len(value.encode()) <= MAX_VALUE_BYTES


def _mount(request: dict[str, Any], path: str, namespace: str) -> tuple[str, str, str]:
    """Type, path and the rest of the path, by what the server says of the mount.

    Without its word (older servers, calls that reached no mount) the usual places
    count. In a namespace the types of the built-in mounts begin with ``ns_``.
    """
    mount_type = text(request, "mount_type").removeprefix("ns_")
    mount = text(request, "mount_point").removeprefix(namespace).strip("/")
    if not mount or not f"{path}/".startswith(f"{mount}/"):
        first, _, rest = path.partition("/")
        mount = f"auth/{rest.partition('/')[0]}" if first == "auth" else first
        mount_type = mount_type or _USUAL.get(mount, "")
    return mount_type, mount, path[len(mount) :].strip("/")


_USUAL: Final = {"sys": "system", "identity": "identity", "auth/token": "token"}


def _redacted(path: str, mount: str, relative: str, mount_type: str) -> str:
    verb, slash, _ = relative.partition("/")
    if slash and mount_type == "token" and verb in _TOKEN_IN_PATH:
        return f"{mount}/{verb}/{REDACTED}"
    if "." not in path:
        return path
    return "/".join(
        REDACTED if _TOKEN_SHAPE.fullmatch(part) else part for part in path.split("/")
    )
