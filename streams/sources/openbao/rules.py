"""What each successful call of OpenBao or Vault changes.

Rules:

- A lease dies with the token that asked for it, even when that one is revoked alone,
  and with every prefix of its path.
- The end of a path (mount, prefix, login name) is a ``not_before`` on it.
- A destroyed secret_id is revoked alone: the tokens that it made stay valid.
- A call that surely ends something and hides what, because the device hashed the
  name, still gives its record, with no identifiers.

Source: each rule was seen on OpenBao 2.7.2 (tests/integration/test_openbao_tree.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agents_registry.facts import Relation
from streams.model.records import Lifecycle, Parent
from streams.sources.openbao.call import VaultCall, hashed, identifier, obj, text, token
from streams.sources.openbao.tokens import (
    ALWAYS,
    ENTITY,
    REQUIRES,
    change,
    expiry,
    login,
    on_caller,
    steps,
    token_changes,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from agents_registry.identifiers import Identifier

LEASE: Final = "vault.lease"
LEASE_HMAC: Final = "vault.lease_hmac"
SECRET_ID: Final = "vault.secret_id_accessor"  # noqa: S105 - a kind, no secret
SECRET_ID_HMAC: Final = "vault.secret_id_hmac"  # noqa: S105 - a kind, no secret


def changes(call: VaultCall, orphan_roles: AbstractSet[str]) -> list[Lifecycle]:
    """Return the changes made by a call that the server carried out.

    Args:
        call: from a response line without an error.
        orphan_roles: token roles whose tokens have no parent. The line of a create
            does not tell; where the settings do not either, there is an edge.
    """
    found = []
    if call.logs_in:
        found.append(login(call))
    lease = text(obj(call.response, "secret"), "lease_id")
    if lease and call.mount_type != "system":  # there it is a renewal: no TTL is told
        found += _lease(call, lease)
    if call.mount_type == "token" and call.writes:
        found += token_changes(call, orphan_roles)
    elif call.writes:
        rule = _RULES.get(call.mount_type)
        if rule is not None:
            found += rule(call)
        elif call.mount.startswith("auth/") and not call.mount_type:
            found += _approle(call) + _userpass(call)
    return found


# ------------------------------------------------------------- leases and mounts


def _lease(call: VaultCall, lease: str) -> list[Lifecycle]:
    prefix = lease.rpartition("/")[0]
    where = call.container(prefix)
    parents = (*on_caller(call, ALWAYS), Parent(*where, REQUIRES))
    issued = change(call, "issue", identifier(LEASE, lease))
    return [issued._replace(parents=parents, ties=steps(where))]


def _system(call: VaultCall) -> list[Lifecycle]:
    if call.relative == "wrapping/unwrap":
        # It was issued when it was wrapped; now its second name shows.
        names = token(call.made, "accessor", "client_token")
        names = names or secret_id(obj(call.response, "data"))
        return [change(call, None, names)] if names else []
    relative = call.relative.removeprefix("leases/")
    verb, _, rest = relative.partition("/")
    if verb in ("revoke-prefix", "revoke-force") and rest:
        return [_ended(call, rest)]
    if verb == "revoke":
        return [change(call, "revoke", _revoked_lease(call, rest))]
    if call.operation == "delete" and verb in ("auth", "mounts", "namespaces") and rest:
        return [_ended(call, f"auth/{rest}" if verb == "auth" else rest)]
    if relative == "remount":  # ends the leases and tokens of a mount that is hashed
        return [change(call, "not_before", ())]
    return []


def _revoked_lease(call: VaultCall, rest: str) -> tuple[Identifier, ...]:
    name = text(call.data, "lease_id")
    if name and name == hashed(call.data, "lease_id"):
        return identifier(LEASE_HMAC, name)
    return identifier(LEASE, name or rest)


def _ended(call: VaultCall, path: str) -> Lifecycle:
    container = call.container(path)
    names = identifier(*container)
    return change(call, "not_before", names)._replace(ties=steps(container))


# ------------------------------------------------- entities, users and secret ids


def _identity(call: VaultCall) -> list[Lifecycle]:
    parts = call.relative.split("/")
    if parts[0] != "entity":
        return []
    if parts[1:] == ["batch-delete"]:
        return [change(call, "delete_subject", ())]
    by_id = len(parts) == 3 and parts[1] == "id"  # noqa: PLR2004 - entity/id/<id>
    names = identifier(ENTITY, parts[2]) if by_id else _entity_in_body(call)
    if call.operation == "delete":
        return [change(call, "delete_subject", names)]
    disabled = call.data.get("disabled")
    if type(disabled) is not bool or not (names or disabled):
        return []
    changed = change(call, "suspend" if disabled else "restore", names)
    return [changed._replace(aspect="account")]


def _entity_in_body(call: VaultCall) -> tuple[Identifier, ...]:
    name = text(call.data, "id")
    return () if hashed(call.data, "id") else identifier(ENTITY, name)


def _userpass(call: VaultCall) -> list[Lifecycle]:
    kind, _, name = call.relative.partition("/")
    if call.operation != "delete" or kind != "users" or not name or "/" in name:
        return []
    where = call.container(f"{call.mount}/login/{name.lower()}")
    return [
        change(call, "delete_subject", identifier(*where))._replace(ties=steps(where))
    ]


def _approle(call: VaultCall) -> list[Lifecycle]:
    parts = call.relative.split("/")
    if len(parts) < 3 or parts[0] != "role":  # noqa: PLR2004 - role/<role>/<what>
        return []
    role, what = f"{call.mount}/role/{parts[1]}", parts[2:]
    if what in (["secret-id"], ["custom-secret-id"]):
        return _secret_id(call, role)
    if what in (["secret-id", "destroy"], ["secret-id-accessor", "destroy"]):
        return [change(call, "revoke", secret_id(call.data))]
    return []


def _secret_id(call: VaultCall, role: str) -> list[Lifecycle]:
    data = obj(call.response, "data")
    names = secret_id(data) or identifier(SECRET_ID, call.wrapped)
    if not names:
        return []
    where = call.container(role)
    ttl = {"token_ttl": data.get("secret_id_ttl")}
    issued = change(call, "issue", names)._replace(expires_at=expiry(call, ttl))
    parents = (Parent(*where, REQUIRES), *on_caller(call, Relation.CREATED_BY))
    return [issued._replace(parents=parents, ties=steps(where))]


def secret_id(data: dict[str, Any]) -> tuple[Identifier, ...]:
    """Names of an AppRole secret_id, the accessor first.

    Calls name it by accessor or by itself, so the HMAC of the secret_id stands
    beside that of its accessor. Two HMACs of one salt never meet.
    """
    return (
        *identifier(SECRET_ID, text(data, "secret_id_accessor")),
        *identifier(SECRET_ID_HMAC, hashed(data, "secret_id")),
    )


_RULES: Final[dict[str, Callable[[VaultCall], list[Lifecycle]]]] = {
    "system": _system,
    "identity": _identity,
    "approle": _approle,
    "userpass": _userpass,
}
