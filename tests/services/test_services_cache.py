"""The prepared data set: made once, complete or not there, made anew when it is damaged."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from service_labs import LabProcess, start_python

from course_app.dataset import DATASET_VERSION, ROWS
from course_app.services import cache, start_services
from course_app.services.cluster import MANIFEST, read_manifest

PREPARE = "from course_app.services import cache; print(cache.prepare())"


@pytest.fixture
def copied_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the prepared data set that this test may damage."""
    prepared = cache.prepare()
    copy = tmp_path / "a b" / prepared.relative_to(cache.cache_folder().parent)
    shutil.copytree(prepared, copy)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a b"))
    assert cache.prepared_folder() == copy
    return copy


def rows_in_a_lab() -> object:
    with start_services() as services, psycopg.connect(services.postgres_dsn) as connection:
        found = connection.execute("SELECT count(*) FROM comments").fetchone()
        return found[0] if found else None


def remove_a_file(prepared: Path) -> None:
    (prepared / "data" / "global" / "pg_control").unlink()


def shorten_a_file(prepared: Path) -> None:
    manifest = read_manifest(prepared)
    largest = max(manifest.files, key=lambda name: manifest.files[name])
    with (prepared / "data" / largest).open("r+b") as file:
        file.truncate(1000)


def spoil_a_file(prepared: Path) -> None:
    control = prepared / "data" / "global" / "pg_control"
    control.write_bytes(bytes(control.stat().st_size))


def spoil_the_manifest(prepared: Path) -> None:
    (prepared / MANIFEST).write_text("{")


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage", [remove_a_file, spoil_a_file, shorten_a_file, spoil_the_manifest]
)
def test_a_damaged_data_set_is_made_anew(
    copied_cache: Path, damage: Callable[[Path], None]
) -> None:
    password = read_manifest(copied_cache).password
    damage(copied_cache)
    assert rows_in_a_lab() == ROWS["comments"]
    assert read_manifest(copied_cache).password != password


def test_a_sound_data_set_is_kept(copied_cache: Path) -> None:
    password = read_manifest(copied_cache).password
    assert rows_in_a_lab() == ROWS["comments"]
    assert read_manifest(copied_cache).password == password


@pytest.mark.slow
def test_two_first_starts_at_the_same_time_make_one_data_set(tmp_path: Path) -> None:
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "first time")}
    old = tmp_path / "first time" / cache.cache_folder().name / "dataset-of-old"
    unfinished = old.with_name("new-dataset-of-old-1")
    for path in (old, unfinished):
        path.mkdir(parents=True)
    both = [start_python(PREPARE, env=env) for _ in range(2)]
    results = [process.communicate(timeout=60) for process in both]
    folders = {output.strip() for output, _ in results}
    assert folders == {str(old.with_name(f"dataset-{DATASET_VERSION}"))}, results
    assert {path.name for path in old.parent.iterdir()} == {"lock", f"dataset-{DATASET_VERSION}"}


def test_a_preparation_that_is_killed_is_no_preparation(tmp_path: Path) -> None:
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    process = start_python(PREPARE, env=env)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.0)
    process.kill()
    process.communicate()
    assert not list(tmp_path.glob(f"*/dataset-*/{MANIFEST}"))


def test_the_manifest_tells_what_is_there() -> None:
    prepared = cache.prepare()
    manifest = read_manifest(prepared)
    files = {
        path.relative_to(prepared / "data").as_posix(): path.stat().st_size
        for path in (prepared / "data").rglob("*")
        if path.is_file()
    }
    assert files == manifest.files
    assert json.loads((prepared / MANIFEST).read_text())["course"] == manifest.course


@pytest.mark.slow
def test_a_lab_outlives_the_data_set_it_was_copied_from(
    copied_cache: Path, start_lab: Callable[..., LabProcess]
) -> None:
    ask = """
sys.stdin.readline()
import psycopg
with psycopg.connect(services.new_database()) as connection:
    print(connection.execute("SELECT count(*) FROM tags").fetchone()[0], flush=True)
"""
    lab = start_lab(then=ask)
    shutil.rmtree(copied_cache)
    output, errors = lab.process.communicate("\n", timeout=60)
    assert output.strip() == str(ROWS["tags"]), errors


def test_of_two_labs_that_meet_the_same_damage_one_makes_it_anew(
    copied_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = cache.made()
    makings: list[None] = []

    def make() -> None:
        makings.append(None)
        copied_cache.mkdir(exist_ok=True)
        (copied_cache / MANIFEST).write_text(str(len(makings)))

    monkeypatch.setattr(cache, "_make", make)
    for _ in range(2):  # both had seen the first one
        assert cache.rebuild(made) == copied_cache
    assert len(makings) == 1
    cache.rebuild(cache.made())
    assert len(makings) == 2
