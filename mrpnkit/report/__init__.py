"""Reports: result files, and the figures made from them."""

from mrpnkit.report.results import Figure, print_figures, write_json, write_result

__all__ = ["Figure", "print_figures", "write_json", "write_result"]
