"""Smoke, heat and carbon monoxide at 1 Hz, by the gateway itself: no model, no cloud, no waiting.

One `AirHazards` watches one air sensor. Thresholds say where they come from; docs/detection.md says how
they did on real fires. "Ours" are chosen by hand: SMOKE_CO_ALONE_PPM after looking at all of the NIST fires,
EXCESS_* on four of them (decision 030). A smoke alarm that sees particles answers a fire that smoulders
earlier than any of these.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from edge_client.clock import SECOND_US
from edge_client.signals import Measure
from schemas.events import Code

RULE_VERSION: Final = "hazards-2"

# Heat: UL 539 / NFPA 72 rate-of-rise 15 °F/min and fixed 135 °F, in °C.
RISE_C: Final = 8.3
RISE_WINDOW_S: Final = 60
RISE_FLOOR_C: Final = 30.0  # ours: a cold room that warms up after airing is no fire
RISE_FLOOR_COOKING_C: Final = 40.0  # ours: nor is an opened oven, where people cook
FIXED_C: Final = 57.0
HEAT_CLEAR_C: Final = 45.0
# What a room warms up beyond the fastest that heating does, summed (a CUSUM): a flaming fire's plume at the
# ceiling makes it within seconds, long before the room is hot (ours). Where people cook an opened oven makes
# it too: there only the rules above count.
EXCESS_C: Final = 6.0
EXCESS_FREE_C_PER_S: Final = 3.0 / 60
EXCESS_FLOOR_C: Final = 25.0  # a room that is warm again after airing is no fire
# Smoke in an air sensor (ours): CO, organics and temperature rise together within two minutes. So
# much CO that no hob makes it needs no organics (a sensor that measures none still sees a fire).
SMOKE_WINDOW_S: Final = 120
SMOKE_CO_PPM: Final = 12.0
SMOKE_CO_ALONE_PPM: Final = 25.0
SMOKE_VOC: Final = 60.0
SMOKE_RISE_C: Final = 2.0
# Carbon monoxide: UL 2034 wants an alarm in 60-240 min at 70 ppm, 10-50 at 150, 4-15 at 400 and none
# at 30 ppm. Its dose is COHb by Peterson and Stewart's fit of the Coburn-Forster-Kane equation:
# COHb(t) = COHb(0) e^(-t/2398B) + 218 (1 - e^(-t/2398B)) (0.0003 + ppm/1316), t in minutes, B = 0.0404
# (heavy work). At 6 % the alarm comes after 70, 27 and 9 minutes; 30 ppm settles at 5.0 %.
COHB_MINUTES: Final = 2398 * 0.0404
COHB_ALARM_PCT: Final = 6.0
CO_PRESENT_PPM: Final = 40.0  # a dose from before alarms only while there is gas
CO_AT_ONCE_PPM: Final = 1_000.0  # ours: far above UL's 400 ppm; IDLH is 1,200 ppm (NIOSH)
CO_AT_ONCE_S: Final = 10
CO_CLEAR_PPM: Final = 25.0

CLEAR_S: Final = 60  # a hazard ends when its signs were gone this long
HOLD_S: Final = 3  # and begins when they were there this long: one bad sample is none
_GAP_S: Final = 30  # after a longer silence the short history means nothing


class AirSample(NamedTuple):
    """One second of one air sensor: the channels that hazards need."""

    co_ppm: float
    voc_index: float
    temperature_c: float


class HazardChange(NamedTuple):
    """A hazard began or ended at a sensor, and what showed it."""

    code: Code
    active: bool
    measures: tuple[Measure, ...]


def cohb_after(cohb_pct: float, co_ppm: float, seconds: float) -> float:
    """Carboxyhaemoglobin in % after `seconds` at `co_ppm`, from `cohb_pct` before.

    >>> round(cohb_after(0.0, 400, 15 * 60), 1)
    9.5
    """
    kept = math.exp(-seconds / 60 / COHB_MINUTES)
    return cohb_pct * kept + 218 * (1 - kept) * (0.0003 + co_ppm / 1316)


class _Lowest:
    """The lowest of the last `seconds` values."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._rising: deque[tuple[int, float]] = deque()  # each lower than all that came after it
        self._count = 0

    def after(self, value: float) -> float:
        """One more value → the lowest, with it."""
        while self._rising and self._rising[-1][1] >= value:
            self._rising.pop()
        self._rising.append((self._count, value))
        if self._rising[0][0] <= self._count - self._seconds:
            self._rising.popleft()
        self._count += 1
        return self._rising[0][1]

    def clear(self) -> None:
        """Forget all of them."""
        self._rising.clear()


class _Excess:
    """How far a temperature rose beyond what `EXCESS_FREE_C_PER_S` explains."""

    def __init__(self) -> None:
        self._celsius = 0.0
        self._before: float | None = None

    def after(self, temperature_c: float, seconds: float) -> float:
        """A temperature, `seconds` after the last → the excess in °C, never below 0."""
        if self._before is not None:
            rise = temperature_c - self._before - EXCESS_FREE_C_PER_S * seconds
            self._celsius = max(0.0, self._celsius + rise)
        self._before = temperature_c
        return self._celsius

    def clear(self) -> None:
        """Begin anew."""
        self._celsius, self._before = 0.0, None


class _Latch:
    """On after `hold_s` seconds of signs in a row, off after `CLEAR_S` seconds without."""

    def __init__(self, active: bool, hold_s: int) -> None:
        self.active = active
        self._hold_s = hold_s
        self._since = 0

    def second(self, sign: bool, clear: bool) -> bool:
        """One more second; True if the latch changed."""
        towards_change = clear if self.active else sign
        self._since = self._since + 1 if towards_change else 0
        if self._since < (CLEAR_S if self.active else self._hold_s):
            return False
        self.active, self._since = not self.active, 0
        return True


class AirHazards:
    """The 1 Hz rules of one air sensor. Feed seconds in order; a repeated second is ignored."""

    def __init__(
        self, active: Sequence[int] = (), cohb_pct: float = 0.0, *, near_cooking: bool = False
    ) -> None:
        """
        Args:
            active: Codes that were open here before a restart.
            cohb_pct: Dose before a restart, in %.
            near_cooking: The sensor hangs where people cook.
        """
        self.cohb_pct = cohb_pct
        self._near_cooking = near_cooking
        self._rise_floor_c = RISE_FLOOR_COOKING_C if near_cooking else RISE_FLOOR_C
        self._heat = _Latch(Code.HEAT in active, HOLD_S)
        self._smoke = _Latch(Code.SMOKE in active, HOLD_S)
        self._dose = _Latch(Code.CARBON_MONOXIDE in active, HOLD_S)
        self._lowest_c = _Lowest(RISE_WINDOW_S)
        self._lowest = AirSample(0.0, 0.0, 0.0)  # of the last two minutes
        self._windows = tuple(_Lowest(SMOKE_WINDOW_S) for _ in AirSample._fields)
        self._excess = _Excess()
        self._raw: deque[AirSample] = deque(maxlen=HOLD_S)
        self._very_high_s = 0
        self._last_us: int | None = None
        self._calm = AirSample(math.inf, 0.0, math.inf)  # how it was before the smoke

    def second(self, at_us: int, sample: AirSample) -> list[HazardChange]:
        """One second of air → hazards that began or ended with it.

        Args:
            at_us: Start of the second, µs since 1970 UTC, by the sensor's clock. A step of that
                clock costs the short history, never the dose.
        """
        seconds = 1.0 if self._last_us is None else (at_us - self._last_us) / SECOND_US
        if -_GAP_S < seconds < 0.5:
            return []
        self._last_us = at_us
        if not 0 < seconds <= _GAP_S:
            self._raw.clear()
            self._excess.clear()
            for window in (self._lowest_c, *self._windows):
                window.clear()
            seconds = 1.0
        self._raw.append(sample)
        middle = (len(self._raw) - 1) // 2
        smooth = AirSample(*(sorted(values)[middle] for values in zip(*self._raw, strict=True)))
        self._lowest = AirSample(
            *(window.after(value) for window, value in zip(self._windows, smooth, strict=True))
        )
        return [
            *self._second_of_heat(smooth, seconds),
            *self._second_of_smoke(smooth),
            *self._second_of_co(smooth, seconds),
        ]

    def _second_of_heat(self, now: AirSample, seconds: float) -> list[HazardChange]:
        rise = now.temperature_c - self._lowest_c.after(now.temperature_c)
        excess = 0.0 if self._near_cooking else self._excess.after(now.temperature_c, seconds)
        sign = (
            now.temperature_c >= FIXED_C
            or (rise >= RISE_C and now.temperature_c >= self._rise_floor_c)
            or (excess >= EXCESS_C and now.temperature_c >= EXCESS_FLOOR_C)
        )
        clear = now.temperature_c < HEAT_CLEAR_C and rise < RISE_C / 2 and excess < EXCESS_C / 2
        if not self._heat.second(sign, clear):
            return []
        measures = (
            Measure("temperature_c", now.temperature_c, "°C", FIXED_C),
            Measure("temperature_rise_c", rise, "°C in 1 min", RISE_C),
            Measure("temperature_excess_c", excess, "°C beyond heating", EXCESS_C),
        )
        return [HazardChange(Code.HEAT, self._heat.active, measures)]

    def _second_of_smoke(self, now: AirSample) -> list[HazardChange]:
        co, voc, rise = (value - low for value, low in zip(now, self._lowest, strict=True))
        much = co >= SMOKE_CO_ALONE_PPM or (co >= SMOKE_CO_PPM and voc >= SMOKE_VOC)
        sign = much and rise >= SMOKE_RISE_C
        clear = (
            now.co_ppm < self._calm.co_ppm + SMOKE_CO_PPM / 2
            and now.temperature_c < self._calm.temperature_c + 2 * SMOKE_RISE_C
        )
        if not self._smoke.second(sign, clear):
            return []
        if self._smoke.active:
            self._calm = self._lowest
        measures = (
            Measure("co_rise_ppm", co, "ppm in 2 min", SMOKE_CO_PPM),
            Measure("voc_rise", voc, "index in 2 min", SMOKE_VOC),
            Measure("temperature_rise_c", rise, "°C in 2 min", SMOKE_RISE_C),
        )
        return [HazardChange(Code.SMOKE, self._smoke.active, measures)]

    def _second_of_co(self, now: AirSample, seconds: float) -> list[HazardChange]:
        self.cohb_pct = cohb_after(self.cohb_pct, now.co_ppm, seconds)
        self._very_high_s = self._very_high_s + 1 if now.co_ppm >= CO_AT_ONCE_PPM else 0
        dosed = self.cohb_pct >= COHB_ALARM_PCT and now.co_ppm >= CO_PRESENT_PPM
        at_once = self._very_high_s >= CO_AT_ONCE_S
        if not self._dose.second(dosed or at_once, now.co_ppm < CO_CLEAR_PPM):
            return []
        measures = (
            Measure("co_ppm", now.co_ppm, "ppm", CO_AT_ONCE_PPM if at_once else 0.0),
            Measure("cohb_pct", self.cohb_pct, "% COHb", COHB_ALARM_PCT),
        )
        return [HazardChange(Code.CARBON_MONOXIDE, self._dose.active, measures)]
