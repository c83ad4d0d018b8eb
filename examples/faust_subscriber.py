"""A Faust application that hears of what was revoked, and of who uses it still.

    pip install 'rescind-guard[faust]'
    KAFKA=kafka-1:9092 python faust_subscriber.py worker -l info --without-web

It prints a line of JSON for each finding and for each identifier that died. Faust may
lose records while partitions move: whoever must not miss a revocation runs a guard.
"""

import json
import os
import sys
from typing import Any

import faust

from rescind_guard.faust import register

register()
PREFIX = os.environ.get("RESCIND_PREFIX", "rescind")

app = faust.App(
    os.environ.get("GROUP", "rescind-subscriber"),
    broker=f"kafka://{os.environ.get('KAFKA', 'localhost:9092')}",
    topic_allow_declare=False,  # `rescind topics apply` has made them
    topic_disable_leader=True,
)


def of(name: str) -> faust.TopicT:
    """Topic of Rescind whose values are read by the codec."""
    return app.topic(
        f"{PREFIX}.{name}.v1", key_serializer="raw", value_serializer="rescind"
    )


def say(**values: object) -> None:
    """Print a line; what goes to `sys.stdout`, Faust puts into its log."""
    print(json.dumps(values), file=sys.__stdout__, flush=True)


@app.agent(of("findings"))
async def hear_findings(findings: faust.StreamT[Any]) -> None:
    """Say who uses what is dead."""
    async for finding in findings:
        if finding["schema"] == "finding":
            names = ("id", "kind", "presented", "point", "message")
            say(**{name: finding[name] for name in names})


@app.agent(of("invalidations"))
async def hear_invalidations(invalidations: faust.StreamT[Any]) -> None:
    """Say which identifier died, and by whose word."""
    async for death in invalidations:
        if death["schema"] == "invalidation":
            say(dead=death["identifier"], by=death["authority"], effect=death["effect"])


if __name__ == "__main__":
    sys.exit(app.main())
