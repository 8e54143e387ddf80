"""Smoke, heat and carbon monoxide at 1 Hz, by the gateway itself: no model, no cloud, no waiting.

One `AirHazards` watches one air sensor. Thresholds say where they come from. "Ours" are chosen by
hand: tests/edge_client holds them against synthetic fires and cooking only. SMOKE_CO_ALONE_PPM was
added after looking at the NIST fires, so those are no unseen test of it; a smoke alarm that sees
particles answers earlier than any of these.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

from edge_client.clock import SECOND_US
from edge_client.signals import Measure
from schemas.events import Code

RULE_VERSION: Final = "hazards-1"

# Heat: UL 539 / NFPA 72 rate-of-rise 15 °F/min and fixed 135 °F, in °C.
RISE_C: Final = 8.3
RISE_WINDOW_S: Final = 60
RISE_FLOOR_C: Final = 30.0  # ours: a cold room that warms up after airing is no fire
FIXED_C: Final = 57.0
HEAT_CLEAR_C: Final = 45.0
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

    def __init__(self, active: Sequence[int] = (), cohb_pct: float = 0.0) -> None:
        """
        Args:
            active: Codes that were open here before a restart.
            cohb_pct: Dose before a restart, in %.
        """
        self.cohb_pct = cohb_pct
        self._heat = _Latch(Code.HEAT in active, HOLD_S)
        self._smoke = _Latch(Code.SMOKE in active, HOLD_S)
        self._dose = _Latch(Code.CARBON_MONOXIDE in active, HOLD_S)
        self._recent: deque[AirSample] = deque(maxlen=SMOKE_WINDOW_S)
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
            self._recent.clear()
            self._raw.clear()
            seconds = 1.0
        self._raw.append(sample)
        smooth = AirSample(*(median(values) for values in zip(*self._raw, strict=True)))
        self._recent.append(smooth)
        return [
            *self._second_of_heat(smooth),
            *self._second_of_smoke(smooth),
            *self._second_of_co(smooth, seconds),
        ]

    def _second_of_heat(self, now: AirSample) -> list[HazardChange]:
        recent = list(self._recent)[-RISE_WINDOW_S:]
        rise = now.temperature_c - min(s.temperature_c for s in recent)
        rising = rise >= RISE_C and now.temperature_c >= RISE_FLOOR_C
        clear = now.temperature_c < HEAT_CLEAR_C and rise < RISE_C / 2
        if not self._heat.second(rising or now.temperature_c >= FIXED_C, clear):
            return []
        measures = (
            Measure("temperature_c", now.temperature_c, "°C", FIXED_C),
            Measure("temperature_rise_c", rise, "°C in 1 min", RISE_C),
        )
        return [HazardChange(Code.HEAT, self._heat.active, measures)]

    def _second_of_smoke(self, now: AirSample) -> list[HazardChange]:
        co = now.co_ppm - min(s.co_ppm for s in self._recent)
        voc = now.voc_index - min(s.voc_index for s in self._recent)
        rise = now.temperature_c - min(s.temperature_c for s in self._recent)
        much = co >= SMOKE_CO_ALONE_PPM or (co >= SMOKE_CO_PPM and voc >= SMOKE_VOC)
        sign = much and rise >= SMOKE_RISE_C
        clear = (
            now.co_ppm < self._calm.co_ppm + SMOKE_CO_PPM / 2
            and now.temperature_c < self._calm.temperature_c + 2 * SMOKE_RISE_C
        )
        if not self._smoke.second(sign, clear):
            return []
        if self._smoke.active:
            self._calm = AirSample(
                min(s.co_ppm for s in self._recent),
                min(s.voc_index for s in self._recent),
                min(s.temperature_c for s in self._recent),
            )
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
