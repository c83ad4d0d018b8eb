"""Run the stages: logs, transactions, timers. IO lives here."""
