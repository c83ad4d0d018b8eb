"""What is told of how credentials, agents and accounts stand, as it is set."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from streams.model.findings import POSTURE, FindingKind
from streams.model.times import DAY, SECOND
from streams.stages.access.agent_kinds import ActingKinds, Choice
from streams.stages.posture.posture import Limits


class KindsThatAct(BaseModel):
    """Kinds that are agents, beside or instead of those that are by default.

    Attributes:
        add: kinds whose names act by themselves, such as ``entra.user``.
        remove: kinds whose names do not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    add: frozenset[str] = frozenset()
    remove: frozenset[str] = frozenset()

    @property
    def choice(self) -> Choice:
        """Choice, as the stage takes it."""
        return Choice(self.add, self.remove)


class Agents(KindsThatAct):
    """Which kinds are agents: everywhere, and beside that at single points.

    By default all principals are that are no people, SPIFFE ids and agent instances;
    what a mapping declares as a principal is one.

    Attributes:
        points: a pattern of enforcement points (``*`` for any part) to what holds
            there beside; the first one that fits.
    """

    points: dict[str, KindsThatAct] = Field(default_factory=dict)

    @property
    def acting(self) -> ActingKinds:
        """Acting kinds, as the stage takes them."""
        points = {pattern: each.choice for pattern, each in self.points.items()}
        return ActingKinds(self.choice, points)


class PostureSettings(BaseModel):
    """What is told of how credentials, agents and accounts stand.

    Attributes:
        kinds: of the findings that are told; all of them where it is not set.
        settle_seconds: how long a name may lack an owner or a declaration, or be
            shared, before that is a finding; a start begins it anew. A use of what
            nobody declared waits as long.
        excess_days: a declared scope that was not used for so long is a finding.
        agents: kinds of agents: a use of an undeclared agent is the finding
            `unknown_agent`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: frozenset[FindingKind] = POSTURE
    settle_seconds: float = Field(default=900.0, ge=0)
    excess_days: int = Field(default=30, ge=1)
    agents: Agents = Agents()

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
        """Limits, as the stage takes them."""
        return Limits(
            settle=int(self.settle_seconds * SECOND),
            excess=self.excess_days * DAY,
            kinds=self.kinds,
        )
