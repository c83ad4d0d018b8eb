"""What is told of how credentials, agents and accounts stand, as it is set."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from streams.findings import POSTURE, FindingKind
from streams.stages.posture import Limits
from streams.times import DAY, SECOND


class Posture(BaseModel):
    """What is told of how credentials, agents and accounts stand.

    Attributes:
        kinds: of the findings that are told; all of them where it is not set.
        settle_seconds: how long a name may lack an owner or a declaration, or be
            shared, before that is a finding; a start begins it anew. A use of what
            nobody declared waits as long.
        excess_days: a declared scope that was not used for so long is a finding.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: frozenset[FindingKind] = POSTURE
    settle_seconds: float = Field(default=900.0, ge=0)
    excess_days: int = Field(default=30, ge=1)

    @field_validator("kinds")
    @classmethod
    def _of_posture(cls, kinds: frozenset[FindingKind]) -> frozenset[FindingKind]:
        if strange := kinds - POSTURE:
            known = ", ".join(sorted(kind.value for kind in POSTURE))
            named = ", ".join(sorted(kind.value for kind in strange))
            raise ValueError(f"{named}: the kinds of posture are {known}")
        return kinds

    @property
    def limits(self) -> Limits:
        """Give it as the stage takes it."""
        return Limits(
            settle=int(self.settle_seconds * SECOND),
            excess=self.excess_days * DAY,
            kinds=self.kinds,
        )
