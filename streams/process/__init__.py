"""Start and stop of a process, turns of its event loop, its private folder."""
