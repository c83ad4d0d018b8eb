"""The order in which stages are called, once for both engines."""
