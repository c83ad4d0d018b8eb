"""Selectors: an order names what is meant by what it is, and by no list of identifiers.

``owner=person.id:ann,label.team=payments,kind=github.token,authority=okta`` means what
carries every label, has every owner and was declared by every authority; of these the
kinds, where some are named, and all that descends from them. One cause says it, so it
holds for what is declared later, too. A comma or a backslash within a value is written
with a backslash before it.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from agents_registry.identifiers import LABEL, Identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OWNER_OF: Final = "owner.of"
AUTHORITY_OF: Final = "authority.of"
MOST: Final = 16  # conditions
MOST_ASPECT: Final = 200  # characters
FORM: Final = "owner=person.id:ann,label.team=payments,kind=github.token"
_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_KIND: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


class SelectorError(ValueError):
    """A selector cannot be read; the text says what to write."""


def label(key: str, value: str) -> Identifier:
    """Return the identifier of a label.

    Raises:
        SelectorError: the key or the value cannot be one.
    """
    if _KEY.fullmatch(key) is None:
        text = "no key of a label: write a-z, then a-z, 0-9, _ and -"
        raise SelectorError(text)
    return _checked(LABEL + key, value)


def is_label(identifier: Identifier) -> bool:
    """Whether an identifier is a label."""
    kind = identifier.kind
    return kind.startswith(LABEL) and _KEY.fullmatch(kind[len(LABEL) :]) is not None


def _once(values: Iterable[Identifier]) -> tuple[Identifier, ...]:
    return tuple(sorted(set(values)))


def _texts_once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


@frozen
class Selector:
    """What an order means; the same whatever the order of its conditions.

    Attributes:
        labels: all of which it carries.
        owners: all of which own it.
        kinds: one of which it is; empty: any.
        authorities: all of which declared it.
    """

    labels: tuple[Identifier, ...] = field(default=(), converter=_once)
    owners: tuple[Identifier, ...] = field(default=(), converter=_once)
    kinds: tuple[str, ...] = field(default=(), converter=_texts_once)
    authorities: tuple[str, ...] = field(default=(), converter=_texts_once)

    def __attrs_post_init__(self) -> None:
        """Check it.

        Raises:
            SelectorError: it means everything, or says too much.
        """
        if not (self.labels or self.owners or self.authorities):
            what = "name a label or an owner"
            raise SelectorError(f"{what}: write it as {FORM}")
        if sum(1 for _ in self._conditions()) > MOST:
            raise SelectorError(f"a selector has at most {MOST} conditions")
        for owner in self.owners:
            _checked(OWNER_OF, str(owner))

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Read a selector.

        Raises:
            SelectorError: it is none; what was written is not told back.
        """
        found: dict[str, list[str]] = {}
        labels = []
        for number, condition in enumerate(_split(text), 1):
            given, _, said = condition.partition("=")
            name, value = given.strip(), said.strip()
            if not (name and value):
                raise SelectorError(f"condition {number} is none: write it as {FORM}")
            if name.startswith(LABEL):
                labels.append(label(name.removeprefix(LABEL), value))
            elif name in _NAMES:
                found.setdefault(name, []).append(value)
            else:
                told = f"condition {number} is none: there are label.KEY, owner, kind"
                raise SelectorError(told)
        return cls(
            labels,
            [_identifier(each) for each in found.get("owner", ())],
            [_kind(each) for each in found.get("kind", ())],
            [_checked(AUTHORITY_OF, each).value for each in found.get("authority", ())],
        )

    def text(self) -> str:
        """Selector as `parse` reads it, in one order."""
        return ",".join(
            f"{name}={_escaped(value)}" for name, value in self._conditions()
        )

    @property
    def aspect(self) -> str:
        """Aspect of what is ended by it, where no other one is given."""
        return self.aspect_of("")

    def aspect_of(self, given: str) -> str:
        """Aspect of what is ended by it, with one that an operator gives, if any.

        The selector is a part of it: a lift by the same selector and the same aspect
        ends that, and nothing else on its target.
        """
        text = f"{given} {self.text()}" if given else self.text()
        if len(text) <= MOST_ASPECT:
            return text
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def cause_parts(
        self,
    ) -> tuple[Identifier, tuple[Identifier, ...], tuple[str, ...]]:
        """Target, further conditions and kinds of the one cause that means this."""
        owners = [Identifier(OWNER_OF, str(owner)) for owner in self.owners]
        authorities = [Identifier(AUTHORITY_OF, name) for name in self.authorities]
        conditions = [*self.labels, *owners, *authorities]
        return conditions[0], tuple(conditions[1:]), self.kinds

    def _conditions(self) -> Iterator[tuple[str, str]]:
        for each in self.labels:
            yield each.kind, each.value
        for name, values in (
            ("owner", map(str, self.owners)),
            ("kind", self.kinds),
            ("authority", self.authorities),
        ):
            for value in values:
                yield name, value


_NAMES: Final = ("owner", "kind", "authority")


def _split(text: str) -> list[str]:
    """Conditions of a text, without the backslashes of commas.

    Raises:
        SelectorError: a backslash stands at its end.
    """
    found, condition, escaped = [], "", False
    for each in text:
        if escaped or each not in "\\,":
            condition, escaped = condition + each, False
        elif each == "\\":
            escaped = True
        else:
            found.append(condition)
            condition = ""
    if escaped:
        raise SelectorError("a backslash ends the selector: write two of them")
    return [*found, condition]


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace(",", r"\,")


def _checked(kind: str, value: str) -> Identifier:
    if value != value.strip():
        raise SelectorError("a value begins or ends with a space")
    try:
        return Identifier(kind, value).checked()
    except ValueError as error:
        raise SelectorError(str(error)) from error


def _identifier(text: str) -> Identifier:
    try:
        return Identifier.parse(text)
    except ValueError as error:
        told = "owner is not an identifier: write it as kind:value"
        raise SelectorError(told) from error


def _kind(text: str) -> str:
    if _KIND.fullmatch(text) is None:
        raise SelectorError("no kind: write it as github.token")
    return text
