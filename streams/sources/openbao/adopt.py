"""Adopt the tokens that an OpenBao or Vault has: accessors, looked up and hashed.

Rules:

- A token is named as its audit log names it: by the HMAC of its accessor, which the
  server makes (``sys/audit-hash``). Its other name, the HMAC of the token itself, needs
  the token, which nobody but its holder has; the first use in the log tells it.
- The server never says which token made another one. `parents_of` derives what is
  certain; a token whose parent stays open is counted.
- It requires its path and its entity, as the audit mapper has it.
- Batch tokens have no accessor and are not listed. Tokens of response wrapping live
  for one call and are left out.
- An entity that is disabled is suspended, as the event that disables one does.

Source: OpenBao API documentation, "Token auth method", "/sys/audit-hash", "Entity";
answers of OpenBao 2.7.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from attrs import frozen

from agents_registry.identifiers import Identifier
from streams.model.times import SECOND, sound_time
from streams.outbound.answers import HttpAnswer
from streams.sources.adopting.adoption import Adoption, Option
from streams.sources.adopting.listing import Listing, ListingError
from streams.sources.adopting.walk import ListRequest, Walk, ask, portions
from streams.sources.openbao.adopt_secret_ids import add_secret_ids, secret_ids
from streams.sources.openbao.call import ACCESSOR, chain
from streams.sources.openbao.tokens import ENTITY
from streams.sources.reading.fields import identifier, listed, mapping, text

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from streams.sources.adopting.adoption import ListedSystem

GONE: Final = "gone while the list was read"
WRAPPING: Final = "of a response wrapping"
UNTOLD: Final = (
    "of {}, no orphans, the server does not tell which token made them: whether they "
    "end with that one is not known; an audit log of that time tells it "
    "(rescind adopt access-log)"
)
NO_HASH: Final = (
    "a token has no audit_hash: add what sys/audit-hash says of its accessor, or say "
    "--plain-accessors for a device with hmac_accessor=false"
)
_NOT_THERE: Final = (400, 403, 404)


@frozen
class VaultOptions:
    """How the vault is set up.

    Attributes:
        device: name of the audit device that Rescind reads; its salt makes the names.
        plain: the device writes accessors as they are (``hmac_accessor=false``).
        namespace: with a slash at its end; empty for the root namespace.
    """

    device: str = "file"
    plain: bool = False
    namespace: str = ""


@frozen
class VaultToken:
    """A looked-up token.

    Attributes:
        name: of its accessor, as the audit log has it.
        issued: order of issue (ns).
    """

    name: Identifier
    data: Mapping[str, Any]
    issued: int

    @property
    def orphan(self) -> bool:
        """Whether it ends with no other token."""
        return self.data.get("orphan") is not False

    @property
    def entity(self) -> str:
        """Entity's id; empty where it has none."""
        return text(self.data.get("entity_id")) or ""

    @property
    def may_make_tokens(self) -> bool:
        """Whether it can have children: one of limited uses cannot."""
        return not self.data.get("num_uses")


def walk(options: VaultOptions) -> Walk:
    """List all tokens of a namespace, and look each up.

    Raises:
        ListingError: the server refuses a part, or does not answer as documented.
    """
    reply = yield from ask(
        ListRequest("auth/token/accessors?list=true", may_fail=(404,))
    )
    accessors = [a for a in listed(_data(reply).get("keys")) if text(a)]
    found: list[dict[str, Any]] = []
    gone = 0
    for some in portions(accessors):
        looks = [_look_up(accessor) for accessor in some]
        hashes = [] if options.plain else [_hash(options, each) for each in some]
        replies = yield looks + hashes
        for number, accessor in enumerate(some):
            data = _looked_up(replies[number])
            if data is None:
                gone += 1
                continue
            if not options.plain:
                data["audit_hash"] = _data(replies[len(some) + number]).get("hash")
            found.append(data | {"accessor": accessor})
    mounts = yield from ask(ListRequest("sys/auth", may_fail=(403,)))
    folding = _userpass(_data(mounts))
    entities = yield from _entities(found)
    listing = of_documents(found, options, folding, entities)
    listing.left_out[GONE] += gone
    secrets = yield from secret_ids(_data(mounts), options.device, listing)
    add_secret_ids(listing, secrets, options.namespace)
    if mounts.status != 200:  # noqa: PLR2004 - HTTP's OK
        listing.notes.append(
            "sys/auth is refused: no secret ids of AppRole are listed, and paths of "
            "userpass logins count as they are written"
        )
    return listing


def of_documents(
    found: Iterable[Mapping[str, Any]],
    options: VaultOptions,
    folding: frozenset[str] = frozenset(),
    entities: Mapping[str, Mapping[str, Any]] | None = None,
) -> Listing:
    """Return the listing of looked-up tokens.

    Args:
        found: the ``data`` of each look-up, with ``audit_hash`` beside; an answer as a
            whole is read too.
        options: how the vault is set up.
        folding: mounts that take names in any case (userpass).
        entities: what is known of entities, by id.

    Raises:
        ListingError: an item is no look-up.
    """
    listing = Listing()
    tokens: dict[Identifier, VaultToken] = {}
    for item in found:
        data = dict(item) | dict(mapping(item.get("data")))
        if text(data.get("accessor")) is None:
            raise ListingError("an item has no accessor: it is no token look-up")
        if data.get("policies") == ["response-wrapping"]:
            listing.left_out[WRAPPING] += 1
            continue
        token = _token(data, options)
        tokens[token.name] = token
    made_by, untold = parents_of(tokens.values(), whole=not options.namespace)
    for token in tokens.values():
        _add(listing, token, made_by.get(token.name), options, folding)
    for entity in dict.fromkeys(token.entity for token in tokens.values()):
        _add_entity(listing, entity, (entities or {}).get(entity, {}))
    if untold:
        count = f"{untold} token{'s' * (untold != 1)}"
        listing.notes.append(UNTOLD.format(count))
    return listing


def parents_of(
    tokens: Iterable[VaultToken], *, whole: bool
) -> tuple[dict[Identifier, Identifier], int]:
    """Derive which token each one certainly ends with.

    A token that is no orphan was made by one that lives, was issued before, may make
    tokens, and has the same entity (or none, as it). Only a role can give another
    entity. Where several could have made it, it surely ends with each token that all
    of them end with; the nearest such is given.

    Args:
        tokens: all that the server has.
        whole: nothing is missing. In a namespace the maker may be of another one.

    Returns:
        The nearest certain ancestor by token, and how many have none though they are
        no orphans.
    """
    above: dict[Identifier, tuple[Identifier, ...]] = {}  # itself first, then upwards
    nearest: dict[Identifier, Identifier] = {}
    makers: dict[str, list[Identifier]] = {}
    common: dict[str, tuple[Identifier, ...]] = {}
    untold = 0
    for token in sorted(tokens, key=lambda one: one.issued):
        over: tuple[Identifier, ...] = ()
        if not token.orphan:
            if whole and not text(token.data.get("role")):
                over = common.get(token.entity, ())
            untold += not over or len(makers[token.entity]) > 1
        if over:
            nearest[token.name] = over[0]
        above[token.name] = (token.name, *over)
        if token.may_make_tokens:
            known = makers.setdefault(token.entity, [])
            known.append(token.name)
            shared = common.get(token.entity)
            mine = above[token.name]
            common[token.entity] = (
                mine if shared is None else tuple(one for one in shared if one in mine)
            )
    return nearest, untold


def _add(
    listing: Listing,
    token: VaultToken,
    maker: Identifier | None,
    options: VaultOptions,
    folding: frozenset[str],
) -> None:
    data = token.data
    path = (text(data.get("path")) or "").strip("/")
    mount, login, user = path.partition("/login/")
    if login and mount in folding:
        path = f"{mount}/login/{user.lower()}"
    paths = (
        chain(Identifier("vault.path", f"{options.namespace}{path}")) if path else []
    )
    meta = mapping(data.get("meta"))
    agent = identifier("agent.id", meta.get("agent_id"))
    issued = data.get("issue_time") or data.get("creation_time")
    listing.add(
        token.name,
        issued_at=issued,
        changed_at=data.get("last_renewal") or issued,
        expires_at=data.get("expire_time"),
        ends_with_parent=[maker],
        parents=[*paths[:1], identifier(ENTITY, token.entity)],
        owners=[agent or identifier("person.id", meta.get("owner"))],
        root=token.orphan,
    )
    for number, one in enumerate(paths):
        listing.imply(one, parents=paths[number + 1 : number + 2])


def _add_entity(listing: Listing, entity: str, data: Mapping[str, Any]) -> None:
    if entity:
        listing.imply(
            identifier(ENTITY, entity),
            issued_at=data.get("creation_time"),
            suspended="account" if data.get("disabled") is True else "",
            suspended_at=data.get("last_update_time"),
        )


def _token(data: Mapping[str, Any], options: VaultOptions) -> VaultToken:
    value = data["accessor"] if options.plain else data.get("audit_hash")
    name = identifier(ACCESSOR, value)
    if name is None:
        raise ListingError(NO_HASH)
    created = data.get("creation_time")
    seconds = created * SECOND if type(created) is int else 0
    return VaultToken(name, data, sound_time(data.get("issue_time")) or seconds)


def _look_up(accessor: str) -> ListRequest:
    body = {"accessor": accessor}
    return ListRequest("auth/token/lookup-accessor", body, may_fail=_NOT_THERE)


def _hash(options: VaultOptions, value: str) -> ListRequest:
    return ListRequest(f"sys/audit-hash/{quote(options.device)}", {"input": value})


def _looked_up(reply: HttpAnswer) -> dict[str, Any] | None:
    """Looked-up token; None for one that ended meanwhile."""
    if reply.status not in _NOT_THERE:
        return dict(_data(reply))
    errors = listed(reply.object().get("errors"))
    if any("invalid accessor" in str(error) for error in errors):
        return None
    raise ListingError(
        f"auth/token/lookup-accessor answers {reply.status}: the token may not ask it"
    )


def _entities(
    found: Sequence[Mapping[str, Any]],
) -> Generator[list[ListRequest], list[HttpAnswer], dict[str, dict[str, Any]]]:
    ids = list(dict.fromkeys(filter(None, (text(e.get("entity_id")) for e in found))))
    known: dict[str, dict[str, Any]] = {}
    for some in portions(ids):
        replies = yield [
            ListRequest(
                f"identity/entity/id/{quote(one, safe='')}", may_fail=(403, 404)
            )
            for one in some
        ]
        known |= {one: _data(r) for one, r in zip(some, replies, strict=True)}
    return known


def _userpass(mounts: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(
        f"auth/{name.strip('/')}"
        for name, mount in mounts.items()
        if mapping(mount).get("type") == "userpass"
    )


def _data(reply: HttpAnswer) -> dict[str, Any]:
    return mapping(reply.object().get("data"))


def _read(
    source: ListedSystem, device: str, namespace: str, *, plain_accessors: bool
) -> Listing:
    below = f"{namespace.strip('/')}/" if namespace.strip("/") else ""
    options = VaultOptions(device, plain_accessors, below)
    if source.files:
        return of_documents(source.documents(), options)
    headers = {"X-Vault-Token": source.secret("BAO_TOKEN", "VAULT_TOKEN")}
    if below:
        headers["X-Vault-Namespace"] = below
    return source.walk(walk(options), headers, "/v1")


ADOPT: Final = Adoption(
    authority="openbao",
    help="Tokens of OpenBao or Vault, by accessor (BAO_TOKEN, VAULT_TOKEN).",
    read=_read,
    options=(
        Option("--device", "Name of the audit device that is read.", "file"),
        Option("--namespace", "Namespace to list; default: the root namespace."),
        Option(
            "--plain-accessors",
            "The audit device has hmac_accessor=false.",
            default=False,
        ),
    ),
)
