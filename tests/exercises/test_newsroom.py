"""A planted bottleneck gives the same answers as the sound stage, and its cause can be counted."""

from collections.abc import Iterator

import pytest
from representatives import others_slow

from course_app.apps.newsroom import SOUND, create_newsroom, replaced
from course_app.apps.suspects import PLANTS, Plant, plant_of, planted, sow, sown
from course_app.lab import Lab, get, uniform

each_plant = pytest.mark.parametrize("plant", others_slow(1, PLANTS), ids=lambda plant: plant.stage)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as patch, Lab() as lab:
        patch.setenv("COURSE_PACE", "quick")
        yield lab


@each_plant
def test_it_answers_alike_and_causes_more_of_what_it_says(plant: Plant, lab: Lab) -> None:
    slow = replaced(SOUND, plant.page, plant.stage, plant.slow)
    result = lab.compare_requests(
        {
            "slow": create_newsroom(lab.postgres_dsn, slow),
            "sound": create_newsroom(lab.postgres_dsn, SOUND),
        },
        get(f"/{plant.page}/{{n}}", n=uniform(1, 50)),
        metric="p50",
        at_least=2,
    )
    assert not result.wrong
    assert result.faster("sound", at_least=2)
    for cause in plant.causes:
        if cause == "CPU":
            assert result["slow"].middle("cpu") > 2 * result["sound"].middle("cpu")
        else:
            assert result["slow"].counts[cause] > 5 * result["sound"].counts[cause]


def test_a_seed_always_plants_the_same_and_all_plants_come_up() -> None:
    assert plant_of(7) == plant_of(7) == plant_of("7")
    assert {plant_of(seed).stage for seed in range(100)} == {plant.stage for plant in PLANTS}
    plant, stages = plant_of(7), planted(7)
    assert stages[plant.page][plant.stage] is plant.slow
    spoilt = [n for p in SOUND for n in SOUND[p] if stages[p][n] is not SOUND[p][n]]
    assert spoilt == [plant.stage]


def test_names_do_not_give_the_culprit_away() -> None:
    for plant in PLANTS:
        assert plant.slow.__name__ == SOUND[plant.page][plant.stage].__name__  # type: ignore[attr-defined]


def test_a_seed_can_be_left_in_the_database(lab: Lab) -> None:
    sow(lab.postgres_dsn, 4711)
    assert sown(lab.postgres_dsn) == "4711"
