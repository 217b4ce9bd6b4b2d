"""Exercise 02: endpoints that block in three ways; none may block."""

from course_app.exercises.async_ import rubric, wrong_answers
from course_app.exercises.async_.baseline import shop_that_blocks
from course_app.exercises.async_.reference import create_app
from course_app.exercises.async_.right_answers import RIGHT_ANSWERS
from course_app.grading import Exercise, WrongAnswer
from course_app.grading.failures import DifferentAnswer

exercise = Exercise(
    slug="02_async",
    title="Nobody waits for somebody else",
    baseline=shop_that_blocks,
    reference=create_app,
    rubric=(
        rubric.same_answers,
        rubric.prices_wait_alone,
        rubric.orders_wait_alone,
        rubric.computes_elsewhere,
        rubric.faster,
        rubric.bounded,
        rubric.ends_its_processes,
    ),
    given=(rubric.same_answers,),
    hints=(
        "Three endpoints hold the event loop up: one in its handler, one before its handler, one "
        "without waiting for anything. Ask of each: what does it wait for, and can one await it?",
        "fetch_price has a twin to await. load_session has none: FastAPI runs a plain def in a "
        "worker thread, dependencies too. render_invoice needs the CPU: loop.run_in_executor "
        "with a ProcessPoolExecutor.",
        "Start the ProcessPoolExecutor in the lifespan, in a with statement, and with "
        'mp_context=get_context("spawn"): a fork copies the server\'s threads and locks, too. Put '
        "an asyncio.Semaphore(40) around the call to the partner.",
    ),
    right_answers=RIGHT_ANSWERS,
    wrong_answers=(
        WrongAnswer("as it was", shop_that_blocks, rubric.BlocksInHandler, points=0),
        WrongAnswer(
            "dependency forgotten",
            wrong_answers.create_forgotten_dependency,
            rubric.BlocksInDependency,
        ),
        WrongAnswer(
            "CPU work in threads", wrong_answers.create_computing_threads, rubric.ComputesHere
        ),
        WrongAnswer(
            "threads that call themselves processes",
            wrong_answers.create_computing_threads_by_another_name,
            rubric.ComputesHere,
        ),
        WrongAnswer("a single thread", wrong_answers.create_single_thread, rubric.OneAtATime),
        WrongAnswer("await without a bound", wrong_answers.create_boundless, rubric.TooManyCalls),
        WrongAnswer("processes left", wrong_answers.create_leaving, rubric.LeavesProcesses),
        WrongAnswer("prices by heart", wrong_answers.create_remembering, rubric.SkipsTheCall),
        WrongAnswer(
            "prices kept in a dictionary",
            wrong_answers.create_keeping_prices,
            rubric.SkipsTheCall,
        ),
        WrongAnswer(
            "sessions kept in a cache", wrong_answers.create_keeping_sessions, rubric.SkipsTheCall
        ),
        WrongAnswer("fast, other status", wrong_answers.create_other_status, DifferentAnswer),
    ),
)
