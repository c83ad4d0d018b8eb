"""Options with nothing behind them, as of a script whose variable is not set."""

from __future__ import annotations

from typing import Any


def refuse_empty(context: Any, names: set[str]) -> None:
    """Refuse an option that was given without a text: it would mean another order.

    Args:
        context: of the command, as typer gives it.
        names: of the parameters that are looked at.

    Raises:
        ValueError: there is one.
    """
    for param in context.command.params:
        if param.param_type_name != "option" or param.name not in names:
            continue
        value = context.params.get(param.name)
        texts = value if isinstance(value, list | tuple) else [value]
        blank = any(isinstance(each, str) and not each.strip() for each in texts)
        if blank and context.get_parameter_source(param.name).name != "DEFAULT":
            leave = "" if param.required else ", or leave the option out"
            raise ValueError(f"{param.opts[0]} is empty: write its value{leave}")
