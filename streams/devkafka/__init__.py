"""A real Kafka on this machine, to try Rescind on."""
