"""What the tests' fork server runs: a function named by its first argument."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from multiprocessing import current_process


def main() -> None:
    """Run it."""
    globals()[sys.argv[1]](*sys.argv[2:])


def family() -> None:
    """A command, a daemon (own session, orphaned), and one that ignores SIGTERM."""
    subprocess.run(["sh", "-c", "(setsid sleep 1001 &); (trap '' TERM; setsid sleep 1002) &"])
    time.sleep(1003)


def leave(code: str) -> None:
    """End as told."""
    if code.startswith("-"):
        os.kill(os.getpid(), -int(code))
    if int(code):
        raise SystemExit(int(code))


def describe(*words: str) -> None:
    """What a program finds when it starts."""
    found = {
        "words": words,
        "signals": {number: str(signal.getsignal(number)) for number in range(1, 32)},
        "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "wakeup": signal.set_wakeup_fd(-1),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "first place to import from": sys.path[0],
        "descriptors": {number: place(number) for number in range(256) if place(number)},
        "session": os.getsid(0) == os.getpid(),
    }
    print(json.dumps(found))
    print("trouble", file=sys.stderr)


def place(number: int) -> str:
    """Where a descriptor leads; nothing if it is not open."""
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return ""


def secrets() -> None:
    """What no other process may know."""
    print(random.random(), current_process().authkey.hex())
    with open("/proc/self/environ") as file:
        print(file.read())
