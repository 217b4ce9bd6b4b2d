"""A worker that says back what it is asked, after so many seconds."""

import sys
import time

from course_app.worker.frames import FrameReader, PipeClosed, write_frame


def main() -> None:
    reader = FrameReader(sys.stdin.fileno())
    while True:
        try:
            asked, _ = reader.read()
        except PipeClosed:
            return
        time.sleep(asked["seconds"])
        if asked.get("fails"):
            sys.exit("no more of this")
        write_frame(sys.stdout.fileno(), asked, {"said": asked["word"].encode()})
