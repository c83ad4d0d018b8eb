"""Settings of the decision point: strict, with errors that say what to change."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydantic import ValidationError

from agents_registry.identifiers import NodeClass
from enforcement import Lapse, Mode
from enforcement.kafka import KafkaGuard
from streams.apps.pdp import guard_of
from streams.cli import role
from streams.cli.pdp import run
from streams.pdp.settings import load
from tests.pdp import ISSUER, PEPPER, hashed

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

GOOD: dict[str, Any] = {"issuer": ISSUER, "audience": ["api"], "jwks": "jwks.json"}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with nothing of Rescind in the environment."""
    for name in [each for each in os.environ if each.startswith("RESCIND_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(role, "configure_logging", lambda: None)


def test_file_environment_and_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each layer replaces what stands below it."""
    file = tmp_path / "pdp.yaml"
    file.write_text(
        f"name: a\nmode: observe\npeppers: {{p: {PEPPER}}}\nurl: http://f\n"
    )
    monkeypatch.setenv("RESCIND_PDP_NAME", "b")
    monkeypatch.setenv("RESCIND_PDP_LISTEN__PORT", "1234")
    monkeypatch.setenv("RESCIND_PDP_ISSUERS", f'[{{"issuer": "{ISSUER}", "audience": '
                       '["api"], "jwks": "jwks.json"}]')  # fmt: skip

    made = load(file, url="http://argument")

    assert (made.name, made.mode, made.url) == ("b", Mode.OBSERVE, "http://argument")
    assert made.listen.port == 1234
    assert made.issuers[0].issuer == ISSUER
    assert made.pepper_keys() == (b"0123456789abcdef",)
    assert PEPPER not in repr(made)


def test_the_defaults_deny() -> None:
    """No issuer, no pepper, no caller: nothing would be allowed."""
    made = load()

    assert made.mode is Mode.FAIL_CLOSED
    assert made.malformed == "deny"
    assert made.unknown == {"jwt.jti": "allow_if_principal_known"}
    assert (made.issuers, made.peppers, made.callers) == ((), {}, ())


WRONG: dict[str, Any] = {
    "unknown setting": {"issuer": [GOOD]},
    "unknown in an issuer": {"issuers": [GOOD | {"algorithm": "RS256"}]},
    "no audience": {"issuers": [GOOD | {"audience": []}]},
    "audience missing": {"issuers": [{"issuer": ISSUER, "jwks": "f"}]},
    "alg none": {"issuers": [GOOD | {"algorithms": ["none"]}]},
    "HMAC": {"issuers": [GOOD | {"algorithms": ["HS256"]}]},
    "no algorithm": {"issuers": [GOOD | {"algorithms": []}]},
    "keys over http": {"issuers": [GOOD | {"jwks": "http://idp.example.com/jwks"}]},
    "keys over ftp": {"issuers": [GOOD | {"jwks": "ftp://idp.example.com/jwks"}]},
    "keys from a loopback name": {"issuers": [GOOD | {"jwks": "http://localhost.x/j"}]},
    "no host": {"issuers": [GOOD | {"jwks": "https:///jwks"}]},
    "issuer twice": {"issuers": [GOOD, GOOD]},
    "keys too often": {"issuers": [GOOD | {"refresh_seconds": 1}]},
    "no actor rule": {"issuers": [GOOD | {"actor": []}]},
    "kind": {"issuers": [GOOD | {"claims": [{"claim": "jti", "kind": "A b"}]}]},
    "pepper is short": {"peppers": {"p": "c2hvcnQ="}},
    "pepper is no base64": {"peppers": {"p": "not base64 at all!"}},
    "token in the clear": {"callers": [{"name": "a", "sha256": "caller"}]},
    "mode": {"mode": "open"},
    "route": {"routes": {"r": {"mode": "fail_closed", "scopes": "a|b"}}},
    "policy": {"unknown": {"secret": "allow"}},
    "scope": {"scope": "{resource}"},
    "scope reaches into": {"scope": "{action.__class__}x{0}"},
    "lease": {"lease_seconds": 0},
}


@pytest.mark.parametrize("values", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_refused(values: dict[str, Any]) -> None:
    """A setting that nobody reads would protect nobody."""
    with pytest.raises(ValidationError):
        load(**values)


@pytest.mark.parametrize(
    "jwks",
    ["http://127.0.0.1:1/j", "http://[::1]:1/j", "https://a/j", "/jwks.json"],
)
def test_keys_come_over_https_or_from_this_machine(jwks: str) -> None:
    """A file, https, or http on loopback."""
    assert load(issuers=[GOOD | {"jwks": jwks}]).issuers[0].jwks == jwks


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        (None, {}, "the guard's token is missing"),
        (None, {"RESCIND_PDP_ISUERS": "[]"}, "RESCIND_PDP_ISUERS: there is no such"),
        (None, {"RESCIND_PDP_CREDENTIAL_FILE": "nowhere"}, "there is no file nowhere"),
        ("mode: opne", {}, "mode: must be 'fail_closed'"),
        ("peppers: {p: c2VjcmV0}", {}, "peppers.p: a pepper is at least"),
        ("a: [", {}, "pdp.yaml, line 1: not YAML"),
        ("- a", {}, "settings are names with values"),
    ],
)
def test_a_wrong_setting_ends_the_command_with_one_line(
    text: str | None,
    environment: dict[str, str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Which says what is wrong, and never the value of a secret."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    file = None
    if text is not None:
        file = tmp_path / "pdp.yaml"
        file.write_text(text)

    code = run(file, url=None, listen=None)

    told = capsys.readouterr().err.splitlines()[-1]
    assert code == 2
    assert told.startswith("rescind pdp: ")
    assert said in told
    assert "c2VjcmV0" not in told


def test_the_guard_may_read_kafka_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same modes, routes and policy, and no credential of a server."""
    monkeypatch.setenv("RESCIND_KAFKA_PREFIX", "ours")
    made = load(feed="kafka", realm="acme", routes={"r": {"mode": "observe"}})

    guard = guard_of(made)

    assert isinstance(guard, KafkaGuard)
    assert guard.check("jwt.jti:a", route="r").reason is Lapse.NOT_CAUGHT_UP


def test_a_guard_on_kafka_knows_the_kinds_of_the_settings() -> None:
    """Nobody tells it there; a subject of an unknown kind is denied."""
    guard = guard_of(load(feed="kafka", kinds={"acme.robot": "principal"}))
    assert isinstance(guard, KafkaGuard)
    guard.standing.replica.begin("g1", 0, 0)

    known = guard.standing.replica.registry.lineage.vocabulary
    assert NodeClass.PRINCIPAL is known["acme.robot"]
    assert "jwt.jti" in known


def test_the_address_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    """An address that cannot be read says how to write one."""
    assert run(None, url=None, listen="8760") == 2
    assert "HOST:PORT" in capsys.readouterr().err


def test_a_missing_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not a traceback."""
    assert run(tmp_path / "pdp.yaml", url=None, listen=None) == 2
    assert "there is no file" in capsys.readouterr().err


def test_the_hash_of_a_caller_is_one_of_sha256() -> None:
    """As `printf %s TOKEN | sha256sum` gives it."""
    callers = [{"name": "a", "sha256": hashed("token")}]

    assert load(callers=callers).callers[0].name == "a"


def test_the_settings_of_the_guide_are_settings(repository: Path) -> None:
    """Each block of docs/pdp.md can be copied; Envoy's are Envoy's."""
    guide = (repository / "docs" / "pdp.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    ours = [each for each in blocks if "static_resources" not in each]

    assert len(ours) > 4
    for each in ours:
        load(**yaml.safe_load(each))
