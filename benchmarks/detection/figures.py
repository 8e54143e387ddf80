"""Figures with what makes them honest: events, trials or exposure, an interval, and where they are from.

Each function returns a JSON object with `name`, `kind`, `value`, `low`, `high`, `origin`, `data` and
`note`; what else depends on the kind. All intervals are 95 %, two-sided. Where observations of one
recording are alike (frames, minutes), use `bootstrapped`: it draws recordings, not observations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Origin = Literal["real", "synthetic"]
Figure = dict[str, Any]
CONFIDENCE: Final = 0.95
RESAMPLES: Final = 2_000
FIELDS: Final = frozenset({"name", "kind", "value", "low", "high", "origin", "data", "note"})
KINDS: Final = {
    "proportion": frozenset({"events", "n", "interval"}),
    "rate": frozenset({"events", "exposure", "unit", "upper"}),
    "bootstrapped": frozenset({"n", "observations", "unit"}),
    "paired": frozenset({"n", "only_first", "only_second", "p"}),
}


def proportion(
    name: str,
    events: int,
    n: int,
    origin: Origin,
    data: str,
    *,
    interval: Literal["wilson", "clopper-pearson"] = "wilson",
    note: str = "",
) -> Figure:
    """Events of `n` independent trials. Clopper-Pearson never covers less than it says; Wilson is nearer.

    >>> none = proportion("false alarms", 0, 30, "real", "a room", interval="clopper-pearson")
    >>> none["value"], none["low"], round(none["high"], 3)
    (0.0, 0.0, 0.116)

    Raises:
        ValueError: No trials, or more events than trials.
    """
    if not 0 <= events <= n or n == 0:
        raise ValueError(f"{name}: {events} events of {n} trials")
    method = "wilson" if interval == "wilson" else "exact"
    bounds = stats.binomtest(events, n).proportion_ci(CONFIDENCE, method=method)
    return {
        **_base("proportion", name, events / n, bounds.low, bounds.high, origin, data, note),
        "events": events,
        "n": n,
        "interval": interval,
    }


def at_least(events: int, n: int) -> float:
    """One-sided 95 % lower bound of a share, exact (Clopper and Pearson).

    >>> round(at_least(300, 300), 3)
    0.99
    """
    return float(stats.beta.ppf(1 - CONFIDENCE, events, n - events + 1)) if events else 0.0


def rate(
    name: str, events: int, exposure: float, unit: str, origin: Origin, data: str, *, note: str = ""
) -> Figure:
    """Rare events over an exposure, exact (Poisson); `upper` is the one-sided 95 % bound.

    >>> none = rate("false alarms", 0, 100.0, "day", "real", "rooms")
    >>> round(none["upper"], 4)  # the rule of three
    0.03

    Args:
        unit: Of the exposure, singular: "day", "home-year".

    Raises:
        ValueError: No exposure.
    """
    if not (exposure > 0 and events >= 0):
        raise ValueError(f"{name}: {events} events in {exposure} {unit}")
    tail = (1 - CONFIDENCE) / 2
    low = float(stats.chi2.ppf(tail, 2 * events)) / 2 if events else 0.0
    high = float(stats.chi2.ppf(1 - tail, 2 * events + 2)) / 2
    upper = float(stats.chi2.ppf(CONFIDENCE, 2 * events + 2)) / 2
    return {
        **_base("rate", name, events / exposure, low / exposure, high / exposure, origin, data, note),
        "events": events,
        "exposure": round(exposure, 4),
        "unit": unit,
        "upper": upper / exposure,
    }


def bootstrapped(
    name: str,
    recordings: Sequence[Any],
    statistic: Callable[[Sequence[Any]], float],
    origin: Origin,
    data: str,
    *,
    unit: str = "",
    observations: int | None = None,
    seed: int = 0,
    note: str = "",
) -> Figure:
    """A statistic of recordings, its interval by drawing whole recordings with replacement.

    Draws whose statistic is not finite (no positives among them) are left out.

    Args:
        recordings: One entry a recording, whatever `statistic` takes a sequence of.
        observations: How many observations they hold together; None: one each.

    Raises:
        ValueError: Fewer than two recordings: there is nothing to draw from.
    """
    if len(recordings) < 2:
        raise ValueError(f"{name}: {len(recordings)} recordings, a bootstrap needs two")
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(len(recordings), size=len(recordings)) for _ in range(RESAMPLES))
    values = [statistic([recordings[i] for i in draw]) for draw in drawn]
    finite = [value for value in values if math.isfinite(value)]
    low, high = np.percentile(finite, [2.5, 97.5])
    return {
        **_base("bootstrapped", name, statistic(recordings), low, high, origin, data, note),
        "n": len(recordings),
        "observations": len(recordings) if observations is None else observations,
        "unit": unit,
    }


def paired(
    name: str,
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    group: NDArray[Any],
    origin: Origin,
    data: str,
    *,
    seed: int = 0,
    note: str = "",
) -> Figure:
    """Two methods on the same trials: share right of the first less that of the second.

    The interval draws whole groups (days, recordings). `p` is McNemar's exact one, two-sided; it takes
    trials as independent and is too small where those of a group are alike: trust the interval.

    Args:
        first, second: bool[n], which trials each got right.
        group: [n], the recording or day of each trial.
    """
    gained = first.astype(int) - second.astype(int)
    parts = [gained[group == which] for which in np.unique(group)]
    made = bootstrapped(name, parts, _mean_of_all, origin, data, observations=len(gained), seed=seed)
    only_first, only_second = int((gained > 0).sum()), int((gained < 0).sum())
    differ = only_first + only_second
    return {
        **_base("paired", name, made["value"], made["low"], made["high"], origin, data, note),
        "n": len(gained),
        "groups": len(parts),
        "only_first": only_first,
        "only_second": only_second,
        "p": float(stats.binomtest(only_first, differ).pvalue) if differ else 1.0,
    }


def check(figure: Figure) -> None:
    """Hold a figure to what this module promises.

    Raises:
        ValueError: Its kind is none of these, a field is missing, its origin is neither real nor synthetic,
            or its interval does not hold the value.
    """
    if figure.get("kind") not in KINDS:
        raise ValueError(f"figure {figure.get('name')!r}: kind is {figure.get('kind')!r}")
    missing = (FIELDS | KINDS[figure["kind"]]) - figure.keys()
    if missing:
        raise ValueError(f"figure {figure.get('name')!r} lacks {sorted(missing)}")
    if figure["origin"] not in ("real", "synthetic"):
        raise ValueError(f"figure {figure['name']!r} has origin {figure['origin']!r}")
    slack = 1e-9 + 1e-6 * abs(figure["value"])
    if not figure["low"] - slack <= figure["value"] <= figure["high"] + slack:
        raise ValueError(
            f"figure {figure['name']!r}: {figure['value']} outside {figure['low']}–{figure['high']}"
        )


def percent(figure: Figure, digits: int = 1) -> str:
    """A share for a table.

    >>> percent(proportion("recall", 90, 100, "real", "x"))
    '90.0 % (82.6–94.5)'
    """
    value, low, high = (f"{100 * figure[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} % ({low}–{high})"


def per(figure: Figure) -> str:
    """A rate for a table.

    >>> per(rate("false alarms", 0, 100.0, "day", "real", "rooms"))
    '0 in 100 days, at most 0.03 per day'
    """
    exposure = f"{figure['exposure']:.3g}"
    exposure += f" {figure['unit']}" + ("" if exposure == "1" else "s")
    return f"{figure['events']} in {exposure}, at most {figure['upper']:.2g} per {figure['unit']}"


def _base(
    kind: str, name: str, value: float, low: float, high: float, origin: Origin, data: str, note: str
) -> Figure:
    return {
        "name": name,
        "kind": kind,
        "value": float(value),
        "low": float(low),
        "high": float(high),
        "origin": origin,
        "data": data,
        "note": note,
    }


def _mean_of_all(parts: Sequence[NDArray[np.int_]]) -> float:
    return float(np.concatenate(parts).mean())
