"""Targets and scores: the number that is explained."""
