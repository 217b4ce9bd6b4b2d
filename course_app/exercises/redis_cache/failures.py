"""The ways to go wrong with a cache, each with its hint."""

from course_app.grading import Failure


class StaleAnswer(Failure):
    """After a write, an answer still shows what was there before."""

    hint = (
        "Which entries does this write make wrong? A comment changes the summary of every tag of "
        "its post, and a new tag was perhaps asked for before it existed."
    )


class NotCached(Failure):
    """Summaries that were asked for before still make PostgreSQL work."""

    hint = (
        "Look into the cache first, ask PostgreSQL only if nothing is there, and leave the answer "
        "in the cache. Does every hit find the key that the miss has written?"
    )


class NotShared(Failure):
    """The cache is not in Valkey alone: another process would not see it, or see it change."""

    hint = (
        "A variable of the process is lost with it, and stays as it is when somebody else writes. "
        "Keep entries in Valkey only."
    )


class CachesInVain(Failure):
    """Users go through a cache that hardly ever hits."""

    hint = (
        "Count hits per request when all 100,000 users are asked for alike, and compare the app "
        "with and without this cache. Which of the two has less to do?"
    )


class NotMeasured(Failure):
    """The decision about the users comes without a measurement that fits it."""

    hint = (
        "`measured` holds numbers, written out: hits per request as `lab.measure` counts them for "
        "the app as it is, and how many times as fast it is without the cache, as "
        "[low, estimate, high]. Was the cache empty when you began to measure?"
    )


class KeepsNothing(Failure):
    """No summary is kept in Valkey."""

    hint = "There is nothing yet that could expire: keep summaries there, with an expiry."


class NeverExpires(Failure):
    """Some entries stay in Valkey for ever, or for far too long."""

    hint = (
        "Every `set` needs `ex=` or `px=`; `incr`, `hset` and `sadd` make keys without an expiry."
    )


class FailsWithoutValkey(Failure):
    """Requests fail while Valkey is away."""

    hint = (
        "All that redis.asyncio raises is a redis.RedisError: where Valkey is silent, a "
        "TimeoutError, which is no ConnectionError. Every call of it can fail: that of a read, "
        "that of leaving an entry, and that after a write."
    )


class HangsWithoutValkey(Failure):
    """Requests hang while Valkey is silent."""

    hint = (
        "A client that was told nothing waits five seconds, and one that is made with "
        "Redis(host, port) tries again ten times. Look for `socket_timeout` and "
        "`socket_connect_timeout`, and for `retry`; new_app passes them on."
    )


class NotUsedAgain(Failure):
    """Valkey is there, and summaries do not come from it."""

    hint = (
        "After an error Valkey may be left alone, so that not every request waits for it, but only "
        "for a moment. How long is yours, and does anything make it longer while requests go on?"
    )


class StaleAfterOutage(Failure):
    """A write while Valkey was away is not seen once it is back with its old entries."""

    hint = (
        "The write could not make the old entry void, and nobody did it later. Remember what is "
        "left to do, and do it before you believe an entry again."
    )


class LateReader(Failure):
    """A slow reader brings an old answer back after the write."""

    hint = (
        "The reader asked PostgreSQL before the write and set its entry after the deletion. Its "
        "entry must be recognisable as old: give it the stamp that held when it began to read."
    )
