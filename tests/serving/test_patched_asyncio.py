"""What the package's patch of asyncio must not touch: the servers' loops."""

import subprocess
import sys

import pytest
from representatives import others_slow

#: In a process of its own: the patch holds for a whole process, for ever.
SCRIPT = """
import asyncio, sys
{imports}
nest_asyncio2.apply()
assert hasattr(asyncio, "_nest_patched"), "nothing was patched"

from course_app.apps.hello import app
from course_app.serving import ThreadServer

async def kinds():
    loop = asyncio.get_running_loop()
    child = asyncio.create_task(asyncio.sleep(0))
    await child
    things = asyncio.current_task(), child, loop.create_future()
    return [type(thing).__module__ for thing in things]

async def inner():
    return "nested"

async def outer():
    return asyncio.run(inner())

with ThreadServer(app, loop="{loop}") as server:
    print(*server.run(kinds()), asyncio.run(outer()))
"""
IN_TIME = "import course_app.serving, nest_asyncio2"
TOO_LATE = "import nest_asyncio2; nest_asyncio2.apply()"


def kinds(imports: str, loop: str) -> list[str]:
    script = SCRIPT.format(imports=imports, loop=loop)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("loop", ["uvloop", pytest.param("asyncio", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "imports", others_slow(1, ["import course_app.lab, nest_asyncio2", IN_TIME])
)
def test_tasks_on_a_server_s_loop_are_those_written_in_c(imports: str, loop: str) -> None:
    assert kinds(imports, loop) == ["_asyncio", "_asyncio", "_asyncio", "nested"]


@pytest.mark.parametrize("loop", others_slow(1, ["uvloop", "asyncio"]))
def test_tasks_are_written_in_c_even_where_the_patch_came_first(loop: str) -> None:
    assert kinds(TOO_LATE, loop)[:2] == ["_asyncio", "_asyncio"]
