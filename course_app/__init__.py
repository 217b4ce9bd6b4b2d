"""FastAPI performance, measured: everything that the course's notebooks import."""

__version__ = "0.1.0"
