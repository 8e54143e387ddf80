"""A home behind the product's own rules: what opens, what does not, and at which level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.detection import home, recorded_home
from benchmarks.detection.played import Played
from benchmarks.detection.recorded_home import Said, Span, watch
from benchmarks.detection.watched_home import WatchedHome
from local.simulator.enrol import gateway_sensors
from local.simulator.entries import ENTRIES, HAZARDS, Entry
from local.simulator.scenarios import Leaves
from schemas.events import AlarmKind

MINUTE = 60_000_000
START = 1_763_985_600_000_000
SECOND = 1_000_000
AWAY = Span("away", START + 6 * MINUTE, START + 40 * MINUTE)
DOOR, BASIN = "contact-front-door", "motion-basin"


def _out_and_home(back_us: int) -> list[Said]:
    """The resident leaves by the door after arming, and comes back."""
    return [
        Said(AWAY.from_us + 20 * SECOND, DOOR, {"contact": False}),
        Said(AWAY.from_us + 25 * SECOND, DOOR, {"contact": True}),
        Said(back_us, DOOR, {"contact": False}),
        Said(back_us + 3 * SECOND, BASIN, {"occupancy": True}),
    ]


def _burglaries(watched: WatchedHome) -> list[int]:
    return [alarm.avs_level for alarm in watched.alarms if alarm.kind is AlarmKind.BURGLARY]


def test_a_resident_who_disarms_in_time_raises_nothing() -> None:
    assert _burglaries(watch(_out_and_home(AWAY.to_us - 12 * SECOND), AWAY)) == []


def test_a_resident_who_is_slow_raises_what_the_code_cancels() -> None:
    assert _burglaries(watch(_out_and_home(AWAY.to_us - 45 * SECOND), AWAY)) == [0]


def test_a_burst_by_the_door_alarms_when_the_entry_delay_is_over() -> None:
    at_us = START + 20 * MINUTE
    burst = [Said(at_us, DOOR, {"contact": False}), Said(at_us + 9 * SECOND, BASIN, {"occupancy": True})]
    said = _out_and_home(AWAY.to_us)
    watched = watch(said, AWAY, burst, until_us=at_us + 2 * MINUTE)
    (alarm,) = (a for a in watched.alarms if a.kind is AlarmKind.BURGLARY)
    assert (alarm.opened_us - at_us) / SECOND == pytest.approx(30, abs=1)


def test_movement_while_nobody_is_in_alarms_at_once() -> None:
    at_us = START + 20 * MINUTE
    burst = [Said(at_us, BASIN, {"occupancy": True})]
    watched = watch(_out_and_home(AWAY.to_us), AWAY, burst, until_us=at_us + MINUTE)
    assert [a.opened_us - at_us for a in watched.alarms] == [0]


def test_the_log_is_read_as_armed_times_and_what_door_and_pirs_said(tmp_path) -> None:  # type: ignore[no-untyped-def]
    head = "Start time\tEnd time\tWhat\n----\t----\t----\n"
    day = "2011-11-28 "
    (tmp_path / "OrdonezA_Sensors.txt").write_text(
        head
        + f"{day}13:09:31\t\t{day}13:09:35\t\tMaindoor\tMagnetic\tEntrance\n"
        + f"{day}13:20:00\t\t{day}13:20:10\t\tFridge\tMagnetic\tKitchen\n"
        + f"{day}13:28:59\t\t{day}13:29:09\t\tMaindoor\tMagnetic\tEntrance\n"
    )
    (tmp_path / "OrdonezA_ADLs.txt").write_text(
        head
        + f"{day}02:27:59\t\t{day}10:18:11\t\tSleeping\t\n"
        + f"{day}13:09:31\t\t{day}13:29:09\t\tLeaving\t\n"
    )
    said, (night, absence) = recorded_home.read(tmp_path)
    assert [s.payload for s in said] == [{"contact": c} for c in (False, True, False, True)]
    assert (night.mode, absence.mode) == ("stay", "away")
    assert (absence.to_us - absence.from_us) / SECOND == 20 + (28 * 60 + 59 - 9 * 60 - 31) + 12
    result = recorded_home.measure(tmp_path)
    by_name = {f["name"]: f["events"] for f in result["figures"] if f["kind"] == "rate"}
    assert by_name["armed away: the product"] == 0
    assert by_name["armed away: every opening and movement"] == 2


@pytest.mark.parametrize("entry", [*ENTRIES, *HAZARDS], ids=lambda e: e.name)
def test_scripts_differ_by_draw_and_begin_when_they_are_told_to(entry: Entry) -> None:
    scripts = [entry.makes(np.random.default_rng(seed), 100.0) for seed in (1, 2)]
    assert scripts[0] == entry.makes(np.random.default_rng(1), 100.0)
    acts = [e.at_s for e in scripts[0].effects if not isinstance(e, Leaves) and e.at_s > 10]
    assert not acts or min(acts) == 100.0
    assert all(e.at_s < scripts[0].lasts_s for e in scripts[0].effects)
    assert entry.level in (0, 1, 2, 4)


def _played(seconds: float | None, level: int | None, by_rules: int | None) -> Played:
    return Played(dict.fromkeys(home.SENSES, seconds), level, by_rules)


def test_levels_are_counted_with_and_without_fusion() -> None:
    played: dict[str, Sequence[Played]] = {e.name: [_played(3.0, e.level or None, 1)] for e in ENTRIES}
    played |= {e.name: [_played(3.0, 4, 4)] for e in HAZARDS}
    rows = {row["name"]: row for row in home._levels(dict(played))}
    first = ENTRIES[0]
    assert rows[first.name] == {"name": first.name, "truth": 2, "said": {"2": 1}, "by_rules": {"1": 1}}
    assert home._said(rows[first.name], "2") == "1 (0)"
    assert home._said(rows[HAZARDS[0].name], "4") == "1"
    assert home._right_level(dict(played))["value"] == 1.0


def test_a_home_follows_its_keypad_and_its_alarms_carry_the_mode() -> None:
    watched = WatchedHome(gateway_sensors(), START, {})
    watched.zigbee("keypad-hall", {"action": "arm_stay", "action_code": "of the home"}, START + 2 * MINUTE)
    assert watched.mode == "stay"
    watched.zigbee("contact-kitchen-window", {"contact": True}, START + 3 * MINUTE)
    watched.zigbee("contact-kitchen-window", {"contact": False}, START + 4 * MINUTE)
    (alarm,) = watched.alarms
    assert (alarm.kind, alarm.armed_mode) == (AlarmKind.BURGLARY, "stay")
