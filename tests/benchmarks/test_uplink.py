"""The uplink's benchmark counts what crosses the wire and compares what was said."""

from __future__ import annotations

from benchmarks.uplink import compare, per_minute, wire_bytes
from transforms.elements import RawMessage, WindowScore


def window(end: int, kind: str, score: float) -> WindowScore:
    return WindowScore("h", "g", end, 0, "away", kind, score, 1, [], [], "r")


def test_attributes_count_as_bytes_on_the_wire() -> None:
    message = RawMessage(b"x" * 100, [], "1", 0, "minutes")
    assert wire_bytes(message, 7) == 100 + len("home_idhome-0007gateway_idgw-0007laneminutes")


def test_differences_are_counted_by_window_and_direction() -> None:
    full = {("h", 1): window(1, "fire", 0.9), ("h", 2): window(2, "", 0.1), ("h", 3): window(3, "", 0.0)}
    light = {("h", 1): window(1, "", 0.5), ("h", 2): window(2, "co", 0.8)}
    found = compare(full, light)
    assert (found["windows"], found["verdicts_that_differ"]) == (3, 2)
    assert (found["missed_by_adaptive"], found["only_in_adaptive"]) == (1, 1)
    assert found["largest_score_difference"] == 0.7


def test_ratio_takes_every_live_lane_and_total_the_objects_as_well() -> None:
    counted = {
        "minutes": 10,
        "full minutes": 1000,
        "full urgent": 100,
        "adaptive minutes": 10,
        "adaptive urgent": 5,
        "adaptive bulk": 5,
        "adaptive objects": 530,
    }
    found = per_minute(counted)
    assert (found["live full"], found["live adaptive"], found["ratio_live"]) == (110.0, 2.0, 55.0)
    assert found["total_adaptive_of_full"] == 0.5
