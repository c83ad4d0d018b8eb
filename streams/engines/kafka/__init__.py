"""Rescind on Apache Kafka: topics, framing, settings, and a broker to try it on."""
