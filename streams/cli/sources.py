"""The command ``rescind sources``: how every source is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import typer

from streams.cli.options import Plain, asking
from streams.cli.output import columns, count, show

if TYPE_CHECKING:
    from streams.clients.rescind import Client

WELL: Final = 0
UNWELL: Final = 1
_HEADS: Final = (
    "source", "state", "last event", "verified", "lag", "accepted", "rejected",
    "refused", "note",
)  # fmt: skip
_MINUTE: Final = 60
_UNITS: Final = ((86_400, "d"), (3600, "h"), (_MINUTE, "min"))

sources_app = typer.Typer()


@asking(sources_app, "sources")
def list_sources(client: Client, output: Plain = "table") -> int:
    """List the state of every source; exit code 1 if one is not well."""
    rows = client.get("sources")["sources"]
    table = columns(_HEADS, [_source_row(each) for each in rows])
    text = table if rows else "No sources are set up, and nothing came."
    show({"sources": rows}, text, output)
    return WELL if all(each["good"] for each in rows) else UNWELL


def _source_row(each: dict[str, Any]) -> tuple[object, ...]:
    return (
        each["name"], each["state"], each["last_event"], each["last_verification"],
        _lag(each["lag_seconds"]), each["accepted"], each["rejected"],
        each["refused"], _source_note(each),
    )  # fmt: skip


def _lag(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _source_note(each: dict[str, Any]) -> str:
    parts = [
        each["trouble"],
        f"last rejected: {each['reason']}" if each["reason"] else "",
        f"{count(each['unmapped'], 'subject')} unmapped" if each["unmapped"] else "",
        count(each["collisions"], "id collision") if each["collisions"] else "",
        "events may be missing from {} to {}".format(*each["gap"])
        if each["gap"]
        else "",
    ]
    return "; ".join(part for part in parts if part)
