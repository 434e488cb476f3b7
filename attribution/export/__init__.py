"""Exports of attributions: a figure, a folder or ZIP that reproduces the maps, a report, and tables of the checks.

Most functions take the results of `compare` for one photo; refusals among them are listed and otherwise ignored.
"""

from attribution.export.checks import faithfulness as faithfulness
from attribution.export.checks import sanity as sanity
from attribution.export.figure import figure as figure
from attribution.export.folder import archive as archive
from attribution.export.folder import folder as folder
from attribution.export.probed import Probed as Probed
from attribution.export.report import report as report
