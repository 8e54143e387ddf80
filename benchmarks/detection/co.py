"""Carbon monoxide by dose: when the gateway's rule alarms at a constant concentration, beside UL 2034.

No model takes part. Everything here is computed, so every figure is synthetic: an ideal sensor first,
then one that reads wrong by a tenth, lags and is noisy as `local.signals.air` has it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from scipy import signal

from benchmarks.detection import figures
from benchmarks.detection.page import table
from edge_client.clock import SECOND_US
from edge_client.hazards import AirHazards, AirSample, cohb_after
from local.signals.air import LAG_S, NOISE
from schemas.events import Code

# UL 2034, table 41.1: ppm → minutes before which it must not, and by which it must alarm.
UL_2034: Final = {70: (60, 240), 150: (10, 50), 400: (4, 15)}
QUIET_PPM, QUIET_DAYS = 30, 30  # never an alarm
ERRORS: Final = (-0.1, 0.0, 0.1)
NOISY_SENSORS: Final = 20
_CO: Final = 1  # in AIR_CHANNELS


def measure() -> dict[str, Any]:
    """Minutes to the alarm at each concentration of the standard."""
    rows = [
        {
            "ppm": ppm,
            "from_min": first,
            "by_min": last,
            "minutes": [alarm_min(np.full(last * 60 + 600, ppm * (1 + error))) for error in ERRORS],
        }
        for ppm, (first, last) in UL_2034.items()
    ]
    rng = np.random.default_rng(1)
    noisy = {
        ppm: [alarm_min(_sensed(rng, ppm, last)) for _ in range(NOISY_SENSORS)]
        for ppm, (_, last) in UL_2034.items()
    }
    inside = [
        minutes is not None and UL_2034[ppm][0] <= minutes <= UL_2034[ppm][1]
        for ppm, found in noisy.items()
        for minutes in found
    ]
    dose = 0.0
    for _ in range(QUIET_DAYS * 24):
        dose = cohb_after(dose, QUIET_PPM, 3600)
    return {
        "errors": list(ERRORS),
        "rows": rows,
        "noisy": {str(ppm): found for ppm, found in noisy.items()},
        "quiet": {"ppm": QUIET_PPM, "days": QUIET_DAYS, "cohb_pct": dose},
        "figures": [
            figures.proportion(
                "alarm inside the window of UL 2034",
                sum(inside),
                len(inside),
                "synthetic",
                f"{NOISY_SENSORS} noisy sensors with lag at each of {len(UL_2034)} concentrations",
                interval="clopper-pearson",
            )
        ],
    }


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Minutes to the alarm."""
    head = [
        "CO",
        "UL 2034: alarm after",
        *(f"sensor reads {100 * e:+.0f} %" for e in found["errors"]),
        f"{NOISY_SENSORS} noisy sensors",
    ]
    rows = [
        [
            f"{row['ppm']} ppm",
            f"{row['from_min']}–{row['by_min']} min",
            *("never" if minutes is None else f"{minutes:.1f} min" for minutes in row["minutes"]),
            _range(found["noisy"][str(row["ppm"])]),
        ]
        for row in found["rows"]
    ]
    quiet = found["quiet"]
    rows.append(
        [
            f"{quiet['ppm']} ppm",
            f"not in {quiet['days']} days",
            "",
            f"none; dose settles at {quiet['cohb_pct']:.1f} % COHb",
            "",
            "",
        ]
    )
    return {"minutes": table(head, rows)}


def alarm_min(co_ppm: np.ndarray) -> float | None:
    """float[n] ppm, one a second → minutes until the gateway's rule alarms, None if it does not."""
    rules = AirHazards()
    for second, ppm in enumerate(co_ppm.tolist()):
        for change in rules.second((second + 1) * SECOND_US, AirSample(ppm, 100.0, 21.0)):
            if change.code == Code.CARBON_MONOXIDE:
                return second / 60
    return None


def _range(minutes: list[float | None]) -> str:
    """
    >>> _range([9.0, 9.8]), _range([9.0, None])
    ('9.0–9.8 min', '9.0 min–never')
    """
    alarmed = [m for m in minutes if m is not None]
    if len(alarmed) < len(minutes):
        return f"{min(alarmed):.1f} min–never" if alarmed else "never"
    return f"{min(alarmed):.1f}–{max(alarmed):.1f} min"


def _sensed(rng: np.random.Generator, ppm: float, last_min: int) -> np.ndarray:
    true = np.full(last_min * 60 + 600, float(ppm))
    keeps = 1 - 1 / LAG_S[_CO]
    lagged, _ = signal.lfilter([1 - keeps], [1, -keeps], true, zi=[0.0])
    return np.maximum(lagged * rng.uniform(0.95, 1.05) + rng.normal(0, NOISE[_CO], true.size), 0)
