"""Read what systems list of themselves, as declarations for `rescind adopt`."""
