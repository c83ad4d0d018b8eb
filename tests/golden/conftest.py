"""Fixtures of the golden tests."""

from __future__ import annotations

from tests.integration.kafka_cluster import kafka, kafka_launcher, kafka_settings

__all__ = ["kafka", "kafka_launcher", "kafka_settings"]
