"""Exercise 03: a report that compares drivers becomes one that can be believed."""

from course_app.exercises.client_libraries import rubric, wrong
from course_app.exercises.client_libraries.baseline import unfair_report
from course_app.exercises.client_libraries.reference import create_app
from course_app.grading import Exercise, WrongAnswer

exercise = Exercise(
    slug="03_client_libraries",
    title="A comparison of drivers that can be believed",
    baseline=unfair_report,
    reference=create_app,
    rubric=(
        rubric.reports,
        rubric.fetches_as_it_says,
        rubric.takes_turns,
        rubric.right_order,
        rubric.refuses,
        rubric.closes,
    ),
    hints=(
        "List what is unfair before you change anything. What lies between the two looks at the "
        "clock? How many rows does each driver fetch? What if the machine gets busy halfway?",
        "Open all drivers first (contextlib.AsyncExitStack), call each ten times to warm it up, "
        "then go round a dozen times: some calls of each driver, forwards and backwards.",
        "A round gives one time per driver, so one ratio to the first. mean_interval of the "
        "logarithms of those ratios, then .exp(), has .low, .estimate and .high.",
    ),
    wrong_answers=(
        WrongAnswer("as it was", unfair_report, rubric.NoInterval),
        WrongAnswer("in an order of its own", wrong.create_alphabetical, rubric.NoReport),
        WrongAnswer("measures for four seconds", wrong.create_unhurried, rubric.NoReport),
        WrongAnswer("ten per cent, always", wrong.create_round_intervals, rubric.NoInterval),
        WrongAnswer("times kept by name", wrong.create_kept_by_name, rubric.NoInterval),
        WrongAnswer("figures by heart", wrong.create_by_heart, rubric.FetchesNothing),
        WrongAnswer("always one row", wrong.create_one_row, rubric.OtherRows),
        WrongAnswer("connecting is timed too", wrong.create_connecting, rubric.ConnectsAnew),
        WrongAnswer("one after another", wrong.create_one_after_another, rubric.NoTurns),
        WrongAnswer(
            "all open and warm, one after another",
            wrong.create_warm_then_one_after_another,
            rubric.NoTurns,
        ),
        WrongAnswer("faster, not slower", wrong.create_upside_down, rubric.WrongOrder),
        WrongAnswer("intervals that hold anything", wrong.create_very_careful, rubric.SaysNothing),
        WrongAnswer("refuses nothing", wrong.create_trusting, rubric.NoRefusal),
        WrongAnswer("connections left open", wrong.create_leaving, rubric.LeavesConnections),
    ),
)
