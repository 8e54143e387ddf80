"""Scripted scenarios with their ground truth.

A script says what happens in a home, in seconds from its start; which alarm each trigger must open;
and which kinds may open beside it. Everything else raised in that home is false.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

from local.simulator import devices
from local.simulator.devices import BEDROOM, KITCHEN, LIVING
from local.simulator.neighbourhood import AREA_HOMES, area_of
from schemas.events import AlarmKind
from schemas.roster import PathCategory, silence_s

MIN_HOMES: Final = 3  # fewer are no incident


class Expect(NamedTuple):
    """An alarm that must open.

    Attributes:
        within_s: Physical time that the home may take from trigger to verdict (a CO dose, an entry
            delay), simulated seconds. Transport and cloud come on top.
        real: Those seconds are the machine's, whatever the speed.
    """

    kind: AlarmKind
    within_s: float = 0.0
    real: bool = False


class Signal(NamedTuple):
    """A device sends this JSON, as Zigbee2MQTT publishes it."""

    at_s: float
    sensor_id: str
    payload: dict[str, Any]
    expect: Expect | None = None


class Opens(NamedTuple):
    """A door or window opens at `at_s` and stays open for `seconds`."""

    at_s: float
    sensor_id: str
    seconds: float
    expect: Expect | None = None


class Jolt(NamedTuple):
    """A contact's accelerometer feels an incident of local.signals.accel."""

    at_s: float
    sensor_id: str
    what: Literal["knock", "forced", "wind"]


class Noise(NamedTuple):
    """A sound in a room (a name of life.SOUNDS), its loudest second `level_dba` at the microphone."""

    at_s: float
    room: str
    name: str
    level_dba: float


class Walks(NamedTuple):
    """A person who does not live here moves in a room."""

    at_s: float
    room: str
    seconds: float


class Burns(NamedTuple):
    """Something catches fire; the smoke alarm in the room answers to the smoke, not to the script."""

    at_s: float
    room: str
    expect: Expect | None = None


class Leaks(NamedTuple):
    """Carbon monoxide enters a room, litres a second."""

    at_s: float
    room: str
    co_lps: float
    expect: Expect | None = None


class Leaves(NamedTuple):
    """Everybody is out from `at_s` on, and nothing of the household's routine happens."""

    at_s: float


class GatewayStops(NamedTuple):
    """The gateway's reserve battery ends: its process stops.

    Attributes:
        expect: What its silence must open, if it is alone in it.
        area: Else the area whose homes must be one incident.
    """

    at_s: float
    expect: Expect | None = None
    area: str = ""


class LosesNetwork(NamedTuple):
    """The home's network fails at `at_s` for `seconds`; the homes of its area that it fails in are one
    incident, which ends when they are back."""

    at_s: float
    seconds: float
    area: str


Effect = Signal | Opens | Jolt | Noise | Walks | Burns | Leaks | Leaves | GatewayStops | LosesNetwork


class Script(NamedTuple):
    """One scenario in one home.

    Attributes:
        effects: In order of time.
        allowed: Kinds that may open beside the expected ones (a fire also makes CO).
        lasts_s: When the last effect is over.
    """

    name: str
    effects: tuple[Effect, ...]
    allowed: frozenset[AlarmKind] = frozenset()
    lasts_s: float = 60.0

    @property
    def expects(self) -> tuple[Expect, ...]:
        """Every alarm that must open, in order."""
        found = (getattr(effect, "expect", None) for effect in self.effects)
        return tuple(expect for expect in found if expect is not None)


def break_in(at_s: float, armed_after_s: float) -> Script:
    """The family arms and goes; then somebody levers the kitchen window, breaks it and walks in."""
    at_s = max(at_s, armed_after_s + 8)
    return Script(
        "break-in",
        (
            Leaves(0.0),
            Signal(1.0, devices.KEYPAD, {"action": "arm_away", "action_code": "1234"}),
            Opens(4.0, devices.FRONT_DOOR, 6.0),
            Jolt(at_s - 6, devices.KITCHEN_WINDOW, "forced"),
            Noise(at_s - 1, KITCHEN, "glass_break", 92.0),
            Opens(at_s, devices.KITCHEN_WINDOW, 3600.0, Expect(AlarmKind.BURGLARY)),
            Walks(at_s + 6, LIVING, 9.0),
            Walks(at_s + 17, devices.HALL, 4.0),
            Walks(at_s + 22, BEDROOM, 25.0),
            Walks(at_s + 50, LIVING, 30.0),
        ),
        lasts_s=at_s + 80,
    )


def kitchen_fire(at_s: float) -> Script:
    """A pan of oil: t² growth in the kitchen; smoke alarm, heat, and CO from the fire."""
    return Script(
        "kitchen-fire",
        (Burns(at_s, KITCHEN, Expect(AlarmKind.FIRE, within_s=20.0)),),
        allowed=frozenset({AlarmKind.CO}),
        lasts_s=at_s + 120,
    )


def co_leak(at_s: float) -> Script:
    """A petrol generator runs in the kitchen: 2.5 kg of CO an hour, thousands of ppm within minutes.

    Portable generators give off about 0.5 to 4 kg an hour. A bad flue is a hundred times slower; it
    would take the dose rule an hour and show a dispatcher nothing new.
    """
    return Script(
        "co-leak",
        (Leaks(at_s, KITCHEN, 0.6, Expect(AlarmKind.CO, within_s=90.0)),),
        lasts_s=at_s + 90,
    )


def panic(at_s: float) -> Script:
    """Somebody presses the button by the bed."""
    press = Signal(at_s, devices.PANIC_BUTTON, {"action": "panic"}, Expect(AlarmKind.PANIC))
    return Script("panic", (press,), lasts_s=at_s + 1)


def power_loss(at_s: float, silence: Expect | None = None) -> Script:
    """Mains fails; the reserve carries the gateway for another 90 s, then the home falls silent."""
    return Script(
        "power-loss",
        (
            Signal(at_s, devices.MAINS, {"mains": False}, Expect(AlarmKind.POWER)),
            GatewayStops(at_s + 90, silence),
        ),
        allowed=frozenset({AlarmKind.PATH, AlarmKind.BATTERY}),
        lasts_s=at_s + 90,
    )


def outage(at_s: float, area: str) -> Script:
    """Mains fails in a whole area; the reserve carries the gateways for another 30 s."""
    return Script(
        "outage",
        (
            Signal(at_s, devices.MAINS, {"mains": False}, Expect(AlarmKind.POWER)),
            GatewayStops(at_s + 30, area=area),
        ),
        # Who is told of alone for a moment, before the incident takes it over.
        allowed=frozenset({AlarmKind.PATH, AlarmKind.BATTERY}),
        lasts_s=at_s + 30,
    )


def offline(at_s: float, area: str) -> Script:
    """The network of a whole area fails for five minutes and comes back."""
    return Script(
        "offline",
        (LosesNetwork(at_s, OFFLINE_S, area),),
        allowed=frozenset({AlarmKind.PATH}),
        lasts_s=at_s + OFFLINE_S,
    )


# The silence of category SP4, the judging tick, the source's watermark, the wait for correlation, and in
# a fleet so small that nobody speaks meanwhile a minute.
MISSED_WITHIN_S: Final = silence_s(PathCategory.SP4) + 10 + 15 + 30 + 60.0
OFFLINE_S: Final = MISSED_WITHIN_S + 60.0
QUIET: Final = Script("quiet", (), lasts_s=120.0)

_SINGLE: Final[dict[str, Callable[[float], Script]]] = {
    "break-in": lambda armed_after_s: break_in(0.0, armed_after_s),
    "kitchen-fire": lambda _: kitchen_fire(15.0),
    "co-leak": lambda _: co_leak(15.0),
    "panic": lambda _: panic(15.0),
    "power-loss": lambda _: power_loss(15.0, Expect(AlarmKind.PATH, MISSED_WITHIN_S, real=True)),
}
_AREA: Final = {"outage": outage, "offline": offline}
SCENARIOS: Final = ("demo", "quiet", *_SINGLE, *_AREA)


def demo_scripts(armed_after_s: float) -> tuple[Script, ...]:
    """The scripted mix: one alarm after the other, the first at about 15 s, all within two minutes."""
    return (
        panic(15.0),
        kitchen_fire(14.0),
        co_leak(5.0),
        break_in(armed_after_s + 15, armed_after_s),
        power_loss(50.0),
    )


def assign(scenario: str, homes: int, armed_after_s: float) -> dict[int, Script]:
    """Scenario → script of each home by number, from 1; homes without one are quiet.

    >>> sorted(assign("demo", 20, 45.0))
    [3, 7, 11, 15, 19]

    Raises:
        ValueError: Unknown scenario, or too few homes for an area.
    """
    if scenario == "quiet":
        return {}
    if scenario == "demo":
        scripts = demo_scripts(armed_after_s)[:homes]
        step = homes / len(scripts)
        return {1 + int(step * (index + 0.5)): script for index, script in enumerate(scripts)}
    if scenario in _AREA:
        hit = (
            range(AREA_HOMES + 1, 2 * AREA_HOMES + 1) if homes >= 2 * AREA_HOMES else range(1, AREA_HOMES + 1)
        )
        members = [number for number in hit if number <= homes]
        if len(members) < MIN_HOMES:
            raise ValueError(f"homes is {homes}, scenario {scenario} wants at least {MIN_HOMES}")
        area = area_of(members[0])
        return {number: _AREA[scenario](15.0, area) for number in members}
    if scenario not in _SINGLE:
        raise ValueError(f"scenario is {scenario!r}, known scenarios: {', '.join(SCENARIOS)}")
    return {1: _SINGLE[scenario](armed_after_s)}
