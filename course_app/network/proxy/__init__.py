"""The process that stands between: one thread, one loop, nothing but the standard library.

It is not an asyncio program because of its timers: uvloop's are whole milliseconds, and a
delay of 1 ms is two of half a millisecond.
"""
