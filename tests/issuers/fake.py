"""An issuer in memory, in place of the HTTP client.

It is written after the vendor's documentation, which its module names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import orjson
from attrs import define, field, frozen

from streams.actuators.github.bulk import BulkRevocation
from streams.actuators.ways import WayActuator
from streams.model.extensions import loaded
from streams.outbound.answers import HttpAnswer
from streams.outbound.client import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.model.endings import EndTarget
    from streams.outbound.answers import RequestError

BASE = "https://issuer.example"
NOW = 1_796_000_000_123_456_789
SECRET = "s3cret-of-the-actuator"


@frozen
class Asked:
    """One request, as an issuer sees it."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]

    def __str__(self) -> str:
        """Give method and path."""
        return f"{self.method} {self.path}"


@define
class FakeIssuer:
    """What all have.

    Attributes:
        asked: all requests.
        now: its clock (ns), and ours.
        planned: what is answered first, or raised; None: what it would answer.
        always: what is answered to everything, or raised.
        lies: it says yes to acts, and does nothing.
    """

    asked: list[Asked] = field(factory=list)
    now: int = NOW
    planned: list[HttpAnswer | RequestError | None] = field(factory=list)
    always: HttpAnswer | RequestError | None = None
    lies: bool = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        bounds: Any = DEFAULT,
    ) -> HttpAnswer:
        """Answer as `HttpClient.request` does."""
        del bounds
        parts = urlsplit(url)
        assert url.startswith(BASE), url
        asked = Asked(
            method, parts.path, dict(parse_qsl(parts.query)), _read(data), headers or {}
        )
        self.asked.append(asked)
        planned = self.planned.pop(0) if self.planned else None
        found = self.always or planned
        if isinstance(found, Exception):
            raise found
        if found is not None:
            return found
        if self.lies and self.changes(asked):
            return self.yes(asked)
        return self.answer(asked)

    async def __aexit__(self, *_: object) -> None:
        """Hold nothing."""

    def answer(self, asked: Asked) -> HttpAnswer:
        """Answer a request."""
        raise NotImplementedError

    def changes(self, asked: Asked) -> bool:
        """Tell whether a request is an act."""
        return asked.method != "GET"

    def yes(self, asked: Asked) -> HttpAnswer:
        """Say that an act was done."""
        del asked
        return HttpAnswer({}, b"", 204)

    def acts(self) -> list[str]:
        """Give the acts that were asked for."""
        return [str(one) for one in self.asked if self.changes(one)]


def _read(data: bytes | None) -> Any:
    if not data:
        return None
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return dict(parse_qsl(data.decode()))


def json(value: Any, status: int = 200, **headers: str) -> HttpAnswer:
    """Give an answer in JSON."""
    return HttpAnswer(headers, orjson.dumps(value), status)


async def _no_time(_: float) -> None:
    """Let others go on, for no time."""


@frozen(kw_only=True)
class Case:
    """One kind at one vendor, alive at the beginning.

    Attributes:
        vendor: the folder.
        settings: of the actuator, beside what all have.
        fake: makes the issuer, which holds the target.
        target: that is to be ended.
        acts: requests of the act.
        later: ns that go by after the act, before the probe.
    """

    vendor: str
    settings: Mapping[str, Any]
    fake: type[FakeIssuer]
    target: EndTarget
    acts: tuple[str, ...]
    later: int = 0

    def made(self) -> tuple[WayActuator, FakeIssuer]:
        """Make the issuer and its actuator."""
        issuer = self.fake()
        of = loaded(f"streams.actuators.{self.vendor}.vendor:ACTUATOR")
        values = {"vendor": of.name, "authority": "a", "url": BASE, **self.settings}
        model = loaded(of.settings).model_validate(values)
        made = model.actuator("it", lambda: issuer.now)
        assert isinstance(made, WayActuator)
        for way in made.ways.values():
            if isinstance(bulk := getattr(way, "_bulk", None), BulkRevocation):
                bulk.pause = _no_time
        for api in (made.api, *made.others):
            api.client = issuer  # type: ignore[assignment]
        return made, issuer
