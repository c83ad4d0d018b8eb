"""What the demo says when something is missing or does not happen: no faked output."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import attrs
import pytest

from streams.demo import command, recording, stage
from streams.demo.receiver import WebhookReceiver
from streams.model.times import SECOND, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.demo.recording import Recording

pytestmark = pytest.mark.integration

NOW = 1_800_000_000 * SECOND


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a function that changes the recording before it is replayed."""

    def change(**parts: object) -> None:
        def read(folder: Path, now: int) -> Recording:
            return attrs.evolve(recording.read(folder, now), **parts)  # type: ignore[arg-type]

        monkeypatch.setattr(command, "read", read)

    return change


def test_fails_when_the_guard_never_denies(
    changed: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without the revocation nothing is shown as denied, and the exit code is 1."""
    changed(call=b"")
    monkeypatch.setattr(stage, "DEADLINE", 2.0)

    assert command.run(None) == command.FAILED

    out, err = capsys.readouterr()
    assert "the guard denies P and its 7 descendants: not within 2 s" in err
    assert "denied after" not in out


def test_fails_when_findings_are_not_what_the_vault_said(
    changed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """A presentation that was refused and not found ends the demo."""
    changed(refused=frozenset({"an event that is not in the log"}))

    assert command.run(None) == command.FAILED

    assert "1 refused presentations missed, 0 allowed" in capsys.readouterr().err


def test_fails_when_an_alert_is_not_signed_right(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The receiver checks signatures: with another secret it refuses every alert."""
    take = WebhookReceiver.take

    async def with_another_secret(receiver: WebhookReceiver, request: object) -> object:
        receiver.secret = "whsec_" + "A" * 32
        return await take(receiver, request)  # type: ignore[arg-type]

    monkeypatch.setattr(WebhookReceiver, "take", with_another_secret)

    assert command.run(None) == command.FAILED

    out, err = capsys.readouterr()
    assert "its signature is wrong" in err
    assert "signatures verified" not in out


def test_keeps_its_data_where_it_is_told(tmp_path: Path) -> None:
    """A given folder holds the log afterwards; one with data in it is refused."""
    assert command.run(tmp_path / "data") == command.DONE
    assert any((tmp_path / "data").iterdir())

    assert command.run(tmp_path / "data") == command.USAGE


def test_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the recording it names the file and where to find it."""
    assert command.run(None, tmp_path) == command.USAGE

    err = capsys.readouterr().err
    assert str(tmp_path / "audit.log") in err
    assert "examples/openbao" in err


def test_refuses_a_recording_without_the_revocation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log in which nobody revokes P cannot be shown."""
    shutil.copy(command.RECORDING / "truth.json", tmp_path)
    (tmp_path / "audit.log").write_bytes(b"")

    assert command.run(None, tmp_path) == command.USAGE

    assert "nobody revokes P" in capsys.readouterr().err


def test_moves_all_times_alike() -> None:
    """The parts are the log, line by line; only times differ, all by as much."""
    read = recording.read(command.RECORDING, NOW)
    lines = (read.before + read.call + read.after).splitlines()
    original = (command.RECORDING / "audit.log").read_bytes().splitlines()

    assert len(lines) == len(original)
    assert len(read.call.splitlines()) == 2
    moved = {
        (parse_time(json.loads(new)["time"]) or 0)
        - (parse_time(json.loads(old)["time"]) or 0)
        for new, old in zip(lines, original, strict=True)
    }
    assert {read.moved * SECOND} == moved
    assert (
        NOW - SECOND
        < max(parse_time(json.loads(each)["time"]) or 0 for each in lines)
        <= NOW
    )


@pytest.mark.parametrize(
    ("line", "moved"),
    [
        ('{"time":"2026-01-01T00:00:59.5Z"}', '{"time":"2026-01-01T00:01:01.5Z"}'),
        ('{"creation_time":1795574087}', '{"creation_time":1795574089}'),
        ('{"ttl":3600,"issue_time":"0001-01-01T00:00:00Z"}', None),
        ('{"path":"auth/token/create","id":"2026-01-01"}', None),
    ],
)
def test_moves_nothing_but_times(line: str, moved: str | None) -> None:
    """Texts and numbers move; Go's zero time, durations and other texts stay."""
    assert recording.shifted(line.encode(), 2).decode() == (moved or line)
