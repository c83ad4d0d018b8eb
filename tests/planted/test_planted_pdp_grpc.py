"""Bugs planted into the gRPC answers of the decision point are caught by their tests.

A copy gets one wrong line; then the tests run on the copy and must fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PACKAGES: Final = ("agents_registry", "enforcement", "schemas", "streams")
TEST: Final = "tests/integration/test_pdp_grpc.py"
FILES: Final = (
    "pyproject.toml",
    "tests/conftest.py",
    "tests/pdp.py",
    "tests/integration/gateways.py",
    "tests/integration/serving.py",
    "tests/integration/test_pdp_gateways.py",
    TEST,
)
# Name to the right line, the wrong one, and the test that must see it.
BUGS: Final = {
    "OK while the guard has no lease": (
        "if not decision.allowed:",
        "if not decision.allowed and decision.reason != 'no_lease':",
        "lost_lease",
    ),
    "an error of our own passes": (
        'return _denied(http.HTTPStatus.FORBIDDEN, {REASON: "internal_error"})',
        "return CheckResponse()",
        "error_of_our_own",
    ),
    "a client chooses the route": (
        "route = attributes.context_extensions.get(ROUTE)",
        "route = attributes.request.http.headers.get(ROUTE)",
        "route",
    ),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(repository: Path, tmp_path: Path, name: str) -> None:
    """The tests run (no import error) and one of them fails."""
    right, wrong, test = BUGS[name]
    skip = shutil.ignore_patterns("__pycache__")
    for package in PACKAGES:
        shutil.copytree(repository / package, tmp_path / package, ignore=skip)
    for file in FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / file, tmp_path / file)
    path = tmp_path / "streams/pdp/ext_authz.py"
    source = path.read_text("utf-8")
    assert source.count(right) == 1, f"the line of {name!r} has changed"
    path.write_text(source.replace(right, wrong), "utf-8")
    # Lines of a changed copy are no coverage of the product.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", TEST, "-k", test],
        cwd=tmp_path,
        env={**inherited, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )

    assert result.returncode == 1, result.stdout
    assert "1 failed" in result.stdout
