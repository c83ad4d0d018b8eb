"""Large JSON is read as small JSON is, and no step of it is long, whatever it holds."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest

from enforcement import large_json
from enforcement.large_json import DEEPEST, MEMBERS, PIECE
from streams.process.large_json import LARGE, decoded, free, reading

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from agents_registry.steps import Steps
    from enforcement.large_json import Loads

pytestmark = pytest.mark.unit

LEAST_TURNS: Final = 3  # of others meanwhile: each of ours is 4 ms long
LONGEST: Final = 0.02  # seconds for which a loop may be held
SIZE: Final = 1 << 20


def padded(text: str) -> str:
    """As large as what is read in turns; blanks mean nothing in JSON."""
    return text + " " * LARGE


@pytest.mark.parametrize(
    "text",
    [
        '{"a":"]"}', '{"a":"},"}', '[{"a":"},{"},{"b":"],["}]', '["\\",","\\\\"]',
        "{}", " { } ", '{"a":[]}', '{ "a" : [ 1 , [ 2, {"b": []} ] ] , "c" : null }',
        '{"a":1,"a":[2]}', '{"a":{"b":[1,2]},"c":"\\"[\\u00e9"}', "[1,2]", "[]", "7",
        '"x"', "null", '{"a":[[],[[]]]}', "[-0,-0.5e-3,1E+2,0]", '{"":{"":""}}',
        "[1e-400,18446744073709551616,-1.5]", '"\\ud83d\\ude00\\uFFFF\\/"', "[ ]",
        "[true , false\t,\n null]", "[" * DEEPEST + "]" * DEEPEST,
        "[1e-1000000000,1e0000000001,0e999]", f"[0.{'1' * 1000}]", f"[1{'0' * 300}.0]",
        f"[0.{'0' * PIECE}]", f"[1e-{'1' * PIECE}]",
    ],
)  # fmt: skip
async def test_it_is_read_as_what_is_small(text: str) -> None:
    """Each value, and the last one of two members of one name."""
    wanted = orjson.loads(text)
    for found in (await decoded(text), await decoded(padded(text))):
        assert orjson.dumps(wanted) == orjson.dumps(found)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "}", "[", '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', "{,}",
        '{"a":[', '{"a":[1', '{"a":[1,', '{"a":[1,]}', '{"a":[1 2]}', '{"a":[,1]}',
        "{a:1}", "{1:1}", '{"a" 1}', "{} x", "{}{}", '{"a":[1}]', "[" * 100_000,
        '{"a":[' + "[" * 100_000, "nul", "[1,,2]", '{"a":1,,"b":2}', "[1],", "\u00a01",
        "NaN", "[NaN]", "-Infinity", "Infinity", "1e400", '{"a":-1e400}', "01", "1.",
        ".5", "+1", "1e", "0x1", '"\\ud800"', '"\\ude00\\ud83d"', '"\\x"', '"\t"',
        "'a'", "tru", "truex", '["a" "b"]', '{"a":"b}', '"', '"\\"', "[" * 1025
        + "]" * 1025,
    ],
)  # fmt: skip
async def test_what_is_no_json_is_refused(text: str) -> None:
    """By the error of the decoder of what is small, or by one that is like it."""
    for each in (text, padded(text)):
        with pytest.raises(ValueError):  # noqa: PT011 - of either
            await decoded(each)


async def test_levels_are_counted() -> None:
    """A piece is no way around it, nor are brackets within texts levels."""
    for text in (
        "[" * DEEPEST + "]" * DEEPEST,
        '{"a":' * DEEPEST + "1" + "}" * DEEPEST,
    ):
        assert len(await decoded(padded(text))) == len(orjson.loads(text)) == 1
        for each in (
            f"[{text}]", f"[1,{text},2]", f'{{"a":1,"b":{text},"c":3}}',
            f"[{'1,' * PIECE}{text}]", f'[{{"a":[1]}},{{"a":{text}}},7]',
        ):  # fmt: skip
            assert orjson.loads(each)
            with pytest.raises(ValueError, match="more than 64 levels"):
                await decoded(padded(each))
    text = orjson.dumps([{"a": "[{" * DEEPEST}] * 9).decode()
    assert await decoded(padded(text)) == orjson.loads(text)


def refused(text: str) -> tuple[str, float, float]:
    """Why a text is refused, and the CPU time (s) of all and of its longest step."""
    steps, worst, began = reading(text), 0.0, time.thread_time()
    try:
        while True:
            before = time.thread_time()
            next(steps)
            worst = max(worst, time.thread_time() - before)
    except ValueError as error:
        return str(error), time.thread_time() - began, worst


@pytest.mark.usefixtures("_uncollected")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" + ("[" * 1000 + "]" * 1000 + ",") * 8000 + "1]", "64 levels at"),
        ('{"a":{' + ",".join(f'"{n:x}":1' for n in range(500_000)) + "}}",
         "262,144 members at"),
        ('{"a":{' + ",".join(f'"{n:x}":[{{"b":"{"x" * 32}"}}]' for n in range(300_000))
         + "}}", "262,144 members at"),
        (f"[{'1' * (PIECE + 1)}]", "16,384 digits in a row at"),
        (f"[0.{'1' * (PIECE + 1)}]", "16,384 digits in a row at"),
    ],
)  # fmt: skip
def test_what_would_take_long_is_refused_and_says_why(text: str, why: str) -> None:
    """Before it did, and in short steps."""
    said, took, worst = refused(text)
    assert why in said
    assert took < 1
    assert worst < LONGEST


async def test_members_are_counted_once() -> None:
    """As many as there may be, and a name that comes again is none more."""
    text = ",".join(f'"{n:x}":1' for n in [*range(MEMBERS), *range(9)])
    assert len(await decoded(f"{{{text}}}")) == MEMBERS


ROW: Final = {
    "id": "x" * 64,
    "message": 'a"},{"b":"},",' * 9,
    "path": ["a", {"c": [{}]}],
}
HOSTILE: Final = {
    "a text": '{"a":"' + "x" * SIZE + '"}',
    "escapes": '{"a":"' + "\\u0041" * (SIZE // 6) + '"}',
    "pairs": '["' + "\\ud83d\\ude00" * (SIZE // 12) + '"]',
    "a name": '{"' + "x" * SIZE + '":1}',
    "blanks": '{"a":' + " \n" * (SIZE // 2) + "1}",
    "members": "{" + ",".join(f'"{n}":{n}' for n in range(SIZE // 14)) + "}",
    "numbers": "[" + "1," * (SIZE // 2) + "1]",
    "lists": "[" + "[]," * (SIZE // 9) + "1]",
    "an object": '{"a":{"b":{"c":[' + '{"d":{"e":1}},' * (SIZE // 40) + "1]}}}",
    "levels": "[" + ("[" * 60 + "]" * 60 + ",") * (SIZE // 1000) + "1]",
    "large leaves": "[" + ('[{"a":"' + "x" * PIECE + '"}],') * (SIZE // PIECE) + "1]",
    "commas in texts": "[" + '"\\",",' * (SIZE // 24) + "1]",
    "rows": json.dumps({"rows": [ROW] * (SIZE // 300)}),
}


def longest(steps: Steps[Any]) -> tuple[Any, float]:
    """Do work; return its result, and the CPU time (s) of its longest step."""
    worst = 0.0
    while True:
        before = time.thread_time()
        try:
            next(steps)
        except StopIteration as end:
            return end.value, worst
        worst = max(worst, time.thread_time() - before)


@pytest.fixture
def _uncollected() -> Iterator[None]:
    """Collect no garbage: processes that run loops keep its pauses short."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_uncollected")
@pytest.mark.parametrize(
    "loads", [orjson.loads, large_json.loads], ids=["server", "guard"]
)
@pytest.mark.parametrize("what", HOSTILE)
def test_no_step_is_long(what: str, loads: Loads) -> None:
    """Whatever is large: to read it, and to take it apart again."""
    found, took = longest(large_json.reading(HOSTILE[what], loads))
    assert took < LONGEST
    assert orjson.loads(HOSTILE[what]) == found
    _, took = longest(large_json._freeing(found))
    assert took < LONGEST
    assert not found


@pytest.mark.parametrize(
    "text",
    ["1" * SIZE, "0." + "1" * SIZE, "[1e" + "1" * SIZE, '{"a":"' + "x" * SIZE,
     "[" + "\\" * SIZE, '{"a":' + "[" * SIZE, '{"a":"' + "\\ud83d" * (SIZE // 6)],
)  # fmt: skip
def test_what_is_large_and_no_json_is_refused_at_once(text: str) -> None:
    """Nor is a step of that long."""
    steps, worst = reading(text), 0.0
    with pytest.raises(ValueError):  # noqa: PT012, PT011 - the steps until then
        while True:
            before = time.thread_time()
            next(steps)
            worst = max(worst, time.thread_time() - before)
    assert worst < LONGEST


async def beside(work: Awaitable[Any]) -> tuple[Any, int]:
    """Await a work; return its result, and how many turns others had meanwhile."""
    turns = 0
    doing = asyncio.ensure_future(work)
    while not doing.done():
        await asyncio.sleep(0)
        turns += 1
    return await doing, turns


async def test_others_have_their_turn() -> None:
    """While it is read, and while it goes."""
    found, turns = await beside(decoded(HOSTILE["rows"]))
    assert turns > LEAST_TURNS
    _, turns = await beside(free([found, *([[n] for n in range(50_000)])]))
    assert turns > LEAST_TURNS
    assert not found


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a":-Infinity}', "[" * 9999])
async def test_what_only_the_standard_library_reads_is_none(text: str) -> None:
    """A guard reads JSON as every other reader does."""
    for each in (text, padded(text)):
        with pytest.raises(ValueError):  # noqa: PT011 - of either
            await large_json.decoded(each)
    assert {"a": [1.5, "x"]} == await large_json.decoded(padded('{"a":[1.5,"x"]}'))
