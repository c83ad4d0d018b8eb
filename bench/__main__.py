"""Run benchmarks and print their tables: ``python -m bench [NAME...] [--scale S]``."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from typing import Final

from bench import report, side_by_side
from bench.side_by_side.products import PRODUCTS

EMBEDDED: Final = (
    "check", "cascade", "memory", "hunt", "propagation", "guard_check", "guard_start",
    "bulk_import", "enforced", "fanout", "ssf_flood", "mappers", "alert_isolation",
    "alert_priority", "lease_path", "steps", "shared_guard",
    "contain", "relay_hops", "backtest",
)  # fmt: skip
KAFKA: Final = (
    "kafka_propagation", "kafka_takeover", "kafka_throughput", "kafka_recovery", "join",
    "notify_churn", "kafka_heartbeats", "relay_fanout",
)  # fmt: skip
NAMES: Final = EMBEDDED + KAFKA
# Take minutes of all cores, so only who names one gets it.
LOAD: Final = "load"
HOSTILE: Final = "hostile"
# Needs servers of others, and prints a table of its own.
PEERS: Final = "peers"
# Needs a browser, which `make browser` fetches.
CONSOLE: Final = "console"
# A log of ten million facts takes a quarter of an hour to write and to read.
STARTS: Final = "starts"
# Makes environments for gateways of others.
GATEWAYS: Final = "gateways"
OPTIONS: Final = {
    LOAD: ("rate", "seconds", "engine"),
    HOSTILE: ("rate", "seconds", "callers", "engine"),
    CONSOLE: (),
    GATEWAYS: (),
    STARTS: ("credentials",),
    PEERS: ("folder", "only", "runs", "credentials"),
}
MODULES: Final = {GATEWAYS: "bench.gateways.table"}
SCALES: Final = ("tiny", "small", "full")


def main() -> None:
    """Run what the command line names; everything where it names nothing."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    known = (*NAMES, *OPTIONS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--scale", choices=SCALES, default="full")
    about = "how much, instead of the scale's"
    load = parser.add_argument_group(f"{LOAD} and {HOSTILE}", about)
    load.add_argument("--rate", type=int, default=0, help="revocations a second")
    load.add_argument("--seconds", type=int, default=0)
    load.add_argument(
        "--engine",
        choices=("kafka", "embedded", "fleet", "both"),
        help="without it, load is kafka and hostile embedded; fleet: load alone, "
        "both: hostile alone",
    )
    load.add_argument(
        "--callers", nargs="+", default=(), help="of hostile, instead of all"
    )
    sized = parser.add_argument_group(f"{PEERS} and {STARTS}", about)
    sized.add_argument("--credentials", nargs="+", type=int, default=())
    peers = parser.add_argument_group(PEERS)
    peers.add_argument("--folder", default="", help="instead of build/peers")
    peers.add_argument("--only", nargs="+", default=(), choices=PRODUCTS)
    peers.add_argument("--runs", type=int, default=0, help="instead of the scale's")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(known)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    if arguments.engine == "both" and LOAD in arguments.names:
        parser.error("load takes one engine")
    if arguments.engine == "fleet" and HOSTILE in arguments.names:
        parser.error("hostile knows no fleet")
    for line in report.machine():
        print(line)
    print()
    broken = False
    for name in arguments.names or NAMES:
        started = time.monotonic()
        given = {each: getattr(arguments, each) for each in OPTIONS.get(name, ())}
        if not given.get("engine", "none"):
            del given["engine"]
        if name == PEERS:
            print(*side_by_side.table(arguments.scale, **given), sep="\n")
            continue
        module = importlib.import_module(MODULES.get(name, f"bench.{name}"))
        rows = module.rows(arguments.scale, **given)
        took = time.monotonic() - started
        title = f"{name} ({arguments.scale} scale, {took:.0f} s)"
        # The targets speak of the full size; a smaller one fits the caches.
        judged = name == HOSTILE or arguments.scale == "full"
        report.show(title, rows, judged=judged)
        broken |= name == HOSTILE and any(row.met is False for row in rows)
    if broken:
        sys.exit(1)


if __name__ == "__main__":
    main()
