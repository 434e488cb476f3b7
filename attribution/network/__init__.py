"""The frozen network, and the only code that runs it."""
