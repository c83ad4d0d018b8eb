"""What all facts share: who speaks, when, and the words that they are said in.

All times are integer nanoseconds since 1970 (UTC); ``None`` means unknown.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, ClassVar, Final

from attrs import field, frozen

from agents_registry.identifiers import Identifier

SECOND: Final = 1_000_000_000
HOUR: Final = 3600 * SECOND
FUTURE_TOLERANCE: Final = 300 * SECOND
STAMP_UNCERTAINTY: Final = 5 * SECOND
UNTIL_TOLERANCE: Final = 2 * SECOND  # a clock may be ahead; beyond it is not ready

COPY: Final = {"copy": True}  # field metadata: describes the copy, not the fact
FOR_PEOPLE: Final = ("actor", "reason")  # in the log, and no business of a guard
SELDOM: Final = (
    "until",
    "kinds",
    "where",
)  # neither told nor hashed where they say nothing


class Relation(Enum):
    """How a child hangs on its parent."""

    REQUIRES = "requires"
    ENDS_WITH_PARENT = "ends_with_parent"
    ENDS_WITH_PARENT_ALWAYS = "ends_with_parent_always"
    CREATED_BY = "created_by"


class Effect(Enum):
    """What a cause does to its target."""

    REVOKE = "revoke"
    SUSPEND = "suspend"
    NARROW = "narrow"
    NOT_BEFORE = "not_before"


class Reach(Enum):
    """Whether a cause passes to what hangs below its target."""

    SUBTREE = "subtree"
    SELF = "self"


@frozen(kw_only=True, slots=True)
class Fact:
    """What every fact carries.

    Attributes:
        authority: who speaks: one directory, one Vault cluster, the operators.
        event_id: the source's own id of the event, or a fresh one, or None.
        version: the authority's own time or sequence; orders its statements.
        stamped: ingress set ``version`` because the source gave no time.
        received_at: when this copy was accepted.
        ingress_key: id of the ingress credential that brought this copy.
        settings: version of the entitlement settings that let the fact in.
    """

    NAME: ClassVar[str] = ""
    TOLERATED_AHEAD: ClassVar[int] = 0  # a grant acts no later than it was received

    authority: str
    event_id: str | None = None
    version: int
    stamped: bool = False
    received_at: int = field(metadata=COPY)
    ingress_key: str = field(default="", metadata=COPY)
    settings: int = field(default=0, metadata=COPY)

    @property
    def ahead(self) -> bool:
        """Whether the version lies too far past the receipt to be taken."""
        return self.version > self.received_at + self.TOLERATED_AHEAD

    @property
    def effective_version(self) -> int:
        """Version, or the receive time where the version lies ahead."""
        return self.received_at if self.ahead else self.version

    @property
    def uncertainty(self) -> int:
        """u: the possible error of the effective version, in nanoseconds."""
        return STAMP_UNCERTAINTY if self.stamped or self.ahead else 0


def plain_value(value: Any) -> Any:
    """Value of a field as JSON can hold it."""
    if isinstance(value, Identifier):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [plain_value(item) for item in value]
    return value
