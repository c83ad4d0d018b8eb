"""The page of all settings, out of the models that read them.

What a setting is for stands in the ``Attributes`` of its model. A row of the first
level has an example: one in a line, or the page of docs/ that has one.
"""

from __future__ import annotations

import inspect
import re
import types
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    Union,
    get_args,
    get_origin,
)

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from streams.model.by_vendor import whole
from streams.settings.server import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "settings.md"
HEAD: Final = """\
# All settings

Of `rescind serve`, and of ingress, worker and notify on Kafka: a YAML or JSON file
(`--config`), or the environment (`RESCIND_REALM`, `RESCIND_LISTEN__PORT`), which wins.
`rescind config check FILE` names all that is wrong with them. Those of Kafka itself are
in [kafka-topics.md](kafka-topics.md), those of the decision point in [pdp.md](pdp.md).

`NAME` is a name that you choose, `[]` one of a list. Seconds may have a fraction.

"""
EXAMPLES: Final = {
    "version": "version: 7", "realm": "realm: acme",
    "data_dir": "data_dir: /var/lib/rescind",
    "metrics_listen": "metrics_listen: {host: 127.0.0.1, port: 8752}",
    "ready_file": "ready_file: /run/rescind/url",
    "lease_seconds": "lease_seconds: 1", "max_body_bytes": "max_body_bytes: 8388608",
    "max_requests": "max_requests: 256", "connections": "connections: {}",
    "ssf": "ssf: {okta: {issuer: https://acme.okta.com, audience: [https://us]}}",
    "hashed_kinds": "hashed_kinds: [gateway.key]",
    "webhook": "webhook: {url: https://soc.example/hook, secrets: [whsec_...]}",
    "console": "console: {idle_seconds: 900}",
    "closure": "closure: {deadline: 30}", "dead_letters": "dead_letters: {}",
    "audit_key": "audit_key: /etc/rescind/audit.key",
    "log_check_hours": "log_check_hours: 24",
}  # fmt: skip
_KINDS: Final = {
    "int": "whole number", "float": "number", "bool": "`true` or `false`",
    "Path": "file", "SecretStr": "secret",
}  # fmt: skip
_BLOCK: Final = re.compile(r"```ya?ml\n(.*?)```", re.DOTALL)
_ATTRIBUTE: Final = re.compile(r"^ {4}(\w+(?:, \w+)*): (.*)$")


def page() -> str:
    """Give the page."""
    lines = ["| setting | type | default | |", "|---|---|---|---|"]
    for path, field, model in _rows(Settings, ""):
        said = _said(model).get(path.rpartition(".")[2], "")
        example = "" if "." in path else _example(path)
        shown = path.removesuffix("_")  # Python has a word for some
        cells = (f"`{shown}`", _type(field.annotation), _default(field), said + example)
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return HEAD + "\n".join(lines) + "\n"


def _rows(
    model: type[BaseModel], before: str
) -> Iterator[tuple[str, FieldInfo, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        path = before + name
        yield path, field, model
        for inner, below in _inner(field.annotation):
            yield from _rows(inner, path + below + ".")


def _inner(annotation: Any, below: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    """Yield the models of a setting, each with how a path leads into it."""
    annotation = whole(annotation)
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation, below
        return
    origin, within = get_origin(annotation), get_args(annotation)
    if origin is dict:
        yield from _inner(within[1], below + ".NAME")
    elif origin in (tuple, frozenset):
        yield from _inner(within[0], below + "[]")
    elif origin is Annotated:
        yield from _inner(within[0], below)
    elif origin in (Union, types.UnionType):
        for each in within:
            yield from _inner(each, below)


def _type(annotation: Any) -> str:
    origin, within = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(within[0])
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in within)
    if origin in (Union, types.UnionType):
        kinds = [_type(each) for each in within if each is not type(None)]
        return " or ".join(dict.fromkeys(kinds))
    if origin is dict:
        return f"names with {_type(within[1])}"
    if origin in (tuple, frozenset):
        return f"list of {_type(within[0])}"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "settings"
    return _KINDS.get(getattr(annotation, "__name__", ""), "text")


def _default(field: FieldInfo) -> str:
    default = field.default
    if field.default_factory is not None or isinstance(default, BaseModel):
        return ""
    if default is PydanticUndefined:
        return "must be set"
    return "" if default in (None, "", (), frozenset()) else f"`{_plain(default)}`"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | frozenset):
        return ", ".join(sorted(map(_plain, value)))
    return str(value)


def _said(model: type[BaseModel]) -> dict[str, str]:
    """Give what the docstrings of a model and its bases say of their settings."""
    said: dict[str, str] = {}
    for each in reversed(model.__mro__):
        text = inspect.cleandoc(each.__doc__ or "")
        names: list[str] = []
        for line in text.partition("Attributes:\n")[2].splitlines():
            if found := _ATTRIBUTE.match(line):
                names = found[1].split(", ")
                said |= dict.fromkeys(names, found[2])
            elif line.startswith(" " * 8):
                said |= {name: f"{said[name]} {line.strip()}" for name in names}
    return said


def _example(name: str) -> str:
    if name in EXAMPLES:
        return f" Example: `{EXAMPLES[name]}`"
    for path in sorted(DOCS.rglob("*.md")):
        blocks = _BLOCK.findall(path.read_text("utf-8"))
        if any(name in (held or ()) for held in map(_held, blocks)):
            where = path.relative_to(DOCS)
            return f" Example: [{where}]({where})"
    raise LookupError(f"no page has an example of {name}")


def _held(block: str) -> Any:
    try:
        held = yaml.safe_load(block)
    except yaml.YAMLError:
        return None
    return held if isinstance(held, dict) else None


def _cell(text: str) -> str:
    return text.strip().replace("|", "\\|").replace("``", "`")
