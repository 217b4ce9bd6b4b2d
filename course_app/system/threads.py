"""Threads of this interpreter that must be stopped from outside."""

import ctypes
import threading


def ask_to_end(thread: threading.Thread) -> None:
    """Raise SystemExit in a thread when it runs Python again; nothing happens before."""
    identity, ending = ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ending)
