"""Where the course runs, and what can be measured there.

Each place is known by marks that it leaves: variables of the environment and files. Functions
of both and of nothing else, so that tests can build any place.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

#: Names of container engines in the paths of control groups (cgroup 1, and nested cgroup 2).
_ENGINES = re.compile(r"docker|kubepods|containerd|libpod|lxc|crio")


@dataclass(frozen=True)
class Place:
    """A place: its name, whether it measures as well as a machine of one's own, what to expect."""

    name: str
    measures_well: bool
    expect: str


COLAB = Place(
    "Colab",
    False,
    "Use its terminal, not its notebook: Colab's own kernel has other packages. Two threads of "
    "one core measure counts exactly and speeds widely.",
)
BINDER = Place(
    "Binder",
    False,
    "Read and try, don't measure: with about half a core most speeds end in `cannot tell`. "
    "Counts are exact. Nothing is kept: download what you want to keep.",
)
CODESPACES = Place(
    "GitHub Codespaces",
    True,
    "Counts, ratios and verdicts are as good as on a machine of your own; absolute times vary "
    "from day to day with the host's other guests.",
)
ACTIONS = Place(
    "GitHub Actions",
    False,
    "Good for tests, not for figures: counts are exact, but neighbours on the host widen the "
    "intervals of ratios and move absolute times.",
)
HUB = Place(
    "JupyterHub",
    False,
    "Counts are exact; speeds need two cores that no other learner uses at the same time. Look "
    "at `Noise`, and compare again where the machine could not tell.",
)
CONTAINER = Place(
    "container",
    True,
    "It measures as well as the cores that it was given: two or more. A smaller share is "
    "throttled in bursts, which looks like slow answers.",
)
WSL = Place(
    "WSL 2",
    True,
    "It measures like Linux if the course lies in Linux's own files (in ~, not below /mnt) and "
    "Windows is idle: `Noise` does not see what Windows' programs do.",
)
MACOS = Place(
    "macOS",
    True,
    "Counts and ratios measure as on Linux; plug in the charger. What only Linux tells is "
    "missing (the server's wait for a core), and graded answers have fewer walls.",
)
LINUX = Place("Linux", True, "All that the course measures can be measured here.")
ELSEWHERE = Place(
    "other", False, "The course is made for Linux, macOS and WSL 2: use one of these."
)


def find_place(environ: Mapping[str, str], root: Path, platform: str = sys.platform) -> Place:
    """The most particular place whose marks are there.

    Args:
        environ: variables of the environment.
        root: the folder that stands for ``/``.
        platform: as in ``sys.platform``.
    """
    for place, is_here in _MARKS:
        if is_here(environ, root):
            return place
    return LINUX if platform == "linux" else MACOS if platform == "darwin" else ELSEWHERE


def _in_colab(environ: Mapping[str, str], _root: Path) -> bool:
    return "COLAB_RELEASE_TAG" in environ


def _in_binder(environ: Mapping[str, str], _root: Path) -> bool:
    # Set by BinderHub when it starts a server; a build of its image has none of them.
    return "BINDER_LAUNCH_HOST" in environ or "BINDER_REPO_URL" in environ


def _in_codespaces(environ: Mapping[str, str], _root: Path) -> bool:
    return environ.get("CODESPACES") == "true"


def _in_actions(environ: Mapping[str, str], _root: Path) -> bool:
    return environ.get("GITHUB_ACTIONS") == "true"


def _in_hub(environ: Mapping[str, str], _root: Path) -> bool:
    return "JUPYTERHUB_SERVICE_PREFIX" in environ


def _in_container(environ: Mapping[str, str], root: Path) -> bool:
    marked = (root / ".dockerenv").exists() or (root / "run/.containerenv").exists()
    told = "KUBERNETES_SERVICE_HOST" in environ or "container" in environ
    return marked or told or bool(_ENGINES.search(_text(root / "proc/1/cgroup")))


def _in_wsl(environ: Mapping[str, str], root: Path) -> bool:
    # Set in its shells, but not in what its service manager starts.
    return "WSL_DISTRO_NAME" in environ or "microsoft" in _text(root / "proc/version").lower()


def _text(path: Path) -> str:
    """What the file says; nothing if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


#: From the particular to the general: most of these places are containers, too.
_MARKS: tuple[tuple[Place, Callable[[Mapping[str, str], Path], bool]], ...] = (
    (COLAB, _in_colab),
    (BINDER, _in_binder),
    (CODESPACES, _in_codespaces),
    (ACTIONS, _in_actions),
    (HUB, _in_hub),
    (CONTAINER, _in_container),
    (WSL, _in_wsl),
)
