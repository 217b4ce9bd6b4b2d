"""``course site``: the course as web pages."""

from course_app.cli.console import output


def site() -> None:
    """Build build/site from the notebooks as they are: nothing is executed or fetched.

    `make site` installs what that needs and builds it.
    """
    from course_app.authoring.contents import find_course
    from course_app.site import build_site

    course = find_course()
    index = build_site(course, course.root / "build")
    output().print(f"The site: {index}", soft_wrap=True)
