"""What a submission says cannot steer a terminal or hide in it."""

from course_app.grading.harmless import harmless


def test_terminals_are_told_nothing() -> None:
    said = harmless("\x1b[2J\x1b]0;title\x07 \u202e\u200b\ufeff\r\n\tZoë 数")
    assert said == "\\x1b[2J\\x1b]0;title\\x07 \\u202e\\u200b\\ufeff\\r\n\tZoë 数"
