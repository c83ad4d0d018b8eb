"""A program on Kafka Streams: uses, a stream, joined with states, a table."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jgo

from bench.side_by_side.servers import MissingProductError
from bench.side_by_side.streamed import (
    DECISIONS,
    STATES,
    USES,
    Streamed,
    program,
    topics_of,
)
from streams.devkafka.distribution import KAFKA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

JARS: Final = f"org.apache.kafka:kafka-streams:{KAFKA_VERSION}"
SOURCE: Final = Path(__file__).with_name("UsesJoinStates.java")


@contextmanager
def opened(folder: Path, work: Path, **_: Any) -> Iterator[Streamed]:
    """Compile the program, and run it beside a broker."""
    compiler, java = shutil.which("javac"), shutil.which("java")
    if compiler is None or java is None:
        raise MissingProductError("needs a JDK: `apt-get install default-jdk-headless`")
    jars = jgo.build(JARS, cache_dir=folder / "kafka-streams").all_jars
    path = os.pathsep.join(map(str, [*jars, work]))
    subprocess.run([compiler, "-cp", path, "-d", work, SOURCE], check=True)
    with topics_of(STATES, USES, DECISIONS) as bootstrap:
        given = (bootstrap, STATES, USES, DECISIONS, str(work / "state"))
        command = (java, "-cp", path, SOURCE.stem, *given)
        with program(command, work, {}) as pid:
            product = Streamed(bootstrap, KAFKA_VERSION, (STATES, USES), pid)
            try:
                yield product
            finally:
                product.close()
