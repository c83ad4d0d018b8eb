"""What a distribution brings is used, or an error names it: no start without a word."""

from __future__ import annotations

from importlib import metadata

import pytest

from streams.model.extensions import ExtensionError, loaded
from streams.sinks.extensions import sink
from streams.sinks.links import Links

pytestmark = pytest.mark.unit


def refuses() -> None:
    """Take no argument."""


@pytest.fixture(autouse=True)
def points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let entry points name what is in this module."""
    names = {
        "gone": "nowhere:X",
        "odd": f"{__name__}:dict",
        "bad": f"{__name__}:refuses",
    }
    points = [metadata.EntryPoint(n, at, "rescind.sinks") for n, at in names.items()]
    monkeypatch.setattr(
        metadata,
        "entry_points",
        lambda group: points if group == "rescind.sinks" else [],
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("acme", "no sink 'acme': there is bad, gone, odd"),
        ("gone", r"sink gone \(nowhere:X\) does not load: No module named 'nowhere'"),
        ("odd", r"sink odd \(.*:dict\) does not load"),
        ("bad", r"sink bad \(.*:refuses\) cannot be called"),
    ],
)
def test_a_sink_that_cannot_be_used_is_named(name: str, told: str) -> None:
    """With its entry point; the URL, which is a secret, is not shown."""
    with pytest.raises(ExtensionError, match=told) as raised:
        sink(name, "https://soc.example/hunter2", {}, Links())
    assert "hunter2" not in str(raised.value)


def test_what_is_no_sink_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it makes of the options."""
    monkeypatch.setattr(metadata.EntryPoint, "load", lambda _: lambda *_: object())
    with pytest.raises(ExtensionError, match=r"is no streams\.sinks\.sink\.Sink"):
        sink("odd", "https://soc.example/", {}, Links())


@pytest.mark.parametrize("where", ["nowhere:X", "streams:X", "streams.nowhere:X"])
def test_a_name_that_leads_nowhere_is_told(where: str) -> None:
    """As the descriptor has it."""
    with pytest.raises(ExtensionError, match=f"{where} does not load"):
        loaded(where)
