"""Exercise 06: a directory that tells more than it may gets a response model."""

from course_app.exercises.response_models import odd_rows, rubric
from course_app.exercises.response_models.baseline import telling_directory
from course_app.exercises.response_models.reference import create_app
from course_app.exercises.response_models.right_answers import RIGHT_ANSWERS
from course_app.exercises.response_models.wrong_answers import WRONG_ANSWERS
from course_app.grading import Exercise

exercise = Exercise(
    slug="06_response_models",
    title="Tell less, and faster",
    baseline=telling_directory,
    reference=create_app,
    rubric=(
        rubric.same_answers,
        rubric.only_public,
        rubric.fresh_answers,
        odd_rows.odd_rows,
        rubric.encodes_in_rust,
        rubric.fetches_what_it_shows,
        rubric.faster,
        rubric.is_documented,
    ),
    hints=(
        "Write the class first: what is a member, to the public? Then ask of each handler how "
        "FastAPI could know that it answers with one.",
        "Two models: one for a member, with four fields, and one for the page, with `members` and "
        "`left_out`. As return annotations they filter, document and speed up at once.",
        "Pydantic's `Field(min_length=1)` refuses an empty name. If FastAPI finds one, it is too "
        "late: then the answer is a 500. So validate each row in the handler.",
        "A function `member_of(row)`: try Member.model_validate(dict(row)); on "
        "ValidationError log a warning with the row's id, so that somebody learns of it, and "
        "return None. Both handlers use it; `left_out` is the difference of two lengths. The "
        "queries name the four columns.",
    ),
    wrong_answers=WRONG_ANSWERS,
    right_answers=RIGHT_ANSWERS,
)
