"""What the commands say of a wrong argument: our words, and not those of a library."""

from __future__ import annotations

from typing import Any, Final

from typer.core import TyperGroup

_WORDS: Final = (
    ("Value error, ", ""),
    (", unable to parse string as a number", ""),
    (", unable to parse string as an integer", ""),
    ("Input should be a valid integer", "write a whole number"),
    ("Input should be a valid ", "write a "),
    ("Input should be ", "must be "),
)


def plain_words(text: str) -> str:
    """Give the text of a wrong argument without what its reader is called."""
    for theirs, ours in _WORDS:
        text = text.replace(theirs, ours)
    return text


class PlainGroup(TyperGroup):
    """A group of commands that tells wrong arguments in plain words."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            message = getattr(error, "message", None)
            if isinstance(message, str):
                error.message = plain_words(message)  # type: ignore[attr-defined]
            raise
