"""Local files that make a restart quick, and can be had again from the topics."""
