"""A command that is told to end leaves nothing behind."""

import signal
import subprocess
import sys
from pathlib import Path

COMMAND = """
import sys, tempfile, time
from course_app.cli import app, main

@app.command()
def wait() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(folder, flush=True)
        time.sleep(60)

sys.argv = ["course", "wait"]
main()
"""


def test_a_terminated_command_removes_its_folders() -> None:
    process = subprocess.Popen([sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    folder = Path(process.stdout.readline().strip())
    assert folder.is_dir()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert not folder.exists()
    assert process.returncode == 143
