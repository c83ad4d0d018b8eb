"""How tokens of OpenBao or Vault come to be, are renewed and end.

Rules:

- A token requires the token that made it, unless the call or the role says orphan.
  A login token requires its login path (and so its mount), never the caller.
- A batch token dies with its token even when that one is revoked alone
  (``revoke-orphan``); a service token does not.

Source: each rule was seen on OpenBao 2.7.2 (tests/integration/test_openbao_tree.py).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from agents_registry.facts import Relation
from streams.model.records import Lifecycle, Parent, Tie
from streams.model.times import ABSURD, SECOND
from streams.sources.openbao.call import (
    ACCESSOR,
    TOKEN,
    VaultCall,
    chain,
    hashed,
    identifier,
    obj,
    text,
    token,
)
from streams.sources.reading.fields import requires

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from agents_registry.identifiers import Identifier

NAME: Final = "openbao"
ENTITY: Final = "vault.entity"

REQUIRES: Final = Relation.REQUIRES
ALWAYS: Final = Relation.ENDS_WITH_PARENT_ALWAYS


def token_changes(call: VaultCall, orphan_roles: AbstractSet[str]) -> list[Lifecycle]:
    """Return the changes made by a call on the token mount."""
    verb, _, rest = call.relative.partition("/")
    if verb in ("create", "create-orphan"):
        # With a role the server ignores no_parent: the role alone decides.
        orphan = verb == "create-orphan" or (
            rest in orphan_roles if rest else call.data.get("no_parent") is True
        )
        return _created(call, orphan=orphan)
    if verb in ("renew", "renew-self", "renew-accessor"):
        return _renewed(call)
    if verb == "revoke-self":
        return [change(call, "revoke", call.caller)]
    if verb == "revoke-accessor":
        name = text(call.data, "accessor")
        return [change(call, "revoke", identifier(ACCESSOR, name))]
    if verb in ("revoke", "revoke-orphan"):
        name = hashed(call.data, "token")
        revoked = change(call, "revoke", identifier(TOKEN, name))
        return [
            revoked._replace(reach="self" if verb == "revoke-orphan" else "subtree")
        ]
    return []


def _created(call: VaultCall, *, orphan: bool) -> list[Lifecycle]:
    auth = call.made
    names = token(auth, "accessor", "client_token") or _wrapped(call)
    if not names:
        return []
    always = auth.get("token_type") == "batch"
    relation = ALWAYS if always else Relation.ENDS_WITH_PARENT
    parents = [] if orphan else on_caller(call, relation)
    # The create path holds what revoke-prefix ends; batch tokens have no lease.
    ties = () if always else _hang(names[0], call.container(call.path))
    return [_issue(call, names, auth, (*parents, *_entity(auth)), ties)]


def _renewed(call: VaultCall) -> list[Lifecycle]:
    names = token(call.made, "accessor", "client_token")
    if not names:
        return []
    renewed = change(call, None, names)
    return [renewed._replace(expires_at=expiry(call, call.made))]


def login(call: VaultCall) -> Lifecycle:
    """Issue of a token at one of the other auth mounts."""
    auth = call.made or call.auth
    names = token(auth, "accessor", "client_token") or _wrapped(call)
    # Where the client sent a token along, the server writes that one's HMAC in place
    # of the new one's (seen on OpenBao 2.7.2). The accessor is the new one's.
    names = tuple(name for name in names if name not in call.presented)
    where = call.container(_login_path(call))
    parents = (Parent(*where, REQUIRES), *_entity(auth))
    return _issue(call, names, auth, parents, steps(where))


def _login_path(call: VaultCall) -> str:
    # userpass takes a user's name in any case and keeps it in lower case.
    folds = call.mount_type == "userpass"
    return f"{call.mount}/{call.relative.lower()}" if folds else call.path


def _wrapped(call: VaultCall) -> tuple[Identifier, ...]:
    """Accessor of a token that the client gets in a wrapping."""
    return identifier(ACCESSOR, call.wrapped)


def _issue(
    call: VaultCall,
    names: tuple[Identifier, ...],
    auth: dict[str, Any],
    parents: tuple[Parent, ...],
    ties: tuple[Tie, ...],
) -> Lifecycle:
    metadata = obj(auth, "metadata")
    agent, owner = text(metadata, "agent_id"), text(metadata, "owner")
    return change(call, "issue", names)._replace(
        parents=parents,
        ties=ties,
        expires_at=expiry(call, auth),
        owner=owner_of(auth),
        owners=identifier("agent.id", agent) or identifier("person.id", owner),
    )


def owner_of(auth: dict[str, Any]) -> str | None:
    """Owner of a token, in its maker's words (token metadata is plain)."""
    metadata = obj(auth, "metadata")
    named = text(metadata, "owner") or text(metadata, "agent_id")
    return named or text(auth, "display_name") or None


def expiry(call: VaultCall, auth: dict[str, Any]) -> int | None:
    """End of a token (ns): its TTL counts from the line's time."""
    seconds = auth.get("token_ttl")
    if call.time is None or type(seconds) is not int or seconds <= 0:
        return None
    end = call.time + seconds * SECOND
    return end if end < ABSURD else None


def _entity(auth: dict[str, Any]) -> tuple[Parent, ...]:
    return requires(*identifier(ENTITY, text(auth, "entity_id")))


def on_caller(call: VaultCall, relation: Relation) -> list[Parent]:
    """Caller's token as a parent."""
    return [Parent(*name, relation) for name in call.caller[:1]]


def change(
    call: VaultCall, effect: str | None, names: tuple[Identifier, ...]
) -> Lifecycle:
    """Record of a change, without what only some changes have."""
    return Lifecycle(
        source=NAME,
        event_id=call.event_id,
        event_type=call.event_type,
        effect=effect,
        occurred_at=call.time,
        identifiers=names,
        offset=call.offset,
        actor=() if call.logs_in else call.caller,
        outcome="allowed",
    )


def steps(container: Identifier) -> tuple[Tie, ...]:
    """Hang each path on its parent path."""
    paths = chain(container)
    return tuple(Tie(child, parent, REQUIRES) for child, parent in pairwise(paths))


def _hang(child: Identifier, container: Identifier) -> tuple[Tie, ...]:
    return (Tie(child, container, REQUIRES), *steps(container))
