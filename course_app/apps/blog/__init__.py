"""The blog API of the guide, and what becomes of it, one change after another."""
