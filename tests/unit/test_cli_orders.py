"""Orders at the command line: what is refused before a server is asked."""

from __future__ import annotations

from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from typer.testing import CliRunner

from streams.cli.lifted_selectors import parted
from streams.cli.logs import operator_cause
from streams.cli.main import app
from streams.cli.named_in_order import named
from streams.model.selectors import Selector

if TYPE_CHECKING:
    from typer.testing import Result

pytestmark = pytest.mark.unit

WHY: Final = ("--reason", "INC-7")
TEAM: Final = "label.team=payments"


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a server that nobody is: what asks it ends with another exit code."""
    monkeypatch.setenv("RESCIND_TOKEN", "secret")
    monkeypatch.setenv("RESCIND_URL", "http://127.0.0.1:1")


def refused(*line: str) -> str:
    """Run a command that is refused; give what it says."""
    result: Result = CliRunner().invoke(app, list(line))
    assert (2, "") == (result.exit_code, result.stdout), result.output
    assert 1 == result.stderr.count("\n"), result.stderr
    return result.stderr


@pytest.mark.parametrize(
    ("line", "option"),
    [
        (("revoke", "a:b"), "--at"),
        (("revoke", "a:b"), "--reason"),
        (("suspend", "a:b"), "--for"),
        (("suspend", "a:b"), "--until"),
        (("suspend", "a:b"), "--aspect"),
        (("narrow", "a:b", "--scope", "a|b"), "--for"),
        (("narrow", "a:b"), "--scope"),
        (("not-before", "a:b"), "--at"),
        (("contain",), "--where"),
        (("contain", "--where", TEAM), "--until"),
        (("lift", "a:b", *WHY), "--at"),
        (("lift", "a:b", *WHY), "--aspect"),
        (("lift", *WHY), "--where"),
        (("lift", "a:b"), "--reason"),
        (("withdraw", "a:b", "f"), "--reason"),
        (("owners", "a:b", *WHY), "--owner"),
        (("apply", "plan"), "--reason"),
        (("approvals", "reject", "id"), "--reason"),
        (("schedule", "cancel", "id"), "--reason"),
        (("endings", "retry", "aws"), "--reason"),
        (("alerts", "silence", *WHY), "--until"),
        (("why", "a:b"), "--at"),
    ],
)
def test_an_option_with_nothing_behind_it_is_refused(
    line: tuple[str, ...], option: str
) -> None:
    """A script whose variable is not set must not revoke now, or for ever."""
    for empty in ("", " "):
        assert f": {option} is empty: " in refused(*line, option, empty)


def test_a_mark_of_utf_8_is_no_part_of_a_name(tmp_path: Path) -> None:
    """In a file or on standard input, as editors of Windows write it."""
    data = "\ufeffjwt.jti:1\n\ufeffjwt.jti:2\n".encode()
    file = tmp_path / "names.txt"
    file.write_bytes(data)
    names = ["jwt.jti:1", "\ufeffjwt.jti:2"]
    assert named([], file) == names
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.stdin", TextIOWrapper(BytesIO(data), "utf-8"))
        assert named([], Path("-")) == names


@pytest.mark.parametrize("given", ["", "case-7", "a b=c,d"])
@pytest.mark.parametrize(
    "where", [TEAM, "owner=person.id:pat,kind=jwt.jti", "label.team=a b\\,c"]
)
def test_an_aspect_is_parted_as_a_lift_must_name_it(given: str, where: str) -> None:
    """Whatever spaces there are on both sides; a text of another target is none."""
    selector = Selector.parse(where)
    aspect, target = selector.aspect_of(given), str(selector.cause_parts()[0])
    assert parted(aspect, target) == (selector.text(), given)
    assert parted(aspect, "label.team:other") == ("", aspect)
    assert parted("sha256:ab", target) == ("", "sha256:ab")


@pytest.mark.parametrize("beside", [("--plan",), ("--at", "2190-12-31T00:00:00Z")])
def test_what_was_created_is_revoked_by_no_order_for_later(
    beside: tuple[str, ...],
) -> None:
    """The option would be dropped, and what was created live on."""
    said = f"--with-created does not go with {'an ' * (beside[0] == '--at')}{beside[0]}"
    assert said in refused("revoke", "agent.id:b", "--with-created", *beside)


@pytest.mark.parametrize(
    ("line", "option"),
    [
        (("revoke", "a:b"), "--at"),
        (("revoke", "a:b", "--plan"), "--at"),
        (("suspend", "a:b"), "--until"),
        (("lift", "a:b", *WHY), "--at"),
        (("distrust", "aws", "--key", "k", *WHY), "--from"),
        (("why", "a:b"), "--at"),
        (("alerts", "silence", *WHY), "--until"),
        (("audit", "export"), "--since"),
    ],
)
def test_a_bare_number_is_no_time(line: tuple[str, ...], option: str) -> None:
    """As seconds since 1970 a date without hyphens is long past, and meant ahead."""
    for number in ("20301231", "1e9", " 1924905600 "):
        said = f"{option} {number!r} is a number: write a time as 2030-12-31T00:00:00Z"
        assert said in refused(*line, option, number)


def test_a_bare_number_is_no_time_of_a_hunt() -> None:
    """Everything since 1970 would be a use of what is dead."""
    with pytest.raises(ValueError, match="'20301231' is a number: write a time as"):
        operator_cause("aws.access_key:A@20301231")
