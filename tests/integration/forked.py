"""Server processes of the tests: forked from one that has imported everything once.

That one is the same for all of them, so it has to know what each of them imports. It
starts unmeasured: they are killed, and tell of no coverage, which would slow them.
"""

from __future__ import annotations

import multiprocessing
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess
    from types import ModuleType

_CONTEXT = multiprocessing.get_context("forkserver")
_PRELOADED = ["pytest"]


def preload(module: ModuleType) -> None:
    """Have processes begin with a module."""
    _PRELOADED.append(module.__name__)
    _CONTEXT.set_forkserver_preload(_PRELOADED)


def start(module: Any, *arguments: Any) -> ForkServerProcess:
    """Start a process that runs ``main`` of a module that was preloaded."""
    process = _CONTEXT.Process(target=module.main, args=arguments)
    measuring = {n: v for n, v in os.environ.items() if n.startswith("COV")}
    for name in measuring:
        del os.environ[name]
    try:
        process.start()
    finally:
        os.environ.update(measuring)
    return process
