"""A small course in a folder of its own (with a space in its path), and its pieces."""

from pathlib import Path

import pytest

from course_app.authoring.contents import Course, read_course

COURSE = """\
title = "A small course"

[[lesson]]
slug = "00_start_here"
title = "Start here"
guide_section = ""
minutes = 5
points = 0

[[lesson]]
slug = "01_pool"
title = "Pools"
guide_section = "2 Database"
minutes = 20
points = 10
"""

CLAIMS = """\
[[claim]]
id = "1"
says = "A stopwatch measures <everything>."
lesson = "00_start_here"
section = "Baseline"
how = "by example"

[[claim]]
id = "T1"
says = "Tip: use a pool."
lesson = "01_pool"
section = "Tips"
how = "stated"
"""

LESSON = """\
# %% [markdown]
# # 00 - Start here
#
# Go on with [pools](01_pool.ipynb) or its [exercise](../exercises/01_pool.ipynb).

# %%
number = 6

# %% tags=["important"]
print(number * 7)
"""

EXERCISE = """\
# %% [markdown]
# # Exercise: open the pool once

# %%
from contextlib import asynccontextmanager

# %%
# blank:
app = None  # your app goes here
# solution:
pool = create_the_one_pool(max_size=20)
app = App(lifespan=pool.while_running)
# end solution

# %%
print(app)

# blank:
# solution:
# %% [markdown]
# No request has to wait for a connection any more.
# end solution
"""


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A course of two lessons; one has a text, the other an exercise."""
    root = tmp_path / "a course"
    for folder in ("content/lessons", "content/exercises"):
        (root / folder).mkdir(parents=True)
    (root / "course.toml").write_text(COURSE)
    (root / "content/claims.toml").write_text(CLAIMS)
    (root / "content/lessons/00_start_here.py").write_text(LESSON)
    (root / "content/exercises/01_pool.py").write_text(EXERCISE)
    return read_course(root)
