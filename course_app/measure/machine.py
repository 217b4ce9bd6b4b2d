"""The machine card: what was measured on, in two lines."""

import importlib.metadata
import platform
from dataclasses import asdict, dataclass
from typing import Any

from course_app.measure.noise import measure_noise
from course_app.system import cores, platforms
from course_app.system.memory import memory

MACHINE_MIME = "application/vnd.course.machine+json"


@dataclass(frozen=True)
class MachineCard:
    """Cores, memory, versions, and how noisy the machine is now."""

    cores: int
    memory_gib: float
    system: str
    python: str
    fastapi: str
    uvicorn: str
    postgres: str
    valkey: str
    noise: str
    others_cores: float | None

    def __str__(self) -> str:
        noise = f"noise {self.noise}"
        if self.others_cores is not None:
            noise = f"machine {self.noise} (others use {self.others_cores:.1f} cores)"
        # JupyterLab breaks lines of text that are too long inside of a word.
        return (
            f"Lab ready: {cores.in_words(self.cores)}, {self.memory_gib:.0f} GiB, {self.system}; "
            f"{noise}\n"
            f"Python {self.python}, FastAPI {self.fastapi}, uvicorn {self.uvicorn}, "
            f"PostgreSQL {self.postgres}, Valkey {self.valkey}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The card as the report reads it."""
        return asdict(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"text/plain": str(self), MACHINE_MIME: self.to_dict()}


def machine_card(postgres_version: str, valkey_version: str) -> MachineCard:
    """Describe this machine; looks for a third of a second at how noisy it is."""
    noise = measure_noise()
    return MachineCard(
        cores=cores.usable_cores(),
        memory_gib=memory().total / 2**30,
        system=platforms.name(),
        python=platform.python_version(),
        fastapi=importlib.metadata.version("fastapi"),
        uvicorn=importlib.metadata.version("uvicorn"),
        postgres=postgres_version,
        valkey=valkey_version,
        noise=noise.badge,
        others_cores=noise.others_cores,
    )
