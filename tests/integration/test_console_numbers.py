"""Every number on a page of the console is one that the API gave, over random worlds.

Two ways: the figures of the main pages are counted here from answers of the API itself;
and whatever stands as a number in any page is a value, or a count, of an answer that
this page had asked for.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from html import unescape
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest

from streams.console.api import Api
from streams.console.pages.catalogue import KINDS
from streams.console.templates import url
from tests.browser.world import MAPPING, Gateway
from tests.campaigns import some
from tests.integration.console_browser import Browser, browsing
from tests.integration.serving import Server, until
from tests.integration.test_closure import guard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

WORLDS: Final = range(12)
QUICK: Final = (0,)
AUTHORITIES: Final = {
    "aws": {
        "grants": [{"kind": "gateway.*"}, {"kind": "person.id"}], "issuer_log": True,
    },
    "stranger": {"grants": [{"kind": "jwt.jti"}]},
}  # fmt: skip
SOURCES: Final = {"gateway": {"format": "generic", "mapping": str(MAPPING)}}
_FIGURE: Final = re.compile(
    r'<li class="figure[^>]*>(?:<a [^>]*>)?<strong>(.*?)</strong> <span>(.*?)</span>'
)
_CELL: Final = re.compile(r'(<tr[^>]*>\s*)?<td class="number">(.*?)</td>', re.DOTALL)
_TAG: Final = re.compile(r"<[^>]*>")
_NUMBER: Final = re.compile(r"\d[\d,]*(?:\.\d+)?")


def day(random: Random) -> bytes:
    """Write a random day of a gateway."""
    log = Gateway()
    tokens: list[str] = []
    for number in range(random.randint(3, 30)):
        agent = f"a{random.randrange(5)}"
        above = random.choice([None, *tokens])
        owner = random.choice(["dana", "kim", None])
        scopes = random.sample(["x", "y", "z"], random.randint(0, 3))
        log.issue(7200 - number, f"t{number}", agent, by=above, owner=owner,
                  scopes=scopes)  # fmt: skip
        tokens.append(f"t{number}")
    for token in random.sample(tokens, random.randint(1, len(tokens) // 2)):
        log.end(random.uniform(600, 3600), token)
    for token in random.choices(tokens, k=random.randint(1, 40)):
        log.use(
            random.uniform(1, 3000), token, f"a{random.randrange(6)}",
            tool=random.choice(["mail", "search"]), scopes=["x"],
            status=random.choice([200, 200, 403]),
        )  # fmt: skip
    return log.bytes()


def figures(text: str) -> dict[str, str]:
    """Return the figures of a page: what they count, and what they say."""
    found = _FIGURE.findall(text)
    return {
        unescape(what).partition(",")[0]: unescape(number) for number, what in found
    }


def numbers(path: str, text: str) -> Iterator[str]:
    """Return what stands as a number in a page."""
    for said in figures(text).values():
        yield from _NUMBER.findall(said)
    for first, cell in _CELL.findall(text):
        if not (first and path.startswith("/credentials")):  # rows are numbered there
            yield from _NUMBER.findall(_TAG.sub("", cell))


def known(answer: Any) -> Iterator[float]:
    """Return the values of an answer, and what can be counted in it."""
    if isinstance(answer, bool | None):
        return
    if isinstance(answer, int | float):
        yield answer
    elif isinstance(answer, str):
        yield from (float(each) for each in re.findall(r"\d+(?:\.\d+)?", answer)[:9])
    elif isinstance(answer, dict):
        yield from itertools.chain.from_iterable(map(known, answer.values()))
    else:
        yield len(answer)
        yield from itertools.chain.from_iterable(map(known, answer))
        rows = [each for each in answer if isinstance(each, dict)]
        for name in {name for row in rows for name in row}:
            held = [row[name] for row in rows if name in row]
            yield from Counter(str(each) for each in held).values()
            yield len([each for each in held if not each])
            if all(isinstance(each, int | float) for each in held):
                yield sum(held)


def is_of(number: str, values: set[float]) -> bool:
    """Tell whether a number is one of the values, as far as it is written out."""
    plain = number.replace(",", "")
    places = len(plain.partition(".")[2])
    return any(f"{each:.{places}f}" == plain for each in values) or plain == "0"


@pytest.mark.parametrize("seed", some(WORLDS, QUICK, pytest.mark.long))
async def test_each_number_is_the_apis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """In all pages of the catalogue."""
    random, asked = Random(seed), []
    own = Api._asked

    async def noted(api: Api, *given: Any) -> Any:
        answer = await own(api, *given)
        asked.append(answer.body)
        return answer

    monkeypatch.setattr(Api, "_asked", noted)
    given: dict[str, Any] = {"authorities": AUTHORITIES, "sources": SOURCES}
    async with (
        browsing(tmp_path, **given) as (server, browser),
        guard(server, "edge") as edge,
    ):
        await edge.ready(50)
        names = await told(server, random)
        await browser.login("viewer")
        await main_pages(server, browser, names)
        for kind in KINDS:
            root = kind.path.split("/")[1]
            if "{" in kind.path and root not in names:
                continue  # there is no actuator
            path = kind.path.replace("/{name}", "")
            if "{" in kind.path:
                path = url(path, names[root]).removeprefix("/console")
            asked.clear()
            page = await browser.get(f"{path.rstrip('/')}?whole=1")
            assert page.status == 200, page.text
            values = set(known(asked))
            wrong = [n for n in numbers(path, page.text) if not is_of(n, values)]
            assert not wrong, f"{path}: {wrong}"


async def told(server: Server, random: Random) -> dict[str, str]:
    """Tell a server a random day; give names for the pages about one thing."""
    status, _ = await server.post("/v1/events/gateway", "aws", day(random))
    assert 202 == status
    last: dict[str, Any] = {}
    for number in random.sample(range(3), random.randint(1, 3)):
        order = {"identifier": f"gateway.token:t{number}", "reason": "x"}
        status, last = await server.post("/v1/revocations", "revoker", order)
        assert 201 == status
    await until(lambda: server.served.stages.idle)

    async def closed() -> bool:
        _, answer = await server.get("/v1/revocations")
        return all(each["state"] == "closed" for each in answer["revocations"])

    await until(closed)
    names = {"credentials": "gateway.token:t0", "revocations": str(last["id"])}
    findings = await server.findings()
    return names | ({"findings": findings[0]["id"]} if findings else {})


async def main_pages(server: Server, browser: Browser, names: dict[str, str]) -> None:
    """Hold the figures of the main pages against counts of our own."""
    _, guards = await server.get("/v1/guards")
    _, sources = await server.get("/v1/sources")
    _, of = await server.get(f"/v1/revocations/{names['revocations']}")
    opened = [each for each in await server.findings() if each["open"]]
    late = [each for each in guards["guards"] if each["standing"] != "heard"]
    silent = [each for each in sources["sources"] if not each["good"]]
    now = figures((await browser.get("?whole=1")).text)
    assert {
        "revocations under way": "0",
        "open findings": str(len(opened)) if len(opened) < 50 else "50 or more",
        "guards without a lease": f"{len(late)} of {len(guards['guards'])}",
        "sources that need attention": f"{len(silent)} of {len(sources['sources'])}",
    } == now
    page = await browser.get(f"/revocations/{names['revocations']}?whole=1")
    shown = figures(page.text)
    members = of["applied"] + len(of["fenced"]) + len(of["laggards"])
    assert f"{of['applied']} of {members}" == shown["guards applied it"]
    assert f"{of['seconds']:.3f} s" == shown["from acceptance to the proof"]
    assert str(len(of["laggards"])) == shown["laggards"]


def test_a_number_of_nobodys_is_seen() -> None:
    """The check above can fail."""
    values = set(known([{"rows": [{"a": "x"}, {"a": "y"}, {"a": "x"}], "n": 41}]))
    assert {2.0, 3.0, 41.0} <= values
    assert is_of("41", values)
    assert not is_of("42", values)
    assert not is_of("1,041", values)
