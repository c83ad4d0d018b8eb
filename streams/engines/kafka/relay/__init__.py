"""The log on Kafka under the feed: what a relay reads, proves and reports."""
