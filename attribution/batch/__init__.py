"""Explain a range of photos: a plan, its groups of photos, the engines that run it, and what drives a class."""

from attribution.batch.plan import Plan as Plan
from attribution.batch.run import Run as Run
