"""A room's air, second by second: mass and heat balance of one well-mixed zone and its sensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.readings import AIR_CHANNELS

CO2_PER_PERSON_LPS: Final = 0.0052  # ASTM D6245, an adult at 1.2 met
MOISTURE_PER_PERSON_GPS: Final = 50 / 3600
OUTDOOR_CO2_PPM: Final = 420.0
AIRING_PER_H: Final = 8.0  # a window wide open
# t² fires, kW/s² (NFPA 72 annex B): Q = alpha · t².
T_SQUARED: Final = {"slow": 0.00293, "medium": 0.01172, "fast": 0.0469, "ultra_fast": 0.1876}
HEAT_OF_COMBUSTION_KJ_G: Final = 20.0  # mixed furnishings (SFPE handbook: 15–25)
CO2_YIELD_G_G: Final = 1.5
CO_YIELD_FLAMING_G_G: Final = 0.04
CO_YIELD_SMOULDERING_G_G: Final = 0.15
CO2_G_L, CO_G_L = 1.84, 1.17  # at 20 °C
CONVECTED: Final = 0.65  # of the heat released
# Response of the sensors to a step, s: NDIR cell, electrochemical cell, MOX, thermistor, capacitive.
LAG_S: Final = np.array([15.0, 12.0, 4.0, 8.0, 8.0, 1.0])
NOISE: Final = np.array([4.0, 0.3, 1.5, 0.03, 0.15, 0.03])
_TEMPERATURE: Final = 3  # in AIR_CHANNELS
_LOW: Final = np.array([channel.low for channel in AIR_CHANNELS])
_HIGH: Final = np.array([channel.high for channel in AIR_CHANNELS])


class AirSample(NamedTuple):
    """One second at the sensor, in the order and units of schemas.readings.AIR_CHANNELS."""

    co2_ppm: float
    co_ppm: float
    voc_index: float
    temperature_c: float
    humidity_pct: float
    pressure_hpa: float


@dataclass(frozen=True)
class Activity:
    """What happens in the room during a second.

    Attributes:
        people: Heads in the room.
        cooking: The hob is on (gas or electric is a property of the room).
        airing: A window is open.
        co_leak_lps: Carbon monoxide let into the room, litres a second (a bad flue: 0.002–0.02).
        heater_kw: A fan heater, into the air.
        plume_c: How much warmer than the room the air is that passes the sensor (an oven opened, a hair
            dryer, sun on its case).
    """

    people: int = 0
    cooking: bool = False
    airing: bool = False
    co_leak_lps: float = 0.0
    heater_kw: float = 0.0
    plume_c: float = 0.0


class RoomAir:
    """The state of one room.

    Args:
        rng: Source of this room's properties and noise.
        volume_m3: 12–80 for rooms of a home.
        gas_hob: Whether cooking burns gas; None draws.
    """

    def __init__(
        self, rng: np.random.Generator, volume_m3: float = 35.0, gas_hob: bool | None = None
    ) -> None:
        self._rng = rng
        self._litres = volume_m3 * 1000.0
        self._changes_per_h = rng.uniform(0.3, 0.9)
        self._gas_hob = bool(rng.random() < 0.4) if gas_hob is None else gas_hob
        self._outdoor_c = rng.uniform(-2.0, 22.0)
        self._rest_c = rng.uniform(16.0, 27.0)
        self._outdoor_gm3 = 0.6 * _saturation_gm3(self._outdoor_c)
        self._co2 = OUTDOOR_CO2_PPM + rng.uniform(20, 250)
        self._co, self._voc = rng.uniform(0.0, 1.0), rng.uniform(60, 120)
        self._celsius = self._rest_c
        # Heated winter rooms fall to 20 %: a model that met no dry room took dryness for fire.
        self._gm3 = rng.uniform(0.18, 0.70) * _saturation_gm3(self._rest_c)
        self._hpa = rng.uniform(995.0, 1028.0)
        self._fire_s: float | None = None
        self._fire_alpha, self._smoulder_s, self._fire_peak_kw, self._heat_share = 0.0, 0.0, 0.0, 1.0
        self._noise = NOISE * rng.uniform(0.0, 1.5, NOISE.size)  # from smoothing devices to poor ones
        self._curve: NDArray[np.float32] | None = None
        self._curve_at = 0
        self._sensed = self._truth()

    def ignite(
        self,
        growth: str = "medium",
        smoulder_s: float = 0.0,
        peak_kw: float = 500.0,
        heat_share: float = 1.0,
    ) -> None:
        """Start a t² fire, after a smouldering phase that gives off CO and little heat.

        `heat_share` below 1: it burns elsewhere, and the smoke has cooled on its way into this room.
        """
        self._fire_s, self._fire_alpha, self._heat_share = 0.0, T_SQUARED[growth], heat_share
        self._smoulder_s, self._fire_peak_kw = smoulder_s, peak_kw

    def extinguish(self) -> None:
        """End a fire or a playback; what it left airs out."""
        self._fire_s, self._curve = None, None

    def play(self, curve: NDArray[np.float32]) -> None:
        """Add a recorded fire's rise above its first second, float32[n, 6]; NaN: not measured.

        After its last second the curve's last values stay.
        """
        self._curve, self._curve_at = curve, 0

    def settle(self, activity: Activity, seconds: int) -> None:
        """Let time pass without readings, in steps of ten seconds."""
        for _ in range(seconds // 10):
            self._advance(activity, 10.0)
        self._sensed = self._truth()

    def step(self, activity: Activity) -> AirSample:
        """One second → what the sensor reads."""
        self._advance(activity, 1.0)
        truth = self._truth()
        truth[_TEMPERATURE] += activity.plume_c
        if self._curve is not None:
            rise = self._curve[min(self._curve_at, len(self._curve) - 1)] - self._curve[0]
            truth = truth + np.nan_to_num(rise, nan=0.0)
            self._curve_at += 1
        self._sensed += (truth - self._sensed) / np.maximum(LAG_S, 1.0)
        reading = np.clip(self._sensed + self._rng.normal(0.0, self._noise), _LOW, _HIGH)
        return AirSample(*reading.tolist())

    def minute(self, activity: Activity) -> NDArray[np.float32]:
        """Sixty steps → float32[60, 6]."""
        return np.array([self.step(activity) for _ in range(60)], np.float32)

    def _advance(self, activity: Activity, dt: float) -> None:
        rng, litres = self._rng, self._litres
        exchange = (AIRING_PER_H if activity.airing else self._changes_per_h) / 3600.0 * dt
        burns_gas = activity.cooking and self._gas_hob
        co2_l = activity.people * CO2_PER_PERSON_LPS + 0.06 * burns_gas
        co_l = activity.co_leak_lps + 2e-4 * burns_gas
        voc = 1.5 * activity.people / 60.0 + (0.6 if activity.cooking else 0.0) * rng.uniform(0.2, 1.8)
        moisture_g = activity.people * MOISTURE_PER_PERSON_GPS + 0.25 * activity.cooking
        heat_kw = 0.08 * activity.people + (0.5 if activity.cooking else 0.0)
        fire_kw, fire_co2_l, fire_co_l = self._fire(dt)
        air_kw = CONVECTED * self._heat_share * fire_kw + activity.heater_kw  # faster than furniture warms
        self._co2 += 1e6 * (co2_l + fire_co2_l) * dt / litres + exchange * (OUTDOOR_CO2_PPM - self._co2)
        self._co += 1e6 * (co_l + fire_co_l) * dt / litres + exchange * (0.2 - self._co)
        smoke = 200.0 * (fire_co_l > 0) * min(fire_co_l * 2e4 / litres * 1e2, 1.0)
        self._voc += voc * 35_000 / litres * dt + smoke * dt / 10 + (exchange + dt / 1800) * (90 - self._voc)
        self._voc = min(self._voc, 500.0)
        self._gm3 += 1e3 * moisture_g * dt / litres + exchange * (self._outdoor_gm3 - self._gm3)
        air_kj_k = litres / 1000 * 1.2
        heating = air_kj_k * 6 * (self._rest_c - self._celsius) / 900.0  # heating, furniture: 15 min
        loss = 0.4 * (self._celsius - self._rest_c) * (air_kw > 0)  # kW into walls and vents
        gained = (air_kw - loss) / air_kj_k + (heat_kw + heating) / (6 * air_kj_k)
        self._celsius += gained * dt + exchange / 6 * (self._outdoor_c - self._celsius)
        self._celsius = min(self._celsius, 800.0)
        self._hpa += rng.normal(0, 0.002) * dt

    def _fire(self, dt: float) -> tuple[float, float, float]:
        """Heat release in kW, and CO2 and CO in litres a second, of this step."""
        if self._fire_s is None:
            return 0.0, 0.0, 0.0
        self._fire_s += dt
        flaming_s = self._fire_s - self._smoulder_s
        if flaming_s <= 0:
            grams = 0.15 * min(self._fire_s / 120.0, 1.0)  # g/s of fuel pyrolysed
            return 0.3, 0.3 * grams / CO2_G_L, CO_YIELD_SMOULDERING_G_G * grams / CO_G_L
        heat_kw = min(self._fire_alpha * flaming_s**2, self._fire_peak_kw)
        grams = heat_kw / HEAT_OF_COMBUSTION_KJ_G
        return heat_kw, CO2_YIELD_G_G * grams / CO2_G_L, CO_YIELD_FLAMING_G_G * grams / CO_G_L

    def _truth(self) -> NDArray[np.float64]:
        humidity = 100.0 * self._gm3 / _saturation_gm3(self._celsius)
        return np.array([self._co2, self._co, self._voc, self._celsius, min(humidity, 100.0), self._hpa])


def _saturation_gm3(celsius: float) -> float:
    """Water that air can hold, g/m³ (Magnus formula)."""
    hpa = 6.112 * np.exp(17.62 * min(celsius, 100.0) / (243.12 + min(celsius, 100.0)))
    return float(216.7 * hpa / (273.15 + celsius))
