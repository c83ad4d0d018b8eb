"""What is wrong with values that a person wrote: in which line, which one, what to do.

Never the value: it may be a secret.
"""

from __future__ import annotations

import difflib
import re
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, get_args

import yaml

from streams.model.by_vendor import models_in

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

    Place = Sequence[int | str]

ALIKE: Final = 0.7  # of 1; a setting that is less so is not meant
_PREFIXES: Final = {
    "Input should be ": "must be ",
    "Value error, ": "",
    "Assertion failed, ": "",
}
_NUMBER: Final = "must be a number, without a unit"
_WHOLE: Final = "must be a whole number, without a unit"
_NAMES: Final = "must hold names with values"
_LIST: Final = "must be a list, such as [a, b]"
_TEXTS: Final = {
    "missing": "is missing",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "is too large a number",
    "int_from_float": "must be a whole number",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a text: put it in quotes",
    "path_type": "must be the name of a file",
    "model_type": _NAMES,
    "model_attributes_type": _NAMES,
    "dict_type": _NAMES,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
}
# What a pattern asks for, in words.
_FORMS: Final = {
    r"^[0-9a-f]{64}$": (
        "must be a SHA-256 in hex, 64 of 0-9 and a-f, as sha256sum prints it"
    ),
    r"^[A-Za-z0-9._-]{1,64}$": "must have 1 to 64 of A-Z, a-z, 0-9, dot, _ and -",
    r"^[a-z0-9-]{1,32}$": "must have 1 to 32 of a-z, 0-9 and -",
    r"^(dns|uri|email):\S+$": "must be dns:NAME, uri:URI or email:ADDRESS",
    r"^(unix:/.+|[^/]+:[0-9]{1,5})$": "must be HOST:PORT or unix:/PATH",
    r"^0?[0-7]{3}$": "must be the mode of a file, such as 0600",
}


_LINE: Final = re.compile(r", line (\d+): $")


def told(
    error: ValidationError,
    model: type[BaseModel],
    file: str = "",
    text: str = "",
    variables: Container[str] = (),
) -> list[str]:
    """Say each thing that is wrong, a line each: where, which setting, what to do.

    In the order of the file's lines.

    Args:
        error: of the values.
        model: that they should fit.
        file: they are from; empty where they are of none.
        text: that it holds, YAML or JSON.
        variables: names of the environment's, which win over the file.
    """
    tree = _tree(text) if file else None
    prefix = str(model.model_config.get("env_prefix") or "")
    said = []
    for each in error.errors(include_input=False, include_url=False):
        place = (*_plain(model, each["loc"]), *_tag(each))
        where = _variable(prefix, place, variables) or _where(file, tree, place)
        line = _LINE.search(where)
        text = f"{where}{_named(place)}: {_text(each, model)}"
        said.append((0 if line is None else int(line[1]), text))
    return [text for _, text in sorted(said, key=itemgetter(0))]


def line_of(file: str, text: str, place: Place) -> str:
    """Say where in a file a place is, ``FILE, line N: ``."""
    return _where(file, _tree(text), place)


def _plain(model: type[BaseModel], place: Place) -> Place:
    """Leave out of a place the steps that only tell which of several models it is."""
    steps, models = [], list(models_in(model))
    after = True  # a field: then comes a name that is free
    for step in place:
        found = [inner for each in models for inner in models_in(_inner(each, step))]
        field = any(step in each.model_fields for each in models)
        if not field and not after and any(step in _tags(each) for each in models):
            continue
        steps.append(step)
        after, models = field, found or models
    return steps


def _tags(model: type[BaseModel]) -> set[Any]:
    every = (get_args(each.annotation) for each in model.model_fields.values())
    return {one for each in every for one in each if isinstance(one, str)}


def _tag(each: ErrorDetails) -> Place:
    """Name of the setting that says which of several models it is."""
    if not each["type"].startswith("union_tag"):
        return ()
    return (str(each.get("ctx", {}).get("discriminator", "")).strip("'"),)


def _variable(prefix: str, place: Place, variables: Container[str]) -> str:
    """Name the variable of the environment that a value is from."""
    steps = [str(step).upper() for step in place]
    for length in range(len(steps) if prefix else 0, 0, -1):
        name = prefix + "__".join(steps[:length])
        if name in variables:
            return f"{name}: "
    return ""


def _named(place: Place) -> str:
    return ".".join(map(str, place)) or "the whole file"


def _text(each: ErrorDetails, model: type[BaseModel]) -> str:
    if each["type"] == "extra_forbidden":
        return _no_setting(str(each["loc"][-1]), known(model, each["loc"][:-1]))
    if each["type"] in _TEXTS:
        return _TEXTS[each["type"]]
    context = each.get("ctx", {})
    if each["type"] == "string_pattern_mismatch":
        pattern = context["pattern"]
        return _FORMS.get(pattern, f"must be written as {pattern}")
    if each["type"] == "too_short":
        return f"must have at least {context['min_length']}"
    if each["type"] == "union_tag_invalid":
        return f"must be one of {context['expected_tags']}"
    if each["type"] == "union_tag_not_found":
        return "is missing"
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
    """Names of the settings at a place, as far as the models tell them."""
    models = list(models_in(model))
    for step in place:
        found = [inner for each in models for inner in models_in(_inner(each, step))]
        models = found or models  # a step that only tells which of several it is
    return [
        field.alias or name
        for each in models
        for name, field in each.model_fields.items()
    ]


def _inner(model: type[BaseModel], step: int | str) -> Any:
    field = model.model_fields.get(str(step))
    return None if field is None else field.annotation


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
