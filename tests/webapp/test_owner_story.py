"""What the owner's app says of a home: its sentences are pure functions (`story.js`), called in Node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

import webapp
from local import tools

OWNER: Final = Path(webapp.__file__).parent / "static" / "owner"
NOW: Final = 1_790_000_000_000_000
MINUTE: Final = 60_000_000


def headline(**changes: Any) -> dict[str, Any]:
    return story(
        "headline",
        {"home": home(), "told": [], "path": path(), "pathLimitUs": 150_000_000, "nowUs": NOW, **changes},
    )


def story(function: str, *arguments: Any) -> Any:
    """Run a function of story.js in Node."""
    script = (
        "const [url, name, given] = process.argv.slice(1); const m = await import(url);"
        "console.log(JSON.stringify(m[name](...JSON.parse(given))))"
    )
    command = [
        *tools.node(),
        "--input-type=module",
        "--eval",
        script,
        (OWNER / "story.js").as_uri(),
        function,
    ]
    done = subprocess.run([*command, json.dumps(arguments)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def home(**changes: Any) -> dict[str, Any]:
    sensors = {
        "contact-kitchen-window": {"kind": "contact", "room": "kitchen", "battery_percent": 80},
        "motion-hall": {"kind": "motion", "room": "hall", "battery_percent": None},
    }
    base = {"armed_mode": "away", "armed_phase": "set", "sensors": sensors, "last_seen_us": NOW - MINUTE}
    return {**base, "path_state": "PATH_OK", "path_since_us": 0, **changes}


def path(ago_us: int = 40_000_000) -> dict[str, Any]:
    return {"urgent": {"proven_us": NOW - ago_us, "sent_us": NOW - ago_us}}


def told(**changes: Any) -> dict[str, Any]:
    base = {
        **{"alarm_id": "fire-1", "kind": "fire", "category": "life", "code": 111, "room": "kitchen"},
        **{"state": "new", "occurred_us": NOW - MINUTE, "opened_us": NOW - MINUTE, "services": []},
        **dict.fromkeys(("restored_us", "cancelled_us", "seen_us", "dispatched_us", "on_scene_us")),
        **dict.fromkeys(("closed_us", "close_out")),
    }
    return {**base, **changes}


def test_rooms_and_their_sensors_stand_in_one_order_whatever_the_database_gives() -> None:
    sensors = home()["sensors"]
    known = [(room, [one["id"] for one in found]) for room, found in story("rooms", home())]
    assert known == [("hall", ["motion-hall"]), ("kitchen", ["contact-kitchen-window"])]
    turned = home(sensors=dict(reversed(sensors.items())))
    assert story("rooms", turned) == story("rooms", home())


def test_all_is_well_says_how_it_is_armed_and_counts_the_sensors() -> None:
    said = headline()
    assert (said["tone"], said["head"], said["sub"]) == (
        "calm",
        ["head.away"],
        ["sub.fine.away", {"count": 2}],
    )
    assert headline(home=home(armed_mode="stay"))["head"] == ["head.stay"]
    assert headline(home=home(armed_phase="exit_delay"))["head"] == ["head.exit"]


def test_we_are_on_it_is_said_only_when_somebody_is() -> None:
    waiting = headline(told=[told()])
    assert (waiting["head"][0], waiting["sub"]) == ("head.alarm", ["stage.new"])
    taken = headline(told=[told(state="claimed")])
    assert (taken["head"][0], taken["sub"]) == ("head.handled", ["stage.claimed"])
    sent = headline(told=[told(state="dispatched", services=["fire_brigade"])])
    assert sent["sub"] == ["stage.dispatched", {"service": "fire_brigade"}]


def test_life_comes_before_everything_else_and_the_rest_is_counted() -> None:
    newer = told(alarm_id="b", kind="burglary", category="intrusion", code=131, opened_us=NOW)
    said = headline(told=[newer, told()], home=home(path_state="PATH_FAIL"))
    assert said["head"][1]["alarm"]["kind"] == "fire"
    assert said["more"] == 1


def test_a_silent_home_is_never_well() -> None:
    since = NOW - 20 * MINUTE
    known = headline(home=home(path_state="PATH_FAIL", path_since_us=since))
    assert known["head"] == ["head.unheard", {"at": since}]
    unknown = headline(home=home(last_seen_us=since))
    assert (unknown["head"], unknown["sub"]) == (["head.silent", {"at": since}], ["sub.silent"])
    assert headline(home=home(last_seen_us=0))["head"] == ["head.never"]
    assert headline(home=None)["head"] == ["head.never"]


def test_a_disturbed_line_of_our_own_is_admitted() -> None:
    assert headline(path=path(400_000_000))["head"][0] == "head.line"
    assert headline(path=path(140_000_000))["tone"] == "calm"


def test_a_trouble_and_a_low_battery_are_named() -> None:
    power = told(kind="power", category="trouble", code=301, room="")
    assert headline(told=[power])["sub"] == ["next.power"]
    low = home()
    low["sensors"]["motion-hall"]["battery_percent"] = 12
    assert headline(home=low)["head"] == ["head.trouble", {"code": 384, "room": "hall"}]


def test_an_owner_can_ask_for_help_and_say_it_was_me_until_it_is_over() -> None:
    assert story("sayable", told()) == ["help", "it_was_me"]
    assert story("sayable", told(closed_us=5)) == []
    assert story("sayable", told(owner_words=[{"kind": "help", "at_us": 1}])) == ["it_was_me"]
    assert story("sayable", told(owner_words=[{"kind": "it_was_me", "at_us": 1}])) == ["help"]
    assert story("sayable", told(kind="path", category="trouble")) == []


def test_steps_are_in_order_and_end_with_the_wait_for_a_dispatcher() -> None:
    waiting = story("steps", told())
    assert [sentence[0] for _, sentence in waiting] == ["step.noticed", "step.waiting"]
    done = story(
        "steps",
        told(seen_us=NOW, dispatched_us=NOW + 2, services=["police"], closed_us=NOW + 9, close_out="real"),
    )
    both = [{"kind": "help", "at_us": NOW}, {"kind": "it_was_me", "at_us": NOW + 1}]
    said = story("steps", told(seen_us=NOW - 1, owner_words=both))
    assert [sentence[0] for _, sentence in said][2:] == ["step.help", "step.it_was_me"]
    assert [sentence[0] for _, sentence in done] == ["step.noticed", "step.taken", "step.sent", "step.closed"]


WARM: Final = {"temperature_c": 21.4}


@pytest.mark.parametrize(
    ("sensor", "label", "quantities", "words"),
    [
        ("contact", "rest", {"open": 1}, ["state.open"]),
        ("contact", "rest", {"open": 0}, ["state.closed"]),
        ("motion", "person", {}, ["state.moving"]),
        ("motion", "nobody", {}, ["state.still"]),
        ("sound", "", {"max_dba": 41}, ["state.quiet"]),
        ("sound", "", {"max_dba": 80}, ["state.loud"]),
        ("air", "", {**WARM, "co2_ppm": 640}, ["state.air.good", {"temperature": 21.4}]),
        ("air", "", {**WARM, "co2_ppm": 1600}, ["state.air.stuffy", {"temperature": 21.4}]),
        ("air", "", {**WARM, "co_ppm": 40}, ["state.air.co", {"temperature": 21.4, "co": 40}]),
        ("air", "", {}, ["state.unknown"]),
    ],
)
def test_a_sensor_says_what_it_means(
    sensor: str, label: str, quantities: dict[str, float], words: list[Any]
) -> None:
    of = {"id": "s", "kind": sensor, "room": "kitchen"}
    live = {"label": label, "quantities": quantities, "heard_us": NOW}
    state = story("sensorState", of, {"sensors": {"s": live}}, [])
    assert state["words"] == words
    assert story("sensorState", of, None, [])["words"] == ["state.unknown"]


def test_whether_it_works_is_told_row_by_row() -> None:
    given = {
        "home": home(),
        "path": path(),
        "pathLimitUs": 150_000_000,
        "connected": False,
        "asOfUs": NOW,
        "push": True,
        "nowUs": NOW,
    }
    rows = {subject: fine for subject, _, fine in story("works", given)}
    assert rows == {"works.home": True, "works.line": True, "works.phone": False, "works.push": True}
    silent = {**given, "home": home(path_state="PATH_FAIL"), "path": None}
    rows = {subject: fine for subject, _, fine in story("works", silent)}
    assert (rows["works.home"], rows["works.line"]) == (False, False)
