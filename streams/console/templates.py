"""The templates: everything that they put out is escaped and made visible."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import jinja2

from streams.console.text import exact, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.console.assets import ConsoleAsset

BASE: Final = "/console"
FOLDER: Final = Path(__file__).parent / "templates"
LAYOUT: Final = "base.html"


def url(path: str, *names: str, **query: object) -> str:
    """Address of a page: its path below ``/console``, names in it, and a query.

    None in the query is left out.
    """
    given = {key: value for key, value in query.items() if value is not None}
    parts = "".join(f"/{quote(name, safe='')}" for name in names)
    where = BASE + path.rstrip("/") + parts
    return where + (f"?{urlencode(given)}" if given else "")


def below(path: str, name: str) -> str:
    """Address of one thing below ``/console``, as an act says where to go."""
    return url(path, name).removeprefix(BASE)


def environment(files: Mapping[str, ConsoleAsset]) -> jinja2.Environment:
    """Environment of all pages."""

    def asset(name: str) -> str:
        return f"{BASE}/static/{files[name].path}"

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals |= {"url": url, "asset": asset, "exact": exact}
    return made


def rendered(
    made: jinja2.Environment, template: str, values: Mapping[str, Any]
) -> bytes:
    """Fill a template."""
    return made.get_template(template).render(values).encode("utf-8", "replace")
