"""Settings of a worker process, on top of those of the server and of Kafka.

From arguments, or from the environment with the prefix ``RESCIND_WORKER_``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Stage = Literal["registry", "sentinel", "closure", "audit"]


class WorkerSettings(BaseSettings):
    """How one worker works.

    Attributes:
        name: stable over restarts and unique among the workers, such as the name of
            a pod of a StatefulSet; its place in the groups and its heartbeats go by it.
        data_dir: of its local checkpoints; may be lost at any time.
        stages: what it runs.
        standby: tail the partitions of other workers too, so that it takes them over
            with warm tables; costs their memory.
        session_seconds: of silence until another worker takes its partitions over.
        ack_seconds: until a produce counts as failed, and the worker ends.
        commit_seconds: between two commits.
        still_seconds: with a lag and no step forward, then the worker is not live.
        head_seconds: between two signed heads of an audit chain that moves.
        snapshot_facts: facts of a partition between two snapshots of its tables.
        tables: folder or object store (``s3://BUCKET/FOLDER``, as fsspec reads it) in
            which workers leave these snapshots for a worker that starts without files.
        tables_key: file of the key by which workers know each other's tables.
    """

    model_config = SettingsConfigDict(
        env_prefix="RESCIND_WORKER_", extra="forbid", frozen=True
    )

    name: str = Field(default="worker-0", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    data_dir: Path = Path("rescind-worker")
    stages: frozenset[Stage] = frozenset({"registry", "sentinel", "closure", "audit"})
    standby: bool = False
    session_seconds: float = Field(default=10.0, ge=1)
    ack_seconds: float = Field(default=30.0, gt=0)
    commit_seconds: float = Field(default=0.25, ge=0)
    still_seconds: float = Field(default=30.0, ge=10)
    head_seconds: float = Field(default=60.0, gt=0)
    snapshot_facts: int = Field(default=100_000, ge=1)
    tables: str | None = Field(default=None, min_length=1)
    tables_key: Path | None = None
