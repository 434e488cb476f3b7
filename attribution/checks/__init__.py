"""Checks of maps, built on the engine: sanity, faithfulness and convergence."""
