"""Files of settings as text: what a reader of YAML takes without a word is refused.

A setting that stands twice counts once, by the last; a name that looks like a number
or a date is none of ours. Both would be found at the next outage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TEXT: Final = "tag:yaml.org,2002:str"
_MERGE: Final = "tag:yaml.org,2002:merge"
_HINTS: Final = (  # the problem as the reader names it, and what to do
    ("'\\t'", "a tab; indent with spaces"),
    ("another document", "--- begins a second document; a file holds one"),
    ("could not determine a constructor", "a tag (!...) of no meaning here"),
    ("quoted scalar", "a quote is not closed"),
    ("mapping values", "a colon too many, or a wrong indent; put texts in quotes"),
    ("undefined alias", "an alias (*...) of nothing; put texts with * in quotes"),
)  # fmt: skip
_LOOK: Final = "look at indents, colons, quotes and brackets"


def text_of(path: Path) -> str:
    """Read a file that a person wrote.

    Raises:
        ValueError: it is not there, cannot be read, or is not UTF-8.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ValueError(f"there is no file {path}") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        text = f"{path}, line {line}: not UTF-8: save the file as UTF-8"
        raise ValueError(text) from error


def hold_settings(path: Path) -> None:
    """Refuse a file that holds no names with values, or one of them twice.

    Raises:
        ValueError: it is not there, cannot be read, is not YAML, or holds a list or a
            text.
    """
    text = text_of(path)
    try:
        tree = yaml.compose(text, yaml.SafeLoader)
        held = yaml.safe_load(text)
        wrong = [] if tree is None else list(_wrong_names(tree))
    except yaml.YAMLError as error:
        raise ValueError(not_yaml(path, error)) from error
    except RecursionError as error:
        raise ValueError(f"{path} nests too deeply: no settings do") from error
    except ValueError as error:
        text = f"{path}: a number or date is none that can be: put texts in quotes"
        raise ValueError(text) from error
    if held is not None and not isinstance(held, dict):
        message = f"{path}: settings are names with values, such as `realm: ours`"
        raise ValueError(message)
    if wrong:
        raise ValueError("\n".join(f"{path}, {each}" for each in wrong))


def _wrong_names(tree: yaml.Node) -> Iterator[str]:
    """Yield what is wrong with the names of settings, wherever they stand."""
    waiting, seen = [tree], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        if not isinstance(node, yaml.MappingNode):
            continue
        lines: dict[str, int] = {}
        for key, value in node.value:
            waiting.append(value)
            line = key.start_mark.line + 1
            name = key.value if isinstance(key, yaml.ScalarNode) else "a list"
            if key.tag == _MERGE:
                continue
            if key.tag != _TEXT:
                yield f"line {line}: {name}: a name is a text: put it in quotes"
            elif name in lines:
                first = lines[name]
                yield f"line {line}: {name} stands in line {first} too: leave one out"
            lines[name] = line


def not_yaml(file: object, error: yaml.YAMLError) -> str:
    """Say where a file is not YAML and what to do, and nothing of what stands there."""
    mark = getattr(error, "problem_mark", None)
    line = "" if mark is None else f", line {mark.line + 1}"
    problem = f"{getattr(error, 'context', '')} {getattr(error, 'problem', '')}"
    if isinstance(error, yaml.reader.ReaderError):
        return f"{file}: not YAML: a control character (number {error.position + 1})"
    hints = [hint for words, hint in _HINTS if words in problem]
    return f"{file}{line}: not YAML: {hints[0] if hints else _LOOK}"
