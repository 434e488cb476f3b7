"""A frozen network, and the one place that runs it."""
