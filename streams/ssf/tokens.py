"""The bearer token for a transmitter's API: from a file or an environment variable.

It is read anew for every call, since such tokens live about an hour and something
beside us renews the file.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from streams.ssf.transport import TransmitterError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def token_of(file: Path | None, variable: str) -> Callable[[], str]:
    """Give what reads the token.

    Args:
        file: that holds it; wins over the variable.
        variable: name of the environment variable.

    Returns:
        A function that raises TransmitterError where there is no token now.
    """
    where = f"the file {file}" if file is not None else f"the variable {variable}"

    def read() -> str:
        try:
            text = os.environ.get(variable, "") if file is None else file.read_text()
        except (OSError, ValueError) as error:
            raise TransmitterError(f"cannot read {where}") from error
        token = text.strip()
        if not token.isascii() or not token.isprintable() or " " in token or not token:
            raise TransmitterError(f"{where} holds no token on one line")
        return token

    return read
