"""Wrong settings are named with their line, and with what to do; their values never."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from streams.apps.builders.access import ConfigurationError
from streams.apps.builders.sources import check_embedded, check_kafka
from streams.cli.main import app
from streams.model.error_text import error_text
from streams.model.wrong_values import told
from streams.settings.server import Settings, load
from tests.unit import settings_page

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

SECRET = "whsec_" + "c2VjcmV0" * 4

WRONG = """\
realm: ours
watchh: [{path: a.log, source: aws, authority: aws}]
sources:
  aws: {format: cloudtrail, mappng: hunter2}
posture: {settle_seconds: hunter2}
listen:
  port: 99999
tokens:
  - {name: a}
peppers: hunter2
"""


def wrong(text: str, folder: Path) -> list[str]:
    """Give what is said of settings, without the name of their file."""
    file = folder / "rescind.yaml"
    file.write_text(text)
    with pytest.raises(ValidationError) as raised:
        load(file)
    said = told(raised.value, Settings, str(file), text)
    return [each.removeprefix(f"{file}, ") for each in said]


def test_all_that_is_wrong_is_named_with_its_line(tmp_path: Path) -> None:
    """What is missing, unknown, out of range and of another kind; no value is shown."""
    said = wrong(WRONG, tmp_path)

    assert said == [
        "line 2: watchh: there is no such setting; is it watch?",
        "line 4: sources.aws.mappng: there is no such setting; is it mapping?",
        "line 5: posture.settle_seconds: must be a number, without a unit",
        "line 7: listen.port: must be less than or equal to 65535",
        "line 9: tokens.0.roles: is missing",
        "line 9: tokens.0.sha256: is missing",
        "line 10: peppers: must hold names with values",
    ]
    assert "hunter2" not in "".join(said)


def test_where_no_setting_is_like_it_all_are_named(tmp_path: Path) -> None:
    """Of that place; what a person meant is not guessed."""
    (said,) = wrong("posture: {xyz: 1}", tmp_path)

    assert said.startswith("line 1: posture.xyz: there is no such setting here, but ")
    assert "settle_seconds" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("realm: ours", "good"),
        (WRONG, "line 2: watchh"),
        ("- a", "settings are names with values"),
        ("a: [", "not YAML"),
        ("watch: [{path: a.log, source: aws, authority: aws}]", "no source 'aws'"),
        (
            "status_lists: {url: 'https://x', key: none.pem}",
            "status_lists.key: none.pem: No such file or directory",
        ),
    ],
)
def test_a_check_says_all_of_it_before_anything_starts(
    tmp_path: Path, text: str, said: str
) -> None:
    """Exit code 2 where a process would not start."""
    file = tmp_path / "rescind.yaml"
    file.write_text(text)

    got = CliRunner().invoke(app, ["config", "check", str(file)])

    assert (2 if said != "good" else 0) == got.exit_code
    assert said in got.output
    assert "hunter2" not in got.output


def test_a_check_of_nothing_and_of_another_role(tmp_path: Path) -> None:
    """A file that is not there, a setting that Kafka does not serve, one of the PDP."""
    file = tmp_path / "rescind.yaml"
    got = CliRunner().invoke(app, ["config", "check", str(file)])
    assert (2, f"there is no file {file}\n") == (got.exit_code, got.output)

    file.write_text("peers: {workers: ['https://w:1'], ca_file: none.pem}")
    got = CliRunner().invoke(app, ["config", "check", str(file), "--role", "kafka"])
    assert (2, True) == (got.exit_code, "peers.ca_file: none.pem" in got.output)

    file.write_text("modee: open")
    got = CliRunner().invoke(app, ["config", "check", str(file), "--role", "pdp"])
    assert (2, True) == (got.exit_code, "is it mode?" in got.output)


def test_what_kafka_does_not_serve_is_refused() -> None:
    """Guards that nobody probes there would look well; by default nobody asked."""
    asked = Settings(closure={"probe_seconds": 5})
    with pytest.raises(ConfigurationError, match=r"closure\.probe_seconds: only"):
        check_kafka(asked)

    asked = Settings(log_check_hours=24)
    with pytest.raises(ConfigurationError, match="log_check_hours: only"):
        check_kafka(asked)

    check_kafka(Settings(closure={"probe_seconds": 0}))
    check_kafka(Settings())


def test_what_only_kafka_serves_is_refused_elsewhere() -> None:
    """A topic that nobody reads would look well."""
    settings: Any = SimpleNamespace(raw_topics=("x",))
    with pytest.raises(ConfigurationError, match="raw_topics: only `rescind ingress`"):
        check_embedded(settings)
    settings = load(peers={"workers": ["http://worker-0:8751"]})
    with pytest.raises(ConfigurationError, match="peers: `rescind serve` answers"):
        check_embedded(settings)


@pytest.mark.parametrize("option", ["--version", "-h"])
def test_the_program_says_its_version_and_its_commands(option: str) -> None:
    """By the names that everybody tries first."""
    got = CliRunner().invoke(app, [option])

    assert 0 == got.exit_code
    assert ("rescind 0." if option == "--version" else "Usage: rescind") in got.output


def test_the_page_has_all_settings() -> None:
    """RESCIND_UPDATE_SNAPSHOTS=1 makes it anew."""
    made = settings_page.page()
    if os.environ.get("RESCIND_UPDATE_SNAPSHOTS"):
        settings_page.PAGE.write_text(made, "utf-8")

    assert settings_page.PAGE.read_text("utf-8") == made


@pytest.mark.parametrize("name", settings_page.EXAMPLES)
def test_an_example_in_a_line_can_be_read(name: str, tmp_path: Path) -> None:
    """Those of other pages are held by the tests of these pages."""
    file = tmp_path / "rescind.yaml"
    file.write_text(settings_page.EXAMPLES[name].replace("whsec_...", SECRET))

    assert name in load(file).model_fields_set


def test_an_error_of_the_system_is_told_in_its_words() -> None:
    """Numbers of errors and Python's way to write them help nobody."""
    gone = FileNotFoundError(2, "No such file or directory", "/nowhere")
    assert "/nowhere: No such file or directory" == error_text(gone)
    used = OSError(98, "cannot listen at 127.0.0.1, port 1: address already in use")
    assert error_text(used).startswith("cannot listen at 127.0.0.1")
    assert "any" == error_text(ValueError("any"))


def test_each_wrong_line_of_a_mapping_is_named(tmp_path: Path) -> None:
    """Without words of the library that reads it."""
    file = tmp_path / "mapping.yaml"
    file.write_text("name: x\nevent: {idd: id}\nrules: []\nruels: 3\n")

    got = CliRunner().invoke(app, ["parse", str(file), "--mapping", str(file)])

    assert 2 == got.exit_code
    where = f"rescind parse: {file}, line"
    assert [
        f"{where} 2: event.idd: there is no such setting; is it id?",
        f"{where} 4: ruels: there is no such setting; is it rules?",
    ] == [line for line in got.output.splitlines() if "no such" in line]


@pytest.mark.parametrize(
    "place", ["a..b:1", "h:99999", "h:port", "[::1:80", f"{'a' * 70}.x:1", "h:0"]
)
def test_a_process_at_no_place_is_named_before_anybody_asks_it(
    place: str, tmp_path: Path
) -> None:
    """Else each request that is passed on would fail, at the others' places too."""
    said = wrong(f"peers: {{workers: ['http://h:1', 'http://{place}']}}", tmp_path)
    text = "no such host or port can be: write https://HOST:PORT"
    assert said == [f"line 1: peers.workers.1: {text}"]
    usable = ["http://worker-0:1", "https://h.ns.svc", "http://[::1]:80"]
    assert tuple(usable) == load(peers={"workers": usable}).peers.workers
