"""JupyterLab with the settings of the course, and with few words in the terminal."""

from collections.abc import Sequence
from pathlib import Path

import zmq
from jupyter_server.serverapp import ServerApp

#: JupyterLab's application settings: no news, no panels that learners have no use for.
_SETTINGS = Path(__file__).parent

#: What the file browser does not list; it can be opened all the same.
_HIDDEN = (
    *("build", "content", "course_app", "docs", "tests", "*.egg-info", "__pycache__"),
    *("Makefile", "postBuild", "LICENSE", "CONTRIBUTING.md"),
    *("course.toml", "environment.yml", "pyproject.toml", "requirements*.txt"),
)

#: Of the server. None is looked for: nbgrader's, Jupytext's and language servers' stay out.
_EXTENSIONS = {"jupyterlab": True, "notebook": True, "jupyter_server_terminals": True}

_WELCOME = """\
The course is at {address}
Begin with lesson 00 there: Shift+Enter runs a cell. To stop, press Ctrl+C here, twice."""


class CourseServer(ServerApp):
    """Tells its address once, in a line of the course."""

    def start_app(self) -> None:
        # Only of a token that it made does Jupyter tell, in seven lines of a log.
        identity = self.identity_provider
        generated, identity.token_generated = identity.token_generated, False
        super().start_app()
        identity.token_generated = generated
        print(_WELCOME.format(address=self.local_url), flush=True)


def serve(root: Path, notebook: str, more: Sequence[str]) -> None:
    """Serve the course's folder until it is stopped.

    Args:
        notebook: what opens first, as a path from `root`.
        more: options of JupyterLab; they win over the course's.
    """
    # Kernels' messages are encrypted where ZeroMQ can; a kernel warns where they are not.
    encryption = "auto" if zmq.has("curve") else "disabled"
    options = [
        "--Application.log_level=ERROR",
        f"--ServerApp.root_dir={root}",
        f"--LabApp.default_url=/lab/tree/{notebook}",
        f"--LabApp.app_settings_dir={_SETTINGS}",
        "--LabApp.extension_manager=readonly",
        f"--KernelManager.transport_encryption={encryption}",
        "--FileContentsManager.pre_save_hook=course_app.authoring.notebook.keep_versions_out",
        *(f"--ContentsManager.hide_globs={pattern}" for pattern in _HIDDEN),
    ]
    server = CourseServer.instance(jpserver_extensions=_EXTENSIONS)
    server.initialize([*options, *more], find_extensions=False, starter_extension="lab")
    server.start()
