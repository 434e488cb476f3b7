"""Attributions -> files that people take away: pictures, a figure, a folder or ZIP that reproduces, a report.

Every function takes what `compare` gave for one photo; a Refusal among the results is listed and otherwise left out.
"""

from attribution.export.figure import figure as figure
from attribution.export.folder import archive as archive
from attribution.export.folder import folder as folder
from attribution.export.report import report as report
