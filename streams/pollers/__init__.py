"""Read the logs that vendors keep behind an API: pure feeds and one driver."""
