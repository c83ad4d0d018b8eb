"""Settings of a vendor are read by its own model, and no other one is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from streams.model.by_vendor import ByVendor, models_in
from streams.settings.server import load
from streams.sources.okta.poll import OktaPoll

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.unit

POLL = f"{OktaPoll.__module__}:{OktaPoll.__qualname__}"


def _own() -> Mapping[str, str]:
    return {"okta": POLL, "away": "streams.sources.nowhere:Away"}


def _every() -> Mapping[str, str]:
    return {**_own(), "brought": POLL}


def _read(**values: Any) -> Any:
    marked: Any = Annotated[BaseModel, ByVendor(_own, _every)]
    return TypeAdapter(dict[str, marked]).validate_python({"ours": values})["ours"]


GIVEN = {"url": "https://a.example", "authority": "a", "token": {"value": "t"}}


def test_no_model_of_another_vendor_is_loaded() -> None:
    """There is none to load for ``away``."""
    assert isinstance(_read(vendor="okta", **GIVEN), OktaPoll)
    with pytest.raises(ValidationError, match="nowhere:Away"):
        _read(vendor="away", **GIVEN)


def test_what_is_wrong_is_told_with_its_place() -> None:
    """The model that complains knows only the last steps."""
    with pytest.raises(ValidationError) as told:
        _read(vendor="okta", **{**GIVEN, "interval": "soon"})
    assert [each["loc"] for each in told.value.errors()] == [("ours", "interval")]


def test_the_models_of_all_vendors_are_known_where_they_are_asked_for() -> None:
    """A text about a wrong setting names others that are like it."""
    marked = Annotated[BaseModel, ByVendor(lambda: {"okta": POLL}, _every)]
    assert OktaPoll in models_in(dict[str, marked])


def test_a_text_of_the_environment_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of digits is no number, whichever vendor's it is."""
    before = "RESCIND_POLLS__OURS__"
    monkeypatch.setenv(f"{before}VENDOR", "okta")
    monkeypatch.setenv(f"{before}URL", "https://a.example")
    monkeypatch.setenv(f"{before}AUTHORITY", "12")
    monkeypatch.setenv(f"{before}TOKEN__VALUE", "123456")
    poll = load().polls["ours"]
    assert isinstance(poll, OktaPoll)
    assert poll.authority == "12"
    assert poll.token.reveal() == "123456"
