"""Record the audit log of a real OpenBao server that plays the scenario.

    python -m examples.openbao.record

writes, beside this file, ``audit.log`` (the server's own bytes; it holds HMACs, no
token) and ``truth.json`` (which HMAC is which token, and which were refused).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from examples.openbao.scenario import Scenario, play
from streams.model.records import Access
from streams.sources.openbao.openbao import OpenBao
from tests.integration.openbao_server import OpenBaoServer

HERE = Path(__file__).resolve().parent
PRESENTED = "read auth/token/lookup-self"


def record() -> tuple[bytes, dict[str, Any]]:
    """Give the log, and the truth about it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        OpenBaoServer(Path(folder)) as server,
    ):
        scenario = play(server)
        log = server.audit_log.read_bytes()
        return log, _truth(scenario, server, log)


def _truth(scenario: Scenario, server: OpenBaoServer, log: bytes) -> dict[str, Any]:
    shown = [
        found.event_id
        for found in OpenBao().records(log)
        if isinstance(found, Access) and found.event_type == PRESENTED
    ]
    accessors = scenario.accessors
    return {
        "server": "OpenBao 2.7.2",
        "tokens": {
            name: {
                "token_hmac": server.hash(token),
                "accessor": server.hash(accessors[name]) if name in accessors else None,
            }
            for name, token in scenario.tokens.items()
        },
        "leases": {
            name: {"id": lease, "lives": scenario.lease_lives(name)}
            for name, lease in scenario.leases.items()
        },
        "presentations": [
            {"event_id": event_id, "token": name, "refused": refused}
            for event_id, (name, refused) in zip(shown, scenario.presented, strict=True)
        ],
    }


def main() -> None:
    """Write both files."""
    log, truth = record()
    (HERE / "audit.log").write_bytes(log)
    text = json.dumps(truth, indent=1)
    (HERE / "truth.json").write_text(f"{text}\n", encoding="utf-8")
    refused = sum(one["refused"] for one in truth["presentations"])
    print(f"{len(log):,} bytes, {len(truth['presentations'])} presentations, "
          f"{refused} refused")  # fmt: skip


if __name__ == "__main__":
    main()
