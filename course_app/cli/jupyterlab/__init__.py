"""JupyterLab as a learner meets it: the course and nothing else, in a terminal that stays quiet."""
