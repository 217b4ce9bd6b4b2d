"""Ways to go wrong with compression, and what helps with each."""

from course_app.grading import Failure


class NotDecodable(Failure):
    """An answer cannot be decoded as its Content-Encoding says."""

    hint = (
        "`gzip` is a format of its own, with a head and a check sum. Let a library write it, and "
        "name it only where it was written."
    )


class NotAsked(Failure):
    """A client who cannot decode gzip gets it."""

    hint = "What a client can decode stands in its `Accept-Encoding`. Who says nothing gets none."


class ForgetsVary(Failure):
    """A cache cannot know that a URL has two answers."""

    hint = (
        "`Vary: Accept-Encoding` belongs to both of them: a cache learns it from whichever comes "
        "first, also if that is the plain one."
    )


class StaleAnswer(Failure):
    """An answer is older than the row in the database."""

    hint = "Compressed bytes that are kept are a cache, and this service may not show old titles."


class NotCompressed(Failure):
    """A long list goes out to the world with most of its bytes."""

    hint = (
        "Look at the lines over the speed of the link: on a phone's, compression is worth more "
        "than anything else. Send yourself a request that accepts gzip, and look at the answer."
    )


class CompressesSmall(Failure):
    """A small answer is compressed."""

    hint = "What does the smallest answer become? `minimum_size` says from where on it is worth it."


class CompressesDense(Failure):
    """A spreadsheet is compressed again."""

    hint = (
        "An .xlsx file is a zip archive, but its type does not stand in Starlette's list of types "
        "to leave alone. The list is a parameter."
    )


class CompressesForNeighbours(Failure):
    """The indexer on the same machine gets compressed lists."""

    hint = (
        "It asks for gzip because its HTTP library always does. What does gzip save on a link of "
        "20 Gbit/s, and what does it cost? Refusing is an answer: know who asks by the path."
    )


class BlocksLoop(Failure):
    """While a long list is compressed, nobody else is answered."""

    hint = (
        "Compression of megabytes belongs into a thread: zlib lets others run meanwhile. See from "
        "which size on Starlette does that, or call it by `asyncio.to_thread`."
    )


class NoChoice(Failure):
    """There is no choice of a level for each of the three clients."""

    hint = (
        'levels = {"phone": ..., "office": ..., "indexer": ...}, each a level from 1 to 9 or None.'
    )


class WrongLevel(Failure):
    """A client waits clearly longer than with another level."""

    hint = (
        "For each link, add up: CPU time of the level, and bits divided by speed. None, for no "
        "compression, takes no CPU and all of the bits."
    )


class HoldsStream(Failure):
    """The first piece of a stream waits for its last."""

    hint = (
        "Who collects a body to compress it has to wait for its end, and so does whoever leaves "
        "the text in the compressor. Starlette's middleware compresses each piece as it comes, and "
        "flushes it (`zlib.Z_SYNC_FLUSH`)."
    )
