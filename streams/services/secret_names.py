"""Name secrets by their keyed hashes before anything else is done with them.

Whoever names a token by its value means what guards know by its hash: so the hash takes
its place, under each pepper in use, and the value goes no further. Without a pepper
there is no name, and the value goes no further all the same.
"""

from __future__ import annotations

import base64
import binascii
import re
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from agents_registry.identifiers import Identifier
from agents_registry.secret_shapes import (
    HASHED_KINDS,
    has_secret,
    is_secret,
    without_secrets,
)
from streams.model.attributes import is_attribute
from streams.model.keyed_names import keyed_digest, keyed_identifier
from streams.model.records import (
    ENDING_EFFECTS,
    Access,
    DeadLetter,
    Lifecycle,
    Parent,
    Tie,
)
from streams.sources.openbao.call import TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from streams.model.records import Record

SHOWN: Final = "secret"  # the kind of what guards are shown and know by its hash
UNHASHED: Final = (
    "needs_pepper: the subject is known by an attribute alone, such as an e-mail "
    "address; set `peppers`, so that its hash can stand for it, and revoke this one "
    "by hand"
)
_GITHUB: Final = re.compile(r"gh[pousr]_|github_pat_")
_BY_GITHUB: Final = "github.hashed_token"
_DIGEST_BYTES: Final = 32
NAMELESS: Final = (
    "needs_pepper: the event names a secret by its value; set `peppers`, so that its "
    "hash can stand for it"
)


class PlainSecretError(ValueError):
    """A secret stands where its hash should; the text never holds it."""


@frozen
class SecretNames:
    """The names of secrets in a realm.

    Attributes:
        peppers: of the realm that are in use.
        kinds: whose values are keyed hashes.
    """

    peppers: Sequence[bytes] = ()
    kinds: frozenset[str] = HASHED_KINDS
    _harmless: set[tuple[object, ...]] = field(
        factory=set, init=False, eq=False, repr=False
    )
    # Names and texts in which there is no secret; and None, which is no text.
    _clean: set[object] = field(
        factory=lambda: {None}, init=False, eq=False, repr=False
    )
    # The same callers by the addresses of their objects, which the values hold.
    _met: dict[tuple[object, ...], object] = field(
        factory=dict, init=False, eq=False, repr=False
    )

    def plain(self, text: object) -> Identifier | None:
        """Return the identifier of a text that is a secret; else None."""
        if not isinstance(text, str):
            return None
        kind, _, value = text.strip().partition(":")
        if not value:
            return Identifier(SHOWN, kind) if has_secret(kind) else None
        given = Identifier(TOKEN if kind == "vault.token" else kind, value)
        return given if self.is_secret(given) else None

    def is_secret(self, identifier: Identifier) -> bool:
        """Whether it holds a secret in the place of a name or a hash."""
        return is_secret(identifier, self.kinds)

    def names(self, identifier: Identifier) -> tuple[Identifier, ...]:
        """Names that an identifier stands for; itself where it is no secret.

        A token that GitHub made has the name of GitHub's own log too. A JWT has that
        of its ``jti``.

        Raises:
            PlainSecretError: it is a secret, and there is no pepper.
        """
        if not self.is_secret(identifier):
            return (identifier,)
        if not self.peppers:
            text = "a secret has no name without a pepper: set `peppers`"
            raise PlainSecretError(text)
        kind, value = identifier
        kinds = [SHOWN]
        kinds += [kind] if kind in self.kinds else []
        kinds += [_BY_GITHUB] if _GITHUB.match(value) else []
        found = list(_of_claims(value))
        for pepper in self.peppers:
            found += [keyed_identifier(each, value, pepper) for each in kinds]
            digest = _digest(value)
            if digest is not None and kind in self.kinds:
                found.append(keyed_digest(kind, digest, pepper))
        return tuple(dict.fromkeys(found))

    def unhashed(self, record: Record) -> DeadLetter | None:
        """Dead letter of a record whose target has no name without a pepper.

        `conceal` leaves the record itself without a target.
        """
        if self.peppers or not isinstance(record, Lifecycle):
            return None
        if record.effect is None or not any(map(is_attribute, record.identifiers)):
            return None
        return DeadLetter(
            record.source, record.offset, 0, UNHASHED, record.event_id,
            record.event_type, record.occurred_at,
        )  # fmt: skip

    def conceal(self, record: Record) -> Record:
        """Record in which no secret and no attribute stands; mostly the same."""
        if isinstance(record, Lifecycle):
            record = self._hashed(record)
        if not self._holds_any(record):
            return record
        texts: dict[str, Any] = {
            name: without_secrets(value)
            for name in _TEXTS
            if isinstance(value := getattr(record, name, None), str)
        }
        record = record._replace(**texts)
        if isinstance(record, DeadLetter):
            return record._replace(actor=self._all(record.actor))
        names = self._all(record.identifiers)
        if not names and record.identifiers and not _ends(record):
            return DeadLetter(
                record.source, record.offset, 0, NAMELESS, record.event_id,
                record.event_type, record.occurred_at,
            )  # fmt: skip
        scope = record.scope
        record = record._replace(
            identifiers=names,
            parents=tuple(
                Parent(*name, each.relation)
                for each in record.parents
                for name in self._all((each.identifier,))
            ),
            actor=self._all(record.actor),
            ties=tuple(
                Tie(child, parent, each.relation)
                for each in record.ties
                for child in self._all((each.child,))
                for parent in self._all((each.parent,))
            ),
            scope=None if scope is None else tuple(map(without_secrets, scope)),
        )
        if isinstance(record, Lifecycle):
            record = record._replace(owners=self._all(record.owners))
        if isinstance(record, Lifecycle) and record.labels is not None:
            safe = [one for one in record.labels if not self.is_secret(one)]
            record = record._replace(labels=tuple(safe))
        return record

    def _hashed(self, record: Lifecycle) -> Lifecycle:
        """Record with the hashes of attributes in their place."""
        if not (record.attributes or any(map(is_attribute, record.identifiers))):
            return record
        return record._replace(
            identifiers=tuple(self._hashes(record.identifiers)),
            attributes=tuple(self._hashes(record.attributes)),
        )

    def _hashes(self, identifiers: Iterable[Identifier]) -> Iterator[Identifier]:
        for each in identifiers:
            if not is_attribute(each):
                yield each
                continue
            for pepper in self.peppers:
                yield keyed_identifier(each.kind, each.value, pepper)

    def _all(self, identifiers: Iterable[Identifier]) -> tuple[Identifier, ...]:
        """Names of some identifiers; what has none is left out."""
        found: dict[Identifier, None] = {}
        for each in identifiers:
            if self.peppers or not self.is_secret(each):
                found.update(dict.fromkeys(self.names(each)))
        return tuple(found)

    def _holds_any(self, record: Record) -> bool:
        if not isinstance(record, Access):
            return self._look_through(record)
        event_id = record.event_id
        if event_id is not None and not _HEX_ID.fullmatch(event_id):
            return self._look_through(record)
        # Calls differ in their ids and times; who calls and what is called come again,
        # and most sources give the same objects for the same caller.
        known, met = self._harmless, self._met
        address = (
            id(record.identifiers), id(record.parents), id(record.ties),
            id(record.actor), id(record.scope), record.owner,
        )  # fmt: skip
        what = _WHAT(record)
        if address in met and what in known:
            return False
        who = _WHO(record)
        if not (who in known and what in known):
            if self._look_through(record):
                return True
            if len(known) >= _MOST_KNOWN:
                known.clear()
            known.update((who, what))
        if len(met) >= _MOST_KNOWN:
            met.clear()
        met[address] = who
        return False

    def _look_through(self, record: Record) -> bool:
        clean = self._clean
        if len(clean) >= _MOST_KNOWN:
            clean.clear()
            clean.add(None)
        event_id, *said = _TEXTS_OF[type(record)](record)
        if event_id is not None and not _HEX_ID.fullmatch(event_id):
            said.append(event_id)
        said += _named(record)
        return not clean.issuperset(said) and any(map(self._is_bad, said))

    # Names come again, in records of all kinds; a text holds a secret by itself.
    def _is_bad(self, said: tuple[str, ...] | str | None) -> bool:
        if said in self._clean or said is None:
            return False
        if isinstance(said, str):
            bad, text = has_secret(said), said
        else:
            kind, text, *_ = said
            bad = self.is_secret(Identifier(kind, text))
        if not bad and len(text) <= _SHORT:
            self._clean.add(said)
        return bad


_TEXTS: Final = (
    "event_id", "event_type", "owner", "reason", "point", "device", "tenant", "stated",
)  # fmt: skip


_TEXTS_OF: Final = {
    kind: itemgetter(
        *map(kind._fields.index, filter(kind._fields.__contains__, _TEXTS))
    )
    for kind in (Access, DeadLetter, Lifecycle)
}
_HEX_ID: Final = re.compile(r"[0-9A-Fa-f-]+")  # no secret's mark is made of these
_WHO: Final = itemgetter(*map(
    Access._fields.index, ("identifiers", "parents", "ties", "actor", "scope", "owner")
))  # fmt: skip
_WHAT: Final = itemgetter(*map(
    Access._fields.index, ("event_type", "reason", "point")
))  # fmt: skip
_MOST_KNOWN: Final = 8192
_SHORT: Final = 256  # characters of a text that is remembered


def _named(record: Record) -> list[Any]:
    """Names in a record, each with its kind before it, and the scopes."""
    found: list[Any] = [*record.actor]
    if isinstance(record, DeadLetter):
        return found
    found += record.identifiers
    found += record.parents
    found += record.scope or ()
    for tie in record.ties:
        found += tie[:2]
    if isinstance(record, Lifecycle):
        found += record.owners
        found += record.labels or ()
    return found


def _ends(record: Lifecycle | Access) -> bool:
    """Whether a record may end something: then it is told that it does not."""
    return isinstance(record, Lifecycle) and record.effect in ENDING_EFFECTS


def _digest(value: str) -> bytes | None:
    """SHA-256 that a value may be, in hex or base64."""
    for decode in (bytes.fromhex, _base64):
        try:
            found = decode(value)
        except (ValueError, binascii.Error):
            continue
        if len(found) == _DIGEST_BYTES:
            return found
    return None


def _base64(value: str) -> bytes:
    return base64.b64decode(value, validate=True)


def _of_claims(value: str) -> Iterator[Identifier]:
    # Commands that ask a server read names and no tokens; PyJWT takes 50 ms of CPU.
    from streams.sources.ssf.verifier import SetRefusedError, claimed  # noqa: PLC0415

    try:
        jti = claimed(value.encode()).get("jti")
    except SetRefusedError:
        return
    if isinstance(jti, str) and jti:
        name = Identifier("jwt.jti", jti)
        if not is_secret(name):
            yield name
