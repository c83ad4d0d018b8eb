"""Samples of every dialect that Rescind reads, for tests of all mappers and the bench.

All events are hand-made. Whoever adds a source or an example mapping adds its samples
here: a test compares this table with what is registered.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
from attrs import frozen

from streams.sources.catalogue import source
from streams.sources.litellm.litellm import LiteLlm
from streams.sources.mapped.generic import Generic
from streams.sources.mapped.mapping import load_mapping
from tests.generators.samples import clouds, directories, platforms, signals
from tests.generators.samples.clock import START

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.sources import Source

SCIM: Final = directories.scim  # requests, not bytes: they are read one by one
Events = list[dict[str, Any]]
MAPPINGS: Final = Path(__file__).parents[3] / "examples" / "mappings"


def as_lines(events: Events) -> bytes:
    """Write events as JSON, one a line."""
    return b"".join(orjson.dumps(event) + b"\n" for event in events)


def as_tokens(events: Events) -> bytes:
    """Write claims as compact JWS one a line, with signatures that nobody verifies."""
    return b"".join(
        b".".join(map(_part, (b'{"alg":"RS256"}', orjson.dumps(one), b"s" * 256)))
        + b"\n"
        for one in events
    )


def _part(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


@frozen
class Dialect:
    """One way in which one system writes its events.

    Attributes:
        make: gives the events of round n, with ids and times of their own.
        source: makes a mapper.
        write: events as bytes, each on a line of its own.
        tells_its_end: a torn event differs from every whole one.
    """

    make: Callable[[int], Events]
    source: Callable[[], Source]
    write: Callable[[Events], bytes] = as_lines
    tells_its_end: bool = True


def _access_log(name: str) -> Dialect:
    """Give an example mapping; round n has its sample's lines at other times."""
    text = (MAPPINGS / f"{name}.yaml").read_text(encoding="utf-8")
    mapping = cache(lambda: load_mapping(text, name))
    lines = (MAPPINGS / f"{name}.ndjson").read_bytes()

    def make(n: int) -> Events:
        moved = lines.replace(str(START)[:7].encode(), str(1_772_442 + n).encode())
        moved = moved.replace(b"2026-03-02T09:", b"2026-03-02T%02d:" % (n % 24))
        return [orjson.loads(line) for line in moved.splitlines()]

    return Dialect(make, lambda: Generic(mapping()))


def _keyed(digest: bytes) -> str:
    return digest.hex()[:32]


DIALECTS: Final[dict[str, Dialect]] = {
    name: Dialect(make, partial(source, name))
    for name, make in {
        "anthropic": platforms.anthropic,
        "auth0": directories.auth0,
        "cloudtrail": clouds.cloudtrail,
        "entra": directories.entra,
        "gitguardian": platforms.gitguardian,
        "github": clouds.github,
        "keycloak": signals.keycloak,
        "kubernetes": clouds.kubernetes,
        "litellm": platforms.litellm,
        "okta": directories.okta,
        "openai": platforms.openai,
        "openbao": clouds.openbao,
        "spire": platforms.spire,
        "ssf": signals.ssf,
    }.items()
} | {
    "keycloak, log": Dialect(
        signals.keycloak, partial(source, "keycloak"), signals.keycloak_lines,
        tells_its_end=False,
    ),
    "litellm, keyed": Dialect(platforms.litellm, lambda: LiteLlm(_keyed)),
    "ssf, signed": Dialect(signals.ssf, partial(source, "ssf"), as_tokens),
} | {
    f"mapping {file.stem}": _access_log(file.stem)
    for file in sorted(MAPPINGS.glob("*.yaml"))
}  # fmt: skip
