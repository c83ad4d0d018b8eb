"""The settings of clouds and platforms, as their pages show them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from streams.settings.server import Settings

pytestmark = pytest.mark.unit

DOCS = Path(__file__).parents[2] / "docs" / "sources"
EXAMPLES = Path(__file__).parents[2] / "examples" / "kubernetes"
PAGES = (
    "agent-platforms", "auth0", "aws-cloudtrail", "gitguardian", "github", "kubernetes",
    "m365", "spire",
)  # fmt: skip
SECRET = {"value": "s"}


def blocks(page: str) -> list[dict[str, Any]]:
    """Give the settings that stand in a page."""
    text = (DOCS / f"{page}.md").read_text("utf-8")
    found = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    return [yaml.safe_load(block) for block in found]


@pytest.mark.parametrize("page", PAGES)
def test_documented_settings_are_read(page: str) -> None:
    """Each block by itself; who speaks is somewhere on the page."""
    found = blocks(page)
    assert found
    known = {name for block in found for name in block.get("authorities", {})}
    for block in found:
        loaded = Settings.model_validate(block)
        assert block.keys() <= set(Settings.model_fields)
        assert all(getattr(loaded, name) for name in block)
        for section in ("hooks", "polls", "queues"):
            for each in block.get(section, {}).values():
                assert each["authority"] in known


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ({"vendor": "github", "format": "auth0"}, "format is for eventbridge"),
        ({"vendor": "kubernetes", "header": "X"}, "header is for auth0"),
        ({"vendor": "aws"}, "Input should be 'auth0'"),
    ],
)
def test_a_hook_that_contradicts_itself_is_refused(
    hook: dict[str, Any], said: str
) -> None:
    """In words that say what to do."""
    with pytest.raises(ValidationError, match=said):
        Settings(hooks={"h": {"authority": "a", "secret": SECRET} | hook})


def test_the_examples_of_kubernetes_keep_tokens_out_of_the_log() -> None:
    """No rule asks for responses; the webhook is over TLS and has a token."""
    policy = yaml.safe_load((EXAMPLES / "audit-policy.yaml").read_text("utf-8"))
    assert "RequestResponse" not in {rule["level"] for rule in policy["rules"]}
    webhook = yaml.safe_load((EXAMPLES / "audit-webhook.yaml").read_text("utf-8"))
    assert webhook["clusters"][0]["cluster"]["server"].startswith("https://")
    assert "token" in webhook["users"][0]["user"]
