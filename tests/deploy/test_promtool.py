"""What Prometheus itself says of the rules: run by `make promtool` alone.

promtool comes with Prometheus: Debian's package ``prometheus`` has it, no wheel does.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.contract, pytest.mark.live]

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/helm/rescind/files/rules.yaml"
TESTS = ROOT / "deploy/prometheus/rules_test.yaml"


def promtool(*args: str) -> str:
    """Run it; fail and say what to do where it is missing."""
    program = shutil.which("promtool")
    if program is None:
        pytest.fail("promtool is not on the PATH: apt-get install prometheus")
    done = subprocess.run([program, *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_the_rules() -> None:
    """Each rule is read, templates of its texts too."""
    assert "SUCCESS" in promtool("check", "rules", str(RULES))


def test_the_rules_fire_when_they_should() -> None:
    """And not before: deploy/prometheus/rules_test.yaml has a case for each."""
    assert "SUCCESS" in promtool("test", "rules", str(TESTS))


def test_a_rule_that_is_wrong_is_caught(tmp_path: Path) -> None:
    """The cases notice a word that nobody tells."""
    wrong = RULES.read_text("utf-8").replace('state="partial"', 'state="late"')
    (tmp_path / "rules.yaml").write_text(wrong, "utf-8")
    cases = TESTS.read_text("utf-8").replace("../helm/rescind/files/", "")
    (tmp_path / "cases.yaml").write_text(cases, "utf-8")
    with pytest.raises(AssertionError, match="RescindClosurePartial"):
        promtool("test", "rules", str(tmp_path / "cases.yaml"))
