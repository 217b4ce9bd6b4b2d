"""How Sphinx makes the site. What follows from the table of contents is laid out before (build.py).

Sphinx executes this file in the folder of the laid out sources; see its documentation, and those
of MyST-NB and sphinx-book-theme, for the names.
"""

import os
from pathlib import Path

from course_app.authoring.contents import read_course
from course_app.site.rendering import ROOT, places

_course = read_course(Path(os.environ[ROOT]))
_codespaces = places(_course)["codespaces"]

project = _course.title
html_title = _course.title
copyright = "the authors of the course. Code: MIT. Texts and figures: CC BY 4.0"  # noqa: A001

extensions = ["myst_nb"]
exclude_patterns = ["extra"]
html_extra_path = ["extra"]
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["verdicts.css", "course.css"]

# Notebooks are shown as they are; `course build --execute` is what runs them.
nb_execution_mode = "off"
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
myst_heading_anchors = 4

# Light or dark as the reader's system, until the reader chooses.
html_context = {"default_mode": "auto"}
html_theme = "sphinx_book_theme"
html_theme_options = {
    "home_page_in_toc": True,
    "show_navbar_depth": 1,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "toc_title": "On this page",
    "repository_url": _codespaces.replace("codespaces.new", "github.com").partition("?")[0],
    "use_repository_button": True,
    "footer_content_items": ["copyright.html"],
    "search_bar_text": "Search the course",
}
# Sources would double the site's size, and are in the repository.
html_copy_source = False
html_use_index = False
html_show_sphinx = False
