"""Measure apps under load: counts of causes, intervals of effects, and how noisy it was.

A new kind of count is a probe (``probes/``); a new kind of result derives from
:class:`~course_app.measure.result.Result` and registers its figure in the plots room.
"""
