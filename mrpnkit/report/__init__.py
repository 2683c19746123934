"""Reports: result files, and the figures made from them."""

from mrpnkit.records import write_json
from mrpnkit.report.findings import Findings, find
from mrpnkit.report.results import Figure, print_figures, write_result
from mrpnkit.report.summary import Summary, read_summary
from mrpnkit.report.writing import write_report

__all__ = [
    "Figure",
    "Findings",
    "Summary",
    "find",
    "print_figures",
    "read_summary",
    "write_json",
    "write_report",
    "write_result",
]
