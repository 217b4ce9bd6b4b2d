"""The toy exercise of the grading tests is graded here, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "grading"))
