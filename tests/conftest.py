"""What all tests share: where the samples are, and no silent skips in CI."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

ROOT = Path(__file__).resolve().parent.parent
PUBLIC_SAMPLES = "RESCIND_FIXTURES"  # names the folder of the tier public_samples
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
# A process that finds its modules compiled starts in 0.9 s of CPU instead of 2.3.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Give the root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def samples() -> Path:
    """Give the folder of our own samples, one folder a vendor."""
    return ROOT / "tests/samples"


@pytest.fixture(scope="session")
def public_samples() -> Path:
    """Give the folder of vendors' public samples: aws/, caep/, okta/ and others."""
    return Path(os.environ[PUBLIC_SAMPLES])


@pytest.fixture(autouse=True)
def _log_is_nobodys() -> Iterator[None]:
    """Undo what a program under test set up: its standard error is closed soon."""
    yield
    structlog.reset_defaults()
    # Not imported: copies of parts of the tree use these fixtures without it.
    if (logs := sys.modules.get("streams.observability.logs")) is not None:
        logs.forget_libraries()


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start processes faster: none of this test tells what lines it ran."""
    for name in [name for name in os.environ if name.startswith("COV")]:
        monkeypatch.delenv(name)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Refuse a set of parameters: processes of one run would give it other orders."""
    for marker in metafunc.definition.iter_markers("parametrize"):
        values = marker.args[1] if len(marker.args) > 1 else None
        if isinstance(values, (set, frozenset)):
            raise pytest.UsageError(
                f"{metafunc.definition.nodeid}: sort the parameters"
            )


def pytest_configure() -> None:
    """Refuse a folder of public samples that is not there: nobody meant that."""
    folder = os.environ.get(PUBLIC_SAMPLES)
    if folder and not Path(folder).is_dir():
        raise pytest.UsageError(f"{PUBLIC_SAMPLES}={folder}: there is no such folder")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal out single tests, and whole modules where tests share what is started.

    Each process that ran one of them would start it again.
    """
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - where it runs

    from tests.shares import share  # noqa: PLC0415 - copies of the tree lack it

    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = share
    config.option.loadscopereorder = False  # see `tests.shares`
    return scheduling


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let `make test-long` run again what tries random examples, with more of them."""
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        item.add_marker("worlds")


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out the tier of public samples where no folder of them is named."""
    if hasattr(config, "workerinput") or config.getoption("forks", 0):
        from tests.shares import in_order  # noqa: PLC0415 - copies of the tree lack it

        items[:] = in_order(items)
    if os.environ.get(PUBLIC_SAMPLES):
        return
    out = {item for item in items if item.get_closest_marker("public_samples")}
    config.hook.pytest_deselected(items=[*out])
    items[:] = [item for item in items if item not in out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say so where the public samples were not tried."""
    if not os.environ.get(PUBLIC_SAMPLES):
        terminalreporter.write_line(
            f"public samples: not tried, {PUBLIC_SAMPLES} names no folder of them"
        )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spare the collector of cycles what thousands of tests hold to the end anyway."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure in CI: a test that did not run proves nothing."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped in CI: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole module into a failure in CI."""
    report = yield
    if IN_CI and report.skipped:
        reason = _reason(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped in CI: {reason}"
    return report


def _reason(longrepr: Any) -> str:
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
