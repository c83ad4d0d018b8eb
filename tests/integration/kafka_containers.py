"""Run Kafka nodes as containers: the second way to the same cluster.

The image is built on this machine from the same Java runtime and jars, and from the
C libraries that the runtime asks for; no registry is needed. The containers share the
host's network, so that nodes listen where processes would.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import docker.errors
import requests
from attrs import frozen
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from streams.devkafka.distribution import BrokerError, KafkaDistribution, find

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator, Sequence

API_VERSION = "1.41"  # of Docker 20.10
REPOSITORY = "rescind-test-kafka"
# Where `ldd` finds a library: "libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x..)".
_LIBRARY = re.compile(r"(/\S+) \(0x")


@frozen
class _Container:
    container: Any

    def running(self) -> bool:
        self.container.reload()
        status: str = self.container.status
        return status == "running"

    def signal(self, number: signal.Signals) -> None:
        self.container.kill(signal=number.name)

    def wait(self, seconds: float) -> bool:
        try:
            self.container.wait(timeout=seconds)
        except requests.exceptions.RequestException:
            return False
        return True

    def log(self) -> str:
        output: bytes = self.container.logs()
        return output.decode(errors="replace")

    def discard(self) -> None:
        self.container.remove(force=True)
        self.container.client.close()


@frozen
class Containers:
    """Launch nodes as containers of an image that `of_this_machine` built."""

    image: str
    distribution: KafkaDistribution

    @classmethod
    def of_this_machine(cls, folder: Path) -> Containers:
        """Build the image, unless the engine has it.

        Raises:
            BrokerError: no Docker engine can be reached.
        """
        # The reaper is an image of its own; our containers end by their handles.
        testcontainers_config.ryuk_disabled = True
        distribution = find()
        tag = distribution.archive.stem
        # With the version given it asks nothing before the ping.
        client = docker.from_env(version=API_VERSION)
        try:
            client.ping()
            client.images.get(f"{REPOSITORY}:{tag}")
        except docker.errors.ImageNotFound:
            tar = folder / "image.tar"
            _write_image(tar, distribution)
            client.api.import_image_from_file(str(tar), repository=REPOSITORY, tag=tag)
            tar.unlink()
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise BrokerError(f"no Docker engine: {error}") from error
        finally:
            client.close()
        return cls(f"{REPOSITORY}:{tag}", distribution)

    def run(self, folder: Path, main: str, args: Sequence[str]) -> None:
        """Run to the end; a failure raises `BrokerError`."""
        handle = self.spawn(folder, main, args)
        # Formatting takes a second or two.
        code = handle.container.wait(timeout=60)["StatusCode"]
        output = handle.log()
        handle.discard()
        if code:
            raise BrokerError(f"{main} failed:\n{output}")

    def spawn(self, folder: Path, main: str, args: Sequence[str]) -> _Container:
        """Start; the node's folder is the same inside and outside."""
        command = self.distribution.command(main, *args)
        container = DockerContainer(self.image)
        container.with_command(command)
        # A test lays certificates beside the cluster that it starts.
        beside = str(folder.parent.parent)
        container.with_volume_mapping(beside, beside, "ro")
        container.with_volume_mapping(str(folder), str(folder), "rw")
        if (archive := self.distribution.archive).exists():
            container.with_volume_mapping(str(archive), str(archive), "ro")
        container.with_kwargs(network_mode="host", working_dir=str(folder))
        container.start()
        return _Container(container.get_wrapped_container())


def _write_image(tar: Path, distribution: KafkaDistribution) -> None:
    with tarfile.open(tar, "w") as image:
        home = distribution.java.parent.parent
        image.add(home, arcname=str(home).lstrip("/"))
        for jar in distribution.jars:
            image.add(jar.resolve(), arcname=str(jar).lstrip("/"))
        for library in sorted(set(_libraries(home))):
            image.add(library.resolve(), arcname=str(library).lstrip("/"))
        for name in ("tmp", "etc"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            image.addfile(entry)
        hosts = b"127.0.0.1 localhost\n"
        entry = tarfile.TarInfo("etc/hosts")
        entry.size = len(hosts)
        image.addfile(entry, io.BytesIO(hosts))


def _libraries(home: Path) -> Iterator[Path]:
    # The native parts of the jars are unpacked at run time and ask for no more.
    for part in (home / "bin" / "java", *home.rglob("*.so")):
        environment = {**os.environ, "LC_ALL": "C"}
        listed = subprocess.run(
            ["ldd", str(part)],
            capture_output=True,
            check=False,
            text=True,
            env=environment,
        )
        for found in _LIBRARY.findall(listed.stdout):
            if not Path(found).is_relative_to(home):
                yield Path(found)
