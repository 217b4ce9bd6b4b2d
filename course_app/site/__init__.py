"""The course as web pages: ``course site``.

``build`` lays the sources of the pages out in a folder (notebooks, texts, figures) and lets
Sphinx make the site of it; ``lessons`` turns notebooks into pages, ``texts`` the README and the
docs, ``terms`` links the glossary. Nothing is executed and nothing is fetched.
"""

from course_app.site.build import build_site

__all__ = ["build_site"]
