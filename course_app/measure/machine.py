"""The machine card: what was measured on, in one line."""

import importlib.metadata
import platform
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from course_app.measure.noise import measure_noise, usable_cores

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
    others_cores: float

    def __str__(self) -> str:
        return (
            f"Lab ready: {self.cores} cores, {self.memory_gib:.0f} GiB, {self.system}; "
            f"Python {self.python}, FastAPI {self.fastapi}, uvicorn {self.uvicorn}, "
            f"PostgreSQL {self.postgres}, Valkey {self.valkey}; machine {self.noise} "
            f"(others use {self.others_cores:.1f} cores)"
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
        cores=usable_cores(),
        memory_gib=psutil.virtual_memory().total / 2**30,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        fastapi=importlib.metadata.version("fastapi"),
        uvicorn=importlib.metadata.version("uvicorn"),
        postgres=postgres_version,
        valkey=valkey_version,
        noise=noise.badge,
        others_cores=noise.others_cores,
    )
