"""What was prepared is written to the topics, and acked, or refused."""
