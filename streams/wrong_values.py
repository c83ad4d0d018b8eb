"""What is wrong with values that a person wrote: in which line, which one, what to do.

Never the value: it may be a secret.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final, get_args

import yaml
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    Place = Sequence[int | str]

ALIKE: Final = 0.7  # of 1; a setting that is less so is not meant
_PREFIXES: Final = {
    "Input should be ": "must be ",
    "Value error, ": "",
    "Assertion failed, ": "",
}
_TEXTS: Final = {
    "missing": "is missing",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "model_type": "must hold names with values",
    "model_attributes_type": "must hold names with values",
    "dict_type": "must hold names with values",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
}


def told(
    error: ValidationError, model: type[BaseModel], file: str = "", text: str = ""
) -> list[str]:
    """Say each thing that is wrong, a line each: where, which setting, what to do.

    Args:
        error: of the values.
        model: that they should fit.
        file: they are from; empty where they are of none.
        text: that it holds, YAML or JSON.
    """
    tree = _tree(text) if file else None
    return [
        f"{_where(file, tree, each['loc'])}{_named(each['loc'])}: {_text(each, model)}"
        for each in error.errors(include_input=False, include_url=False)
    ]


def _named(place: Place) -> str:
    return ".".join(map(str, place)) or "the whole file"


def _text(each: ErrorDetails, model: type[BaseModel]) -> str:
    if each["type"] == "extra_forbidden":
        return _no_setting(str(each["loc"][-1]), known(model, each["loc"][:-1]))
    if each["type"] in _TEXTS:
        return _TEXTS[each["type"]]
    text = each["msg"]
    for prefix, plain in _PREFIXES.items():
        text = text.replace(prefix, plain)
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _no_setting(name: str, names: Iterable[str]) -> str:
    every = sorted(names)
    near = difflib.get_close_matches(name, every, 1, ALIKE)
    if near:
        return f"there is no such setting; is it {near[0]}?"
    return (
        f"there is no such setting here, but {', '.join(every)}"
        if every
        else ("there is no such setting")
    )


def known(model: Any, place: Place) -> list[str]:
    """Give the names of the settings at a place, as far as the models tell them."""
    models = list(_models(model))
    for step in place:
        found = [inner for each in models for inner in _models(_inner(each, step))]
        models = found or models  # a step that only tells which of several it is
    return [name for each in models for name in each.model_fields]


def _inner(model: type[BaseModel], step: int | str) -> Any:
    field = model.model_fields.get(str(step))
    return None if field is None else field.annotation


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that an annotation speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _tree(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, yaml.SafeLoader)
    except (ValueError, yaml.YAMLError):
        return None


def _where(file: str, tree: yaml.Node | None, place: Place) -> str:
    """Say in which line of a file a place is, or the nearest one above it."""
    if not file:
        return ""
    if tree is None:
        return f"{file}: "
    line: int | None = None
    node: yaml.Node = tree
    for step in place:
        found = _step(node, step)
        if found is None:
            continue
        line, node = found
    return f"{file}: " if line is None else f"{file}, line {line}: "


def _step(node: yaml.Node, step: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        value = node.value[step] if step < len(node.value) else None
        return None if value is None else (value.start_mark.line + 1, value)
    return None


def not_yaml(file: object, error: yaml.YAMLError) -> str:
    """Say where a file is not YAML, and nothing of what stands there."""
    where = getattr(error, "problem_mark", None)
    line = "" if where is None else f", line {where.line + 1}"
    return f"{file}{line}: not YAML"
