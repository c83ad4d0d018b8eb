"""The two engines: one SQLite file, or Apache Kafka."""
