"""The templates: everything that they put out is escaped and made visible."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import jinja2

from streams.console.text import exact, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streams.console.assets import ConsoleAsset

BASE: Final = "/console"
FOLDER: Final = Path(__file__).parent / "templates"
LAYOUT: Final = "base.html"
REALM: Final = "realm"  # in the query of an address
# A link of a page leads to pages of the same realm, whoever writes it: each request is
# a task of its own, and so is what it begins.
_realm: ContextVar[str] = ContextVar("realm of the addresses", default="")


@contextmanager
def shown_in(realm: str) -> Iterator[None]:
    """Have addresses name a realm; "" for the one that they mean without a name."""
    before = _realm.set(realm)
    try:
        yield
    finally:
        _realm.reset(before)


def url(path: str, *names: str, **query: object) -> str:
    """Address of a page: its path below ``/console``, names in it, and a query.

    None in the query is left out.
    """
    given = {key: value for key, value in query.items() if value is not None}
    if realm := _realm.get():
        given.setdefault(REALM, realm)
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
