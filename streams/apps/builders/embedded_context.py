"""What each part of the embedded server is made with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import Factory, field, frozen

from streams.engines.embedded.keyed_store import StoredBodies
from streams.engines.embedded.log_check import LogCheck
from streams.process.loop_hold import ANALYSIS, LoopHold

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.engines.embedded.analysis import Analysis
    from streams.engines.embedded.reader_process import ReaderProcess
    from streams.engines.embedded.store import Store
    from streams.ports.keyed_store import KeyedStore
    from streams.settings.server import Settings


@frozen
class EmbeddedContext:
    """What every part is made with.

    Attributes:
        clock: gives the time (ns).
        fresh_id: gives unique ids.
        held: how long the two event loops are.
        kept: the bodies beside the log.
        log_check: reads all of the log in the background.
    """

    settings: Settings
    store: Store
    clock: Callable[[], int]
    fresh_id: Callable[[], str]
    analysis: Analysis
    reading: ReaderProcess
    held: LoopHold = Factory(lambda: LoopHold(ANALYSIS))
    kept: KeyedStore = field()

    log_check: LogCheck = field()

    @log_check.default
    def _log_check(self) -> LogCheck:
        return LogCheck(self.store, self.clock, self.settings.log_check_hours)

    @kept.default
    def _kept(self) -> KeyedStore:
        return StoredBodies(self.store)
