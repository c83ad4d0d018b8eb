"""The command ``rescind demo-kafka``: the engine on Kafka under load, on one screen."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from streams.demo.kafka_load import KINDS, Load, Measured, child, histogram, percentiles
from streams.demo.kafka_stage import WORKERS, KafkaStage, kafka_staged
from streams.demo.stage import DemoError
from streams.devkafka.distribution import BrokerError
from streams.engines.kafka.client.errors import KafkaError
from streams.outbound.answers import RequestError
from streams.process.lifecycle import configure_logging, first_error

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE: Final = 0
FAILED: Final = 1
BAR: Final = 40


def run(count: int, rate: float, brokers: str | None = None) -> int:
    """Run the demo; at a terminal everything stays up until Ctrl-C.

    Args:
        count: of revocations.
        rate: of them a second.
        brokers: of a Kafka that runs; without them one is started.

    Returns:
        The exit code: 0, or 1 when something that it shows did not happen.
    """
    configure_logging(logging.ERROR)
    logging.disable(logging.CRITICAL)  # a client's words while a broker starts
    try:
        with tempfile.TemporaryDirectory(prefix="rescind-demo-") as folder:
            asyncio.run(_demo(Path(folder), count, rate, brokers))
    except (BrokerError, DemoError, KafkaError, RequestError, OSError) as error:
        return _complain(str(error))
    except BaseExceptionGroup as group:
        return _complain(str(first_error(group)))
    return DONE


async def _demo(folder: Path, count: int, rate: float, brokers: str | None) -> None:
    console = Console(highlight=False, soft_wrap=True)
    began = time.monotonic()
    console.print(
        f"Starting {'' if brokers else 'Apache Kafka, '}ingress, two workers and a "
        "guard, each a process."
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    async with kafka_staged(folder, stop, brokers) as stage:
        watch = [f"gateway.token:{child(number)}" for number in range(count)]
        guard = await stage.guard(watch, KINDS)
        took = time.monotonic() - began
        console.print(
            f"All are ready after {took:.1f} s. Kafka listens on "
            f"{stage.kafka.bootstrap_servers}, ingress on "
            f"{stage.parts['ingress'].url}.\n"
        )
        load = Load(stage, guard, count, rate)
        now = time.time_ns()  # noqa: TID251 - a composition root
        await load.issue(now)
        console.print(
            f"{count} pairs of tokens issued over HTTP, a mailer's made with a "
            f"planner's; the guard allows all.\nRevoking the planners' tokens, "
            f"{rate:g} a second; the guard is asked about the mailers'.\n"
        )
        measured = await load.revoke(now)
        _show(console, measured)
        if console.is_terminal:
            for line in await _next(stage):
                console.print(Text(line))
            await stop.wait()


def _show(console: Console, measured: Measured) -> None:
    values = measured.denied
    p50, p99 = percentiles(values)
    console.print(
        f"accepted (202) -> denied at the guard, {len(values)} revocations: "
        f"p50 {p50:.2f} ms, p99 {p99:.2f} ms"
    )
    whole = percentiles(measured.whole)
    console.print(
        f"due at the sender -> denied:             p50 {whole[0]:.2f} ms, "
        f"p99 {whole[1]:.2f} ms\n"
    )
    found = histogram(values)
    most = max(count for _, count in found)
    for name, count in found:
        bar = "#" * -(-count * BAR // most)
        console.print(f"  {name:>16}  {count:5}  {bar}")


async def _next(stage: KafkaStage) -> Sequence[str]:
    name = f"gateway.token:{child(0)}"
    url = await stage.who_has(name)
    return [
        "",
        "All of it is up until Ctrl-C. Try, in another terminal:",
        f"  export RESCIND_URL={url} RESCIND_TOKEN={stage.tokens['operator']}",
        f"  {sys.argv[0]} why {name}",
        *(f"  curl -s {stage.parts[each].url}/metrics" for each in WORKERS),
        f"  curl -s {stage.parts['ingress'].url}/healthz/ready",
    ]


def _complain(text: str) -> int:
    sys.stderr.write(f"rescind demo-kafka: {text}\n")
    return FAILED
