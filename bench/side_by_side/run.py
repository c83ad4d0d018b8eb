"""Put the question to one product in a process of its own, and tell the answer.

Run as ``python -m bench.side_by_side.run NAME COUNT FOLDER``.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from pathlib import Path

from attrs import asdict

from bench.side_by_side.products import PRODUCTS
from bench.side_by_side.question import measured
from bench.side_by_side.servers import MissingProductError


def main(name: str, count: str, folder: str) -> None:
    """Print what was measured as JSON, or why it was not."""
    about = PRODUCTS[name]
    module = importlib.import_module(f"bench.side_by_side.{about.module}")
    try:
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as work,
            module.opened(Path(folder).resolve(), Path(work), **about.given) as product,
        ):
            told = asdict(measured(product, int(count), about.beside))
    except MissingProductError as error:
        told = {"missing": str(error)}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
