"""Where an agent that nobody declared was seen, and with what."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from attrs import Factory, define

from agents_registry.identifiers import Identifier
from streams.model.findings import FindingKind
from streams.stages.posture.rules import few

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_PLACES: Final = 64  # that are kept of an agent; the oldest go first
MOST_IDS: Final = 100
UNKNOWN_ADDRESS: Final = "an unknown address"
_ONLY: Final = re.compile(r"seen at 1 point \((.+)\) with 1 credential \((.+)\)")


class AgentUse(NamedTuple):
    """Uses of one agent that nobody declared, at one point with one credential.

    Attributes:
        credential: the first name presented, empty where that is the agent itself.
        first, last: of the uses (ns); times: how many they are.
    """

    agent: Identifier
    point: str
    credential: str
    first: int
    last: int
    times: int = 1
    event_ids: tuple[str, ...] = ()
    address: str | None = None
    user_agent: str | None = None
    owner: str | None = None

    def and_then(self, other: AgentUse) -> AgentUse:
        """Both uses as one, with the details of the later."""
        late = other if other.last >= self.last else self
        ids = tuple(dict.fromkeys((*self.event_ids, *other.event_ids)))
        return late._replace(
            first=min(self.first, other.first),
            times=self.times + other.times,
            event_ids=ids[:MOST_IDS],
        )

    def signal(self) -> dict[str, Any]:
        """Signal for the sentinel, JSON-ready; `read` reads it."""
        rest = (self.credential, self.first, self.times, *self[7:])
        return {
            "kind": FindingKind.UNKNOWN_AGENT.value,
            "presented": [*self.agent],
            "point": self.point,
            "at": self.last,
            "event_ids": [*self.event_ids],
            "detail": orjson.dumps(rest).decode(),
        }

    @classmethod
    def read(cls, signal: Mapping[str, Any]) -> AgentUse:
        """Read what `signal` gave.

        Raises:
            ValueError: it is another signal.
        """
        try:
            credential, first, times, *rest = orjson.loads(signal["detail"])
            agent, ids = Identifier(*signal["presented"]), tuple(signal["event_ids"])
            return cls(
                agent, signal["point"], credential, first, signal["at"], times, ids,
                *rest,
            )  # fmt: skip
        except (KeyError, TypeError) as error:
            raise ValueError("no use of an agent") from error


@define
class Acted:
    """Where an agent was seen, and with what.

    Attributes:
        places: point and credential to the last use of it there (ns).
        more: how many places are not kept any more.
        address: where the last use came from, if the log tells.
    """

    first: int
    last: int
    times: int = 0
    places: dict[tuple[str, str], int] = Factory(dict)
    more: int = 0
    address: str | None = None

    @classmethod
    def none(cls, use: AgentUse) -> Acted:
        """Start with nothing, for a use that `take` is to take."""
        return cls(use.first, use.last)

    def take(self, use: AgentUse) -> bool:
        """Take uses in; tell whether they are news."""
        place = (use.point, use.credential)
        if use.last <= self.places.get(place, use.last - 1):
            return False
        self.places.pop(place, None)
        self.places[place] = use.last
        if len(self.places) > MOST_PLACES:
            del self.places[next(iter(self.places))]
            self.more += 1
        if use.last >= self.last:
            self.address = use.address
        self.first, self.last = min(self.first, use.first), max(self.last, use.last)
        self.times += use.times
        return True

    @property
    def points(self) -> list[str]:
        """Points where the agent was seen, sorted."""
        return sorted({point for point, _ in self.places})

    @property
    def credentials(self) -> list[str]:
        """Credentials presented beside the agent's own name, sorted."""
        return sorted({credential for _, credential in self.places if credential})

    def words(self) -> str:
        """Say where it was seen, and with what."""
        points, credentials = self.points, self.credentials
        more = " or more" if self.more else ""
        text = f"{_count(points, 'point')} ({few(points)})"
        if credentials:
            held = f"{len(credentials)}{more} credential"
            held += "" if len(credentials) == 1 and not more else "s"
            text += f" with {held} ({few(credentials)})"
        return f"seen at {text}"

    def where(self) -> str:
        """Say in short where it was seen, with what, and from where."""
        held = f" with {few(self.credentials)}" if self.credentials else ""
        return f"at {few(self.points)}{held} from {self.address or UNKNOWN_ADDRESS}"

    def plain(self) -> list[Any]:
        """JSON-ready values."""
        places = [[*place, last] for place, last in self.places.items()]
        return [self.first, self.last, self.times, places, self.more, self.address]

    @classmethod
    def of(cls, plain: list[Any]) -> Acted:
        """Read what `plain` gave."""
        first, last, times, places, *rest = plain  # earlier ones have no address
        kept = {(point, credential): at for point, credential, at in places}
        return cls(first, last, times, kept, *rest)


def _count(of: list[str], noun: str) -> str:
    return f"{len(of)} {noun}" + ("" if len(of) == 1 else "s")


def only_place(words: str) -> tuple[str, str]:
    """Read point and credential off `Acted.words`, where it names one of each.

    Both are "" where there are several, or none.
    """
    found = _ONLY.fullmatch(words.rstrip("."))
    return ("", "") if found is None else (found[1], found[2])
