"""The public SCIM collection provisions into a running server."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.integration.scim_directory import call, settings
from tests.integration.serving import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.public_samples


def collected(item: dict[str, Any]) -> Iterator[tuple[str, str, bytes | None]]:
    """Give method, path and body of a collection's requests about users."""
    if "request" in item:
        asked = item["request"]
        url = asked["url"] if isinstance(asked["url"], str) else asked["url"]["raw"]
        path = url.partition("{{Api}}/")[2]
        if path.startswith("Users"):
            body = (asked.get("body") or {}).get("raw", "")
            yield asked["method"], path, body.encode() if body else None
    for inner in item.get("item", ()):
        yield from collected(inner)


async def test_the_public_collection_is_served(
    tmp_path: Path, public_samples: Path
) -> None:
    """Each variable stands for the oldest user that no other stands for.

    Refused are the one body that is no JSON, the one without userName, a name that
    is taken (three times), and filters of other attributes (four).
    """
    text = (public_samples / "scim/PostmanCollection.json").read_text("utf-8-sig")
    living: list[str] = []
    bound: dict[str, str] = {}
    answers: Counter[tuple[str, int]] = Counter()
    async with running(tmp_path, **settings(tmp_path, external_kind=None)) as server:
        for method, template, body in collected(orjson.loads(text)):
            path = template
            for name in re.findall(r"\{\{(\w+)\}\}", template):
                if bound.get(name) not in living:
                    free = [one for one in living if one not in bound.values()]
                    bound[name] = free[0]
                path = path.replace("{{" + name + "}}", bound[name])
            status, answer = await call(server, method, path, body)
            answers[method, status] += 1
            if status == 201:
                living.append(answer["id"])
            if method == "DELETE":
                living.remove(path.rpartition("/")[2])
            if method in ("PUT", "PATCH") and b'"active": false' in (body or b""):
                assert answer["active"] is False
        (last,) = await server.served.stages.store.read(
            "SELECT count(*) FROM kept WHERE kind = 'scim'"
        )
    assert (len(living),) == last
    assert {
        ("GET", 200): 13, ("GET", 400): 4,
        ("POST", 201): 11, ("POST", 400): 2, ("POST", 409): 3,
        ("PUT", 200): 4, ("PATCH", 200): 3, ("DELETE", 204): 11,
    } == dict(answers)  # fmt: skip
