"""The settings of vendors, as the documentation shows them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.pdp.settings import PdpSettings
from streams.settings.server import Settings

pytestmark = pytest.mark.unit

DOCS = Path(__file__).parents[2] / "docs" / "sources"
SECTIONS = {"hooks", "polls", "global_revocation", "peppers", "scim", "authorities"}


def documented() -> list[dict[str, Any]]:
    """Give the settings in the pages of the sources: no mappings, nobody else's."""
    pages = "".join(page.read_text("utf-8") for page in sorted(DOCS.glob("*.md")))
    blocks = re.findall(r"```yaml\n(.*?)```", pages, re.DOTALL)
    loaded = [yaml.safe_load(block) for block in blocks]
    return [one for one in loaded if not one.keys() & {"rules", "apiVersion"}]


def test_documented_settings_are_read() -> None:
    """Each block by itself, of server or decision point; together every section."""
    sections: set[str] = set()
    for block in documented():
        kind = PdpSettings if "issuers" in block else Settings
        loaded = kind.model_validate(block)
        sections |= block.keys()
        assert block.keys() <= set(kind.model_fields)
        assert all(getattr(loaded, name) for name in block)
    assert sections >= SECTIONS


def test_a_documented_authority_may_say_what_its_poll_brings() -> None:
    """The kinds of Okta and of Keycloak."""
    granted = {
        name: {grant["kind"] for grant in each["grants"]}
        for block in documented()
        for name, each in block.get("authorities", {}).items()
    }
    assert {"okta.*", "jwt.jti"} <= granted["okta"]
    assert {"keycloak.*", "session.id", "jwt.jti", "jwt.sub"} <= granted["keycloak"]
