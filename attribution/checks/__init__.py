"""Checks that are built on the engine, to doubt a map."""
