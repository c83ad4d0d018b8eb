"""The consistency token: a place in the log that a check may ask for."""

from __future__ import annotations

from attrs import frozen


@frozen
class Token:
    """What the server answers to an accepted revocation.

    Attributes:
        genesis: which log.
        partition: which partition of it; 0 on the embedded server.
        offset: all facts of the revocation lie below it, so it is applied by whoever
            has at least this position.
    """

    genesis: str
    partition: int
    offset: int

    @classmethod
    def of(cls, token: Token | str) -> Token:
        """Return a token as it is, or read it; see `parse`."""
        return cls.parse(token) if isinstance(token, str) else token

    @classmethod
    def parse(cls, text: str) -> Token:
        """Read ``genesis:partition:offset``.

        Raises:
            ValueError: it is not of this form.
        """
        parts = text.rsplit(":", 2)
        # isdecimal alone lets other scripts' digits in.
        numbers = [p for p in parts[1:] if p.isascii() and p.isdecimal()]
        if len(numbers) != 2 or not parts[0]:  # noqa: PLR2004 - the form has two
            message = f"{text!r} is not a token: genesis:partition:offset"
            raise ValueError(message)
        return cls(parts[0], int(numbers[0]), int(numbers[1]))

    def __str__(self) -> str:
        return f"{self.genesis}:{self.partition}:{self.offset}"
