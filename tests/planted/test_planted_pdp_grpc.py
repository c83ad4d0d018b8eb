"""Bugs planted into the gRPC answers of the decision point are caught by their tests.

A copy gets one wrong line; then the tests run on the copy and must fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.planted.copies import PRODUCT, Change, caught, copied, plant, run_tests

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(300)]

TEST: Final = "tests/integration/test_pdp_grpc.py"
COPIED: Final = (
    *PRODUCT,
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


def change(name: str) -> Change:
    """Give the wrong line of a bug."""
    right, wrong, _ = BUGS[name]
    return Change("streams/pdp/ext_authz.py", right, wrong)


CHANGES: Final = [change(name) for name in BUGS]


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(repository: Path, tmp_path: Path, name: str) -> None:
    """The tests run (no import error) and one of them fails."""
    copied(repository, tmp_path, *COPIED)
    plant(tmp_path, change(name))

    assert caught(run_tests(tmp_path, TEST, "-k", BUGS[name][2]))
