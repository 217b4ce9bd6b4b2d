"""The probe on FastAPI's encoder counts exactly, and leaves nothing behind."""

from fastapi import encoders, routing

from course_app.measure.probes.encoder import EncoderProbe

#: The list, the two dicts, and each of their two keys and values.
ROWS = [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Alan"}]
CALLS_OF_ROWS = 1 + 2 * (1 + 2 * 2)


def calls(probe: EncoderProbe) -> float:
    (reading,) = probe.stop()
    return reading.value


def test_a_list_of_dicts_costs_a_call_for_each_key_and_value() -> None:
    probe = EncoderProbe()
    probe.start()
    # FastAPI's routes call it by a name of their own.
    assert routing.jsonable_encoder(ROWS) == ROWS
    assert calls(probe) == CALLS_OF_ROWS


def test_each_start_counts_from_zero() -> None:
    probe = EncoderProbe()
    for _ in range(2):
        probe.start()
        encoders.jsonable_encoder(ROWS)
        assert calls(probe) == CALLS_OF_ROWS
    probe.start()
    assert calls(probe) == 0


def test_two_probes_count_side_by_side_and_leave_the_function_as_it_was() -> None:
    original = encoders.jsonable_encoder
    first, second = EncoderProbe(), EncoderProbe()
    first.start()
    second.start()
    encoders.jsonable_encoder(ROWS)
    assert calls(second) == CALLS_OF_ROWS
    assert calls(first) == CALLS_OF_ROWS
    assert encoders.jsonable_encoder is original
    assert routing.jsonable_encoder is original
