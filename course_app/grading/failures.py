"""Failures that any exercise can meet. An exercise adds those of its own subject."""

from course_app.grading.evidence import Failure


class DoesNotRun(Failure):
    """Your code stops with an error before the answer is defined."""

    fatal = True
    hint = "Restart the kernel and run all cells: the first error you see is the one to repair."


class DoesNotStart(Failure):
    """Your app does not start."""

    fatal = True
    hint = (
        "Serve it in a cell of your own first and read the error. What happens at the start "
        "is the body of create_app and of the lifespan up to its yield."
    )


class OnAnotherLoop(Failure):
    """Your app uses something that was made before it, on the event loop of your notebook."""

    fatal = True
    hint = (
        "A pool, a lock or a client belongs to the event loop on which it was made. Make it in "
        "create_app or in the lifespan, not in a cell: both run on the loop that serves the app."
    )


class WrongKindOfAnswer(Failure):
    """What you handed in is not what the exercise asks for."""

    fatal = True
    hint = (
        "Hand in create_app itself (without calling it). The check calls it with a fresh "
        "database for each parameter that it names, and expects an ASGI app back."
    )


class Ended(Failure):
    """Your app ended the process that it runs in."""

    fatal = True
    hint = "Look for exit(), sys.exit(), os._exit() and for extensions that crash."


class StoppedAnswering(Failure):
    """Your app stopped answering."""

    fatal = True
    hint = (
        "One request must not be able to hold up the server: look for a loop that never ends, "
        "a lock or a connection that is never given back, a blocking call in async def."
    )


class TookTooLong(Failure):
    """Your code takes longer than a check may last."""

    fatal = True
    hint = "Whatever runs when the notebook or the app starts has to come to an end in seconds."


class TooMuchMemory(Failure):
    """Your app uses more memory than it may."""

    fatal = True
    hint = "Something is far too big or grows with every request: what is it, and who bounds it?"


class TooManyProcesses(Failure):
    """Your app starts more processes than it may."""

    fatal = True
    hint = "Start helpers once, in the lifespan, in a bounded number, and end them there."


class TooMuchOutput(Failure):
    """Your app prints or writes more than it may."""

    fatal = True
    hint = "Remove the print from the path of a request; it costs more than most handlers do."


class TooMuchOnDisk(Failure):
    """Your app fills more of the disk than it may."""

    fatal = True
    hint = "What grows with every request? Rows and files that nobody needs have to go again."


class CannotBeWatched(Failure):
    """Your app does something that makes it impossible to see what it uses."""

    fatal = True
    hint = "Look at the files, folders and processes that it makes: what is unusual about them?"


class DifferentAnswer(Failure):
    """Your app's answer differs from the reference's."""

    hint = (
        "Send the request shown here to the app you started from and to your own, and compare "
        "status and body. Only the way to the answer may change, not the answer."
    )


class WrongUnderLoad(Failure):
    """Your app answers wrongly when several requests are in flight."""

    hint = (
        "Alone the requests are answered well. Look for what requests share: a connection, a "
        "variable of the module, a limit that is smaller than the number of requests."
    )


class TooManyThreads(Failure):
    """Your app needs more threads than it may have."""

    hint = (
        "`def` handlers run in threads, and your app asks for one more than a check allows. "
        "Look for a thread limit in the hundreds, or for threads that are started and never end."
    )


class UnexpectedAnswer(Failure):
    """An answer of your app has not the form that the exercise asks for."""

    hint = (
        "Send the request shown here to the app you started from and to your own: the status, the "
        "names in the JSON and the types of their values have to be the same."
    )


class BlocksValkey(Failure):
    """Your app keeps Valkey busy with a script that does not end."""

    fatal = True
    hint = "While a script runs Valkey answers nobody: every loop in it needs a bound."


class RefusesChanges(Failure):
    """Your app's database does not take a change that comes from elsewhere."""

    hint = (
        "The check changes rows as another program would. Look for locks that are held, and for "
        "triggers, rules and columns of your own that stand in its way."
    )


class HoldsTransaction(Failure):
    """Your app keeps a transaction open after its request has been answered."""

    hint = (
        "Who begins a transaction ends it: `async with conn.transaction()` does so on errors too."
    )


class TooLittleGain(Failure):
    """Your app gains too little over the one you started from."""

    hint = (
        "If time counts, find what a request waits for now: count statements and connections, and "
        "look at a trace of one request. If CPU counts, find what is computed for it, and what "
        "could be less. Compare with the lesson's fast version."
    )


#: What an answer meets before it has answered anything. A machine on which nothing can be served
#: looks the same.
NEVER_RAN = (DoesNotRun, DoesNotStart, OnAnotherLoop, Ended)
