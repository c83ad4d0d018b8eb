"""The command ``rescind hunt``: its JSON, its exit codes, its causes of an operator."""

from __future__ import annotations

import gzip
import json
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from agents_registry.identifiers import Identifier
from streams.cli import logs
from streams.cli.logs import operator_cause
from streams.cli.main import app

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

ACCOUNT = "111122223333"
ANN = f"arn:aws:iam::{ACCOUNT}:user/ann"
KEY, CONSOLE, SESSION = "AKIAANN", "ASIACONSOLE", "ASIASESSION"


def event(name: str, at: str, identity: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Make an event of Ann's."""
    return {
        "eventID": f"{name}-{at}",
        "eventName": name,
        "eventSource": more.pop("source", "s3.amazonaws.com"),
        "eventTime": f"2026-03-01T{at}Z",
        "recipientAccountId": ACCOUNT,
        "userIdentity": {"type": "IAMUser", "arn": ANN, "userName": "ann"} | identity,
        **more,
    }


BY_KEY = {"accessKeyId": KEY}
BY_CONSOLE = {
    "accessKeyId": CONSOLE,
    "sessionCredentialFromConsole": "true",
    "sessionContext": {"attributes": {"creationDate": "2026-03-01T08:00:00Z"}},
}
BY_SESSION = {
    "type": "AssumedRole",
    "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/ann",
    "accessKeyId": SESSION,
}
ASSUME = event(
    "AssumeRole",
    "09:00:00",
    BY_KEY,
    source="sts.amazonaws.com",
    requestParameters={"roleArn": f"arn:aws:iam::{ACCOUNT}:role/deploy"},
    responseElements={"credentials": {"accessKeyId": SESSION}},
)
LOG = [
    event("GetObject", "09:30:00", BY_SESSION),  # stands before its AssumeRole
    ASSUME,
    event("ListBuckets", "10:00:00", BY_KEY),
    event("GetObject", "10:00:01", BY_CONSOLE),
    event("GetObject", "10:00:02", BY_SESSION),
    event("PutObject", "10:00:03", BY_SESSION, errorCode="ExpiredToken"),
]


def hunted(
    folder: Path, *options: str, log: list[dict[str, Any]] = LOG
) -> tuple[int, dict[str, Any]]:
    """Write the log, hunt over the folder, give the exit code and the report."""
    file = folder / "day" / "trail.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"Records": log}))
    result = CliRunner().invoke(
        app, ["hunt", str(folder), "--output", "json", *options]
    )
    assert result.exit_code in {0, 1, 3}, result.output
    return result.exit_code, json.loads(result.stdout)


def names(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Give kind, credential and via of each finding."""
    return [
        (found["kind"], found["identifiers"][0][1], found["via"])
        for found in report["findings"]
    ]


def test_a_clean_log_gives_nothing_and_exit_code_0(tmp_path: Path) -> None:
    """Without a cause nothing is dead; denied calls change nothing."""
    code, report = hunted(tmp_path)

    assert 0 == code
    assert {
        "read": 6,
        "lifecycle": 1,
        "access": 6,
        "duplicate": 0,
        "dead_letter": 0,
        "without_effect": 5,
    } == (report["records"])
    assert (1, 1, [], []) == (
        report["issued"],
        report["edges"],
        report["causes"],
        report["findings"],
    )


def test_events_without_an_id_and_a_time_count_as_repeats_too(tmp_path: Path) -> None:
    """A webhook's body, kept twice; and an issue that names no credential."""
    body = {
        "action": "deleted",
        "installation": {"id": 2, "app_id": 7},
        "sender": {"id": 1, "login": "ann"},
    }
    told = {
        "verb": "create", "stage": "ResponseComplete", "user": {"username": "ann"},
        "stageTimestamp": "2026-03-01T09:00:00Z", "responseStatus": {"code": 201},
        "objectRef": {
            "resource": "serviceaccounts", "subresource": "token", "name": "sa",
            "namespace": "prod",
        },
    }  # fmt: skip
    for name, event_ in (("a", body), ("b", body), ("c", told), ("d", told)):
        (tmp_path / f"{name}.json").write_text(json.dumps(event_))
    result = CliRunner().invoke(app, ["hunt", str(tmp_path), "--output", "json"])

    counts = json.loads(result.stdout)["records"]
    assert (4, 2, 1, 2) == (
        counts["read"], counts["lifecycle"], counts["access"], counts["duplicate"],
    )  # fmt: skip


def test_a_revoked_key_ends_its_sessions_but_no_console_session(
    tmp_path: Path,
) -> None:
    """The console session hangs on the person, not on the key."""
    code, report = hunted(
        tmp_path, "--revoke", f"aws.access_key:{KEY}@2026-03-01T09:15:00Z"
    )

    assert 1 == code
    assert [
        ("use_after_revocation", SESSION, "ancestor"),
        ("use_after_revocation", KEY, "direct"),
        ("blocked_attempt", SESSION, "ancestor"),
    ] == names(report)
    first = report["findings"][0]
    assert 2 == first["count"]
    assert ["GetObject-09:30:00", "GetObject-10:00:02"] == first["event_ids"]
    assert ("2026-03-01T09:30:00Z", "2026-03-01T10:00:02Z") == (
        first["first_seen"],
        first["last_seen"],
    )
    assert [["aws.access_key", SESSION], ["aws.access_key", KEY]] == first["path"]
    (cause,) = report["causes"]
    assert first["cause"] == cause["id"]
    assert ("revoke", "subtree", "operator", "2026-03-01T09:15:00Z", None) == (
        cause["effect"],
        cause["reach"],
        cause["source"],
        cause["at"],
        cause["event_id"],
    )


def test_a_revoked_person_ends_everything_under_them(tmp_path: Path) -> None:
    """Keys, console sessions and what came of them; a path is no part of the name."""
    for arn in (ANN, ANN.replace("user/", "user/staff/")):
        _, report = hunted(tmp_path, "--revoke", f"aws.user:{arn}@2026-03-01T09:15:00Z")

        assert {KEY, CONSOLE, SESSION} == {name for _, name, _ in names(report)}


def test_a_use_at_the_very_time_counts_only_inclusively(tmp_path: Path) -> None:
    """Equal times tell no order."""
    revoke = ("--revoke", f"aws.access_key:{KEY}@2026-03-01T10:00:00Z")
    _, exclusive = hunted(tmp_path, *revoke)
    _, inclusive = hunted(tmp_path, *revoke, "--inclusive")

    assert KEY not in {name for _, name, _ in names(exclusive)}
    assert KEY in {name for _, name, _ in names(inclusive)}


def test_a_suspended_key_is_dead_between_suspend_and_restore(tmp_path: Path) -> None:
    """Uses before, while and after; a key has one status."""

    def status(value: str, at: str) -> dict[str, Any]:
        return event(
            "UpdateAccessKey",
            at,
            {"accessKeyId": "AKIAADMIN", "arn": f"arn:aws:iam::{ACCOUNT}:user/admin"},
            source="iam.amazonaws.com",
            requestParameters={
                "userName": "ann",
                "accessKeyId": KEY,
                "status": value,
            },
        )

    uses = [event("GetObject", f"1{hour}:00:00", BY_KEY) for hour in range(4)]
    log = [status("Inactive", "10:30:00"), status("Active", "12:30:00"), *uses]
    _, report = hunted(tmp_path, log=log)

    assert ["GetObject-11:00:00", "GetObject-12:00:00"] == [
        event_id for found in report["findings"] for event_id in found["event_ids"]
    ]


def test_a_failed_revocation_is_no_cause(tmp_path: Path) -> None:
    """It has an errorCode, so it did not happen."""
    failed = event(
        "DeleteAccessKey",
        "09:00:00",
        BY_KEY,
        source="iam.amazonaws.com",
        errorCode="NoSuchEntityException",
        requestParameters={"accessKeyId": KEY},
    )
    code, report = hunted(tmp_path, log=[failed, *LOG])

    assert (0, []) == (code, report["causes"])


@pytest.mark.parametrize(
    "text", ["aws.access_key:AKIA", "@2026-03-01T00:00:00Z", "AKIA@noon", "x@y@z"]
)
def test_a_cause_that_cannot_be_read_is_exit_code_2(tmp_path: Path, text: str) -> None:
    """The message says how to write one."""
    (tmp_path / "log.json").write_text(json.dumps(LOG))
    result = CliRunner().invoke(app, ["hunt", str(tmp_path), "--revoke", text])

    assert 2 == result.exit_code
    assert "kind:value" in result.stderr


PASSWORD = event(
    "ConsoleLogin",
    "11:00:00",
    {},
    source="signin.amazonaws.com",
    responseElements={"ConsoleLogin": "Success"},
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"aws.user:{ANN}", 3),
        (f"aws.user:{ANN.replace('user/', 'user/staff/')}", 3),
        (f"aws.login_profile:{ANN}", 1),
        (f"aws.login_profile:{ANN.replace('user/', 'user/staff/')}", 1),
        (f"aws.role:{BY_SESSION['arn']}", 1),
    ],
)
def test_an_operator_ends_what_the_kind_says(
    tmp_path: Path, text: str, found: int
) -> None:
    """A user's path is no part of the name; the password is not the user."""
    log = [event("ListBuckets", "10:00:00", BY_KEY), PASSWORD]
    log.append(event("GetObject", "11:00:00", BY_SESSION))
    log.append(event("GetObject", "11:00:00", BY_CONSOLE))
    _, report = hunted(tmp_path, "--revoke", f"{text}@2026-03-01T09:00:00Z", log=log)

    assert found == len(report["findings"])


@pytest.mark.parametrize("text", ["auth/people", "auth/people/", "/auth/people/"])
def test_a_mount_may_have_a_slash_at_its_end(text: str) -> None:
    """As the vault itself shows it."""
    named, at = operator_cause(f"vault.path:{text}@1970-01-01T00:00:01Z")

    assert (Identifier("vault.path", "auth/people"), 1_000_000_000) == (named, at)


def test_a_path_of_slashes_names_nothing() -> None:
    """Nothing is left of it."""
    with pytest.raises(ValueError, match=r"vault\.path"):
        operator_cause("vault.path://@1970-01-01T00:00:01Z")


def test_a_revocation_by_a_broken_clock_has_no_time(tmp_path: Path) -> None:
    """It stands, with a dead letter beside it; no use is known to come after it."""
    log = [
        event(
            "DeleteAccessKey",
            "09:00:00",
            BY_KEY,
            source="iam.amazonaws.com",
            requestParameters={"accessKeyId": KEY},
        )
        | {"eventTime": "2451-01-01T00:00:00Z"},
        *LOG,
    ]
    _, report = hunted(tmp_path, log=log)

    assert [("revoke", None)] == [(c["effect"], c["at"]) for c in report["causes"]]
    assert (1, []) == (report["records"]["dead_letter"], report["findings"])


def test_every_presentation_is_named(tmp_path: Path) -> None:
    """However many there are, each event's id is in the finding."""
    log = [event(f"Get{n}", "10:00:00", BY_KEY) for n in range(1500)]
    _, report = hunted(
        tmp_path, "--revoke", f"aws.access_key:{KEY}@2026-03-01T09:00:00Z", log=log
    )

    (finding,) = report["findings"]
    assert 1500 == finding["count"] == len(set(finding["event_ids"]))


def test_a_missing_path_is_exit_code_2(tmp_path: Path) -> None:
    """And its name is said."""
    result = CliRunner().invoke(app, ["hunt", str(tmp_path / "nowhere")])

    assert 2 == result.exit_code
    assert "nowhere" in result.stderr


def test_what_cannot_be_read_is_never_called_clean(tmp_path: Path) -> None:
    """An exit code of its own, and a table of file, line and reason."""
    token = "ghp_" + "a" * 36
    log, other = tmp_path / "a.json", tmp_path / "b.log"
    lines = [json.dumps({"Records": [event("GetA", "10:00:00", BY_KEY)]}), "", "{cut"]
    log.write_text("\n".join(lines))
    other.write_text(f'{{"x": 1}}\n{{"x": "{token}"}}\n')

    result = CliRunner().invoke(app, ["hunt", str(tmp_path)])

    assert 3 == result.exit_code
    assert "No dead credential was presented in what could be read." in result.stdout
    told = [line.split("│") for line in result.stderr.splitlines() if "│" in line]
    cells = [[cell.strip() for cell in row[1:4]] for row in told]
    assert [[str(log), "3", "1"], [str(other), "1", "2"]] == cells
    parsed = CliRunner().invoke(app, ["parse", str(other)])
    places = [json.loads(line) for line in parsed.stdout.splitlines()]
    assert [(str(other), 1), (str(other), 2)] == [
        (p["file"], p["line"]) for p in places
    ]
    assert token not in result.output + parsed.output
    found = CliRunner().invoke(
        app,
        [
            "hunt",
            str(tmp_path),
            "--revoke",
            f"aws.access_key:{KEY}@2026-03-01T09:00:00Z",
        ],
    )
    assert 1 == found.exit_code


def test_the_table_says_what_and_why(tmp_path: Path) -> None:
    """One row a finding, or one line that there is none."""
    (tmp_path / "log.json").write_text(json.dumps(LOG))
    revoke = ["--revoke", f"aws.access_key:{KEY}@2026-03-01T09:15:00Z"]
    found = CliRunner().invoke(app, ["hunt", str(tmp_path), *revoke])
    clean = CliRunner().invoke(app, ["hunt", str(tmp_path)])

    assert f"revoke of aws.access_key:{KEY}" in found.stdout
    assert "blocked attempt" in found.stdout
    assert "No dead credential was presented." in clean.stdout


def test_ocsf_gives_one_detection_finding_a_line(tmp_path: Path) -> None:
    """Each with an id of its own."""
    (tmp_path / "log.json").write_text(json.dumps(LOG))
    revoke = ["--revoke", f"aws.access_key:{KEY}@2026-03-01T09:15:00Z"]
    result = CliRunner().invoke(
        app, ["hunt", str(tmp_path), *revoke, "--output", "ocsf"]
    )
    lines = [json.loads(line) for line in result.stdout.splitlines()]

    assert [2004] * 3 == [line["class_uid"] for line in lines]
    assert 3 == len({line["finding_info"]["uid"] for line in lines})


def test_progress_is_shown_by_file_and_on_a_terminal_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file that is being read; neither in a pipe, nor once it is read."""
    for terminal in (False, True):
        if terminal:
            monkeypatch.setenv("FORCE_COLOR", "1")
        before = threading.active_count()
        with logs.ReadingBars() as bars:
            assert before == threading.active_count()  # the forks come before it
            for name, more in (("first", 6), ("second", 10), ("first", 3)):
                bars(tmp_path / name, more, 10)
        shown = capsys.readouterr()
        assert not shown.out
        assert terminal == ("first" in shown.err)
        assert "second" not in shown.err
        assert terminal == ("90%" in shown.err)


def test_small_logs_are_read_by_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many processes as there are bytes for, of archives once unpacked."""
    monkeypatch.setattr(logs, "WORTH", 10_000)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    one, packed = tmp_path / "log", tmp_path / "log.gz"
    for size, right in ((0, 1), (19_999, 1), (20_000, 2), (90_000, 4)):
        one.write_bytes(bytes(size))
        assert right == logs.worthwhile_processes([one])
    one.write_bytes(bytes(12_000))
    packed.write_bytes(gzip.compress(random.Random(0).randbytes(2_900)))
    assert 1 == logs.worthwhile_processes([one, tmp_path / "gone"])
    assert 4 == logs.worthwhile_processes([one, packed])
