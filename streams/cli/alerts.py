"""The commands ``rescind alerts``: receivers, tests, replays, silences and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from streams.cli.options import DONE, Plain, asking
from streams.cli.output import clean, columns, count, show, to_stderr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.clients.rescind import Client

FAILED: Final = 1

# What an error of an attempt means, and what to do.
_ERRORS: Final = {
    "timeout": "no answer in time",
    "refused_address": "not a public address; allow_private lets it through",
    "unresolved": "its name leads nowhere",
    "unreachable": "no connection: is it there?",
    "untrusted": "its certificate is not trusted",
    "not_acknowledged": "taken, but not acknowledged: is the token's setting on?",
}

alerts_app = typer.Typer(
    help="Receivers of alerts, messages given up, and silences.",
    no_args_is_help=True,
)

Endpoint = Annotated[
    str | None,
    typer.Argument(help="Name of a receiver; default: all.", metavar="ENDPOINT"),
]


@asking(alerts_app, "list", "alerts list")
def list_receivers(client: Client, output: Plain = "table") -> int:
    """List the receivers with their state, and the messages given up."""
    answer = client.get("alerts")
    heads = ("endpoint", "state", "waiting", "failing", "dead letters")
    rows = [
        (each["name"], _state(each), each["waiting"], each["failing"], each["dead"])
        for each in answer["endpoints"]
    ]
    parts = [columns(heads, rows) if rows else "There are no receivers."]
    letters = [
        (each["at"], each["endpoint"], each["id"], each["reason"])
        for each in answer["dead_letters"]
    ]
    if letters:
        heads_of_letters = ("given up", "endpoint", "message", "reason")
        parts.append("\n" + columns(heads_of_letters, letters))
    return show(answer, "\n".join(parts), output)


@asking(alerts_app, "test", "alerts test")
def send_tests(
    client: Client, endpoint: Endpoint = None, output: Plain = "table"
) -> int:
    """Send a test message and its end; exit code 1 if a receiver did not take it."""
    answer = client.post("alerts/test", _named(endpoint))
    tried = answer["endpoints"]
    failed = not tried or not all(each["accepted"] for each in tried)
    if tried or output == "json":
        show(answer, "\n".join(map(_tried, tried)), output)
    if not tried:
        to_stderr("alerts test", "no receivers are set up")
    return FAILED if failed else DONE


def _tried(each: dict[str, Any]) -> str:
    said = "took it" if each["accepted"] else f"did NOT take it: {_why(each)}"
    return f"{clean(each['name'])} {said}"


def _named(endpoint: str | None) -> dict[str, Any]:
    return {} if endpoint is None else {"endpoint": endpoint}


def _state(each: dict[str, Any]) -> str:
    if each["disabled"]:
        return "disabled (410)"
    if each["paused"]:
        return f"paused until {each['paused']}"
    return "failing" if each["failing"] else "well"


def _why(each: dict[str, Any]) -> str:
    if each["error"]:
        return _ERRORS.get(each["error"], str(each["error"]))
    return f"it answered {each['status']}"


@asking(alerts_app, "silences", "alerts silences")
def list_silences(client: Client, output: Plain = "table") -> int:
    """List the silences in force, with the number of findings held back."""
    answer = client.get("alerts/silences")
    heads = ("id", "until", "by", "what", "held back", "reason")
    rows = [
        (
            each["id"],
            each["until"],
            each["by"],
            _what(each),
            each["count"],
            each["reason"],
        )
        for each in answer["silences"]
    ]
    text = columns(heads, rows) if rows else "There are no silences."
    return show(answer, text, output)


@asking(alerts_app, "silence", "alerts silence")
def order_silence(  # noqa: PLR0913 - each is an option
    client: Client,
    *,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; recorded in the audit chain.")
    ],
    until: Annotated[
        str, typer.Option("--until", help="End: RFC 3339, or a duration: 30m, 8h, 7d.")
    ],
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", help="Kind of findings; can be repeated."),
    ] = None,
    identifier: Annotated[
        str | None,
        typer.Option("--identifier", help="kind:value; * stands for any text."),
    ] = None,
    realm: Annotated[
        str | None, typer.Option("--realm", help="Findings of this realm only.")
    ] = None,
    critical: Annotated[
        bool,
        typer.Option(
            "--critical", help="Include critical kinds; needs the role admin."
        ),
    ] = False,
    output: Plain = "table",
) -> int:
    """Record findings without sending alerts, until a time."""
    from streams.cli.moments import refuse_number

    refuse_number(until, "--until")
    order = {"kinds": kind or [], "reason": reason, "until": until}
    limits = {"identifier": identifier, "realm": realm}
    limited = {name: value for name, value in limits.items() if value is not None}
    answer = client.post("alerts/silences", order | limited | {"critical": critical})
    said = (
        f"Silent until {answer['until']}: {clean(_what(answer))}.\n"
        f"To take it back: rescind alerts unsilence {answer['id']}"
    )
    return show(answer, said, output)


@asking(alerts_app, "unsilence", "alerts unsilence")
def end_silence(
    client: Client,
    name: Annotated[
        str,
        typer.Argument(
            help="Id of the silence, from `rescind alerts silences`.", metavar="ID"
        ),
    ],
    output: Plain = "table",
) -> int:
    """End a silence; alerts of open findings are sent at once."""
    answer = client.delete("alerts/silences", name)
    return show(answer, f"No longer silent: {clean(_what(answer))}.", output)


@asking(alerts_app, "acknowledge", "alerts acknowledge")
def acknowledge(
    client: Client,
    name: Annotated[
        str,
        typer.Argument(
            help="Id of the finding, from `rescind findings`.", metavar="ID"
        ),
    ],
    note: Annotated[
        str, typer.Option("--note", help="For the others who look at the list.")
    ] = "",
    *,
    take_back: Annotated[
        bool, typer.Option("--take-back", help="Nobody looks into it any more.")
    ] = False,
    output: Plain = "table",
) -> int:
    """Say that you look into a finding; its alerts go on."""
    path = f"findings/{quote(name, safe='')}"
    if take_back:
        answer = client.delete(path, "acknowledgement")
        return show(answer, f"Nobody looks into {clean(name)} any more.", output)
    answer = client.post(f"{path}/acknowledgement", {"note": note})
    by, at = answer["acknowledged"]["by"], answer["acknowledged"]["at"]
    said = f"{clean(by)} looks into {clean(name)} since {at}. Its alerts go on."
    return show(answer, said, output)


@asking(alerts_app, "replay", "alerts replay")
def send_again(
    client: Client, endpoint: Endpoint = None, output: Plain = "table"
) -> int:
    """Deliver again the messages given up, with their old ids."""
    answer = client.post("alerts/replay", _named(endpoint))
    again = count(answer["replayed"], "message")
    said = f"{again} on the way again; see `rescind alerts list`."
    return show(answer, said, output)


def _what(each: Mapping[str, Any]) -> str:
    kinds = ", ".join(each["kinds"]) or "all kinds"
    if each["critical"]:
        kinds += " (critical too)"
    realm = f" in {each['realm']}" if each["realm"] else ""
    return f"{kinds} of {each['identifier']}{realm}"
