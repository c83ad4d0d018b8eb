"""Adopt the secret ids of AppRole mounts, by accessor.

They are named as the audit mapper names them, by the HMAC of their accessor: a device
writes it hashed even where it writes accessors of tokens as they are. A secret id
requires its role.

Source: OpenBao API documentation, "AppRole auth method"; answers of OpenBao 2.7.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from agents_registry.identifiers import Identifier
from streams.sources.adopting.walk import ListRequest, Steps, portions
from streams.sources.openbao.call import chain
from streams.sources.openbao.rules import SECRET_ID
from streams.sources.reading.fields import identifier, listed, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.sources.adopting.listing import Listing

REFUSED: Final = "AppRole mounts whose roles or secret ids may not be listed"
_NOTHING: Final = (400, 404)  # nothing in the list, or gone meanwhile
_FORBIDDEN: Final = 403


def secret_ids(mounts: Mapping[str, Any], device: str, listing: Listing) -> Steps:
    """List the secret ids of every AppRole mount.

    Args:
        mounts: the auth mounts, by path with a slash at its end.
        device: of the audit log; its salt makes the names.
        listing: counts what may not be listed.

    Returns:
        The look-ups, each with ``role`` and ``audit_hash`` beside.
    """
    found: list[dict[str, Any]] = []
    for name, mount in mounts.items():
        if mapping(mount).get("type") != "approle":
            continue
        where = f"auth/{name.strip('/')}/role"
        roles = yield from _keys([where], listing)
        paths = [f"{where}/{quote(role, safe='')}" for role in roles[0]]
        for some in portions(paths):
            accessors = yield from _keys([f"{one}/secret-id" for one in some], listing)
            pairs = zip(some, accessors, strict=True)
            asked = [(role, one) for role, many in pairs for one in many]
            for portion in portions(asked):
                found += yield from _look_ups(portion, device)
    return found


def add_secret_ids(
    listing: Listing, found: Iterable[Mapping[str, Any]], namespace: str
) -> None:
    """Take secret ids into a listing."""
    for data in found:
        metadata = mapping(data.get("metadata"))
        paths = chain(Identifier("vault.path", f"{namespace}{data['role']}"))
        listing.add(
            identifier(SECRET_ID, data["audit_hash"]),
            issued_at=data.get("creation_time"),
            changed_at=data.get("last_updated_time"),
            expires_at=data.get("expiration_time"),
            parents=paths[:1],
            owners=[
                identifier("agent.id", metadata.get("agent_id"))
                or identifier("person.id", metadata.get("owner"))
            ],
        )
        for number, one in enumerate(paths):
            listing.imply(one, parents=paths[number + 1 : number + 2])


def _keys(paths: list[str], listing: Listing) -> Steps:
    """List what is below some paths; nothing where that is empty or forbidden."""
    replies = yield [
        ListRequest(f"{path}?list=true", may_fail=(*_NOTHING, _FORBIDDEN))
        for path in paths
    ]
    listing.left_out[REFUSED] += sum(one.status == _FORBIDDEN for one in replies)
    return [
        [key for key in listed(_data(reply).get("keys")) if text(key)]
        for reply in replies
    ]


def _look_ups(asked: list[tuple[str, str]], device: str) -> Steps:
    looks = [
        ListRequest(
            f"{role}/secret-id-accessor/lookup",
            {"secret_id_accessor": accessor},
            may_fail=_NOTHING,
        )
        for role, accessor in asked
    ]
    hashes = [
        ListRequest(f"sys/audit-hash/{quote(device)}", {"input": accessor})
        for _, accessor in asked
    ]
    replies = yield looks + hashes
    return [
        _data(look) | {"role": role, "audit_hash": _data(digest).get("hash")}
        for (role, _), look, digest in zip(
            asked, replies[: len(asked)], replies[len(asked) :], strict=True
        )
        if look.status not in _NOTHING
    ]


def _data(reply: Any) -> dict[str, Any]:
    return mapping(reply.object().get("data"))
