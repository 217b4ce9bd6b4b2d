"""Control groups as Linux shows them, of our own making."""

from pathlib import Path


class Groups:
    """A tree of control groups, and this process's place in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.places: list[str] = []
        (root / "proc/self").mkdir(parents=True)
        (root / "groups").mkdir()

    def version_2(self, path: str, files: dict[str, str], own: bool = True) -> None:
        """A group of cgroup 2 with these files."""
        self._write(path, files)
        if own:
            self._place(f"0::/{path}")

    def version_1(self, path: str, quota: int, **seconds: float) -> None:
        """A group of cgroup 1 with a quota in µs of each 100 ms; ``used`` and ``throttled``."""
        stat = f"nr_periods 9\nthrottled_time {seconds.get('throttled', 0) * 1e9:.0f}\n"
        files = {"cpu.cfs_quota_us": str(quota), "cpu.cfs_period_us": "100000", "cpu.stat": stat}
        self._write(f"cpu,cpuacct/{path}", files)
        used = f"{seconds.get('used', 0) * 1e9:.0f}"
        self._write(f"cpu,cpuacct/{path}", {"cpuacct.usage": used})
        self._place(f"4:cpu,cpuacct:/{path}")

    def _place(self, line: str) -> None:
        self.places.append(line)
        (self.root / "proc/self/cgroup").write_text("\n".join(self.places) + "\n")

    def _write(self, path: str, files: dict[str, str]) -> None:
        folder = self.root / "groups" / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text + "\n")
