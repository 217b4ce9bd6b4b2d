"""From text to notebooks: read the contents, build the three trees, execute, report.

``contents`` reads course.toml and the claims; ``markers`` and ``notebook`` turn text into
notebooks; ``build`` writes and compares the trees; ``execute`` runs them; ``findings`` reads
verdicts and figures out of outputs; ``report`` and ``pages`` make the HTML of ``course run`` from
``templating``'s templates.
"""
