"""How Sphinx makes the documentation; run by ``make docs``."""

from importlib.metadata import version as installed_version

project = "mrpnkit"
author = "the mrpnkit contributors"
version = release = installed_version("mrpnkit")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
templates_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_class_signature = "mixed"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
add_module_names = False
python_use_unqualified_type_names = True
nitpicky = False

html_theme = "furo"
html_title = f"mrpnkit {version}"
html_copy_source = False
html_show_sourcelink = False
