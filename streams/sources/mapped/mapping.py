"""The mapping file: what it may say, and clear words about what it says wrong."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from agents_registry.facts import Relation
from agents_registry.identifiers import extend
from streams.model.settings_files import not_yaml
from streams.model.strict import Strict
from streams.model.wrong_values import told
from streams.sources.mapped.generic import as_text, find
from streams.sources.reading.fields import plain

_STEP: Final = re.compile(r"([^.\[\]]+)|\[(-?\d+)\]")
_PATH: Final = re.compile(r"(?:[^.\[\]]+|\[-?\d+\])(?:\.[^.\[\]]+|\[-?\d+\])*")


class MappingError(ValueError):
    """A mapping file is wrong; the message names the file and the key."""


def _steps(value: Any) -> Any:
    """Read ``a.b[0].c``; a list is taken as the steps, for keys with dots."""
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        message = f"{value!r} is no path: write a.b[0].c or a list of keys"
        raise ValueError(message)
    return tuple(name or int(index) for name, index in _STEP.findall(value))


def _several(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Path = Annotated[tuple[str | int, ...], BeforeValidator(_steps)]
_Texts = Annotated[frozenset[str], BeforeValidator(
    lambda value: frozenset(
        (as_text(one) or "").casefold() for one in _several(value)
    )
)]  # fmt: skip
Effect = Literal[
    "issue", "revoke", "suspend", "restore", "rotate", "narrow", "not_before",
    "leak", "delete_subject", "none",
]  # fmt: skip


class Condition(Strict):
    """A value is one of some, or none of some; compared as text without case.

    A value that is not there is the empty text.
    """

    path: Path
    one_of: _Texts | None = Field(default=None, alias="in")
    none_of: _Texts | None = Field(default=None, alias="not_in")

    @model_validator(mode="after")
    def _one_list(self) -> Condition:
        if (self.one_of is None) == (self.none_of is None):
            message = "give one list, in or not_in"
            raise ValueError(message)
        return self

    def holds(self, body: dict[str, Any]) -> bool:
        """Whether the event fulfils it."""
        value = (as_text(find(body, self.path)) or "").casefold()
        if self.one_of is not None:
            return value in self.one_of
        return value not in (self.none_of or ())


class When(Strict):
    """Which events a rule is for; no types means every type."""

    types: Annotated[
        frozenset[str],
        BeforeValidator(
            lambda value: frozenset(plain(str(one)) for one in _several(value))
        ),
    ] = Field(default=frozenset(), alias="type")
    where: tuple[Condition, ...] = ()


LabelKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class MappedIdentifier(Strict):
    """An identifier: its kind, where its value stands, and what goes before it."""

    kind: str
    path: Path
    prefix: str = ""


class NamedParent(MappedIdentifier):
    """A parent, and how the primary identifier hangs on it."""

    relation: Relation = Relation.REQUIRES


class OutcomeMap(Strict):
    """Which values mean allowed, or which mean denied; the rest is the other."""

    path: Path
    allowed: _Texts | None = None
    denied: _Texts | None = None

    @model_validator(mode="after")
    def _one_list(self) -> OutcomeMap:
        if (self.allowed is None) == (self.denied is None):
            message = "give one list, allowed or denied: all other values are the other"
            raise ValueError(message)
        return self

    def of(self, body: dict[str, Any]) -> Literal["allowed", "denied"]:
        """Outcome of an event."""
        value = (as_text(find(body, self.path)) or "").casefold()
        if self.allowed is not None:
            return "allowed" if value in self.allowed else "denied"
        return "denied" if value in (self.denied or ()) else "allowed"


class Scope(Strict):
    """Where the scopes stand (a list, or words), and their namespace."""

    path: Path
    namespace: str


class Rule(Strict):
    """What one sort of event means."""

    label: str = Field(alias="name")
    record: Literal["lifecycle", "access"]
    when: When = When()
    effect: Effect | None = None
    identifiers: tuple[MappedIdentifier, ...] = Field(min_length=1)
    parents: tuple[NamedParent, ...] = ()
    owner: Path | None = None
    owners: tuple[MappedIdentifier, ...] = ()
    labels: dict[LabelKey, Path] = Field(default_factory=dict)
    actor: tuple[MappedIdentifier, ...] = ()
    scope: Scope | None = None
    expires_at: Path | None = None
    issued_at: Path | None = None
    not_before: Path | None = None
    reason: Path | None = None
    point: Path | None = None
    applied: Path | None = None
    address: Path | None = None
    user_agent: Path | None = None
    outcome: OutcomeMap | None = None
    success: Condition | None = None
    reach: Literal["subtree", "self"] = "subtree"
    aspect: str = ""

    @model_validator(mode="after")
    def _fits_its_record(self) -> Rule:
        if self.record == "lifecycle" and self.effect is None:
            message = "a lifecycle rule needs an effect (none: it only renews)"
            raise ValueError(message)
        if self.record == "access" and self.effect is not None:
            message = "an access rule has no effect"
            raise ValueError(message)
        if self.labels and self.effect not in ("issue", "none"):
            message = "labels are of a lifecycle rule with the effect issue or none"
            raise ValueError(message)
        if self.outcome is not None and self.record == "lifecycle":
            message = "outcome is for access; a lifecycle rule has success"
            raise ValueError(message)
        return self


class EventPaths(Strict):
    """Where every event has its id, type and time."""

    id: Path | None = None
    type: Path
    time: Path | None = None


class Mapping(Strict):
    """A whole mapping file."""

    name: str = Field(pattern=r"^[a-z][a-z0-9._-]*$")
    kinds: dict[str, Literal["credential", "principal", "container"]] = Field(
        default_factory=dict
    )
    event: EventPaths
    rules: tuple[Rule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _kinds_are_known(self) -> Mapping:
        vocabulary = extend(self.kinds)
        for rule in self.rules:
            for named in (
                *rule.identifiers, *rule.parents, *rule.owners, *rule.actor,
            ):  # fmt: skip
                if named.kind not in vocabulary:
                    message = (
                        f"rule {rule.label!r}: kind {named.kind!r} is not declared; "
                        "add it to kinds with its class"
                    )
                    raise ValueError(message)
        return self


def load_mapping(text: str, file: str) -> Mapping:
    """Read a mapping file.

    Args:
        text: its content, YAML.
        file: its name, for the message.

    Raises:
        MappingError: it is no YAML, or a key is missing, unknown or wrong.
    """
    try:
        return Mapping.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        message = not_yaml(file, error)
        raise MappingError(message) from error
    except ValidationError as error:
        raise MappingError("\n".join(told(error, Mapping, file, text))) from error
