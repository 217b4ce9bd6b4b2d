"""Grading a class: collect what was handed in, check one after another, keep each result, report.

Nothing here decides on points: the same engine as behind ``course check`` does.
"""
