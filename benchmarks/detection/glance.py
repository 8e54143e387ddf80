"""What each question of docs/detection.md came to, beside its aim: the page's first table.

A miss is one by the measured value; where the interval reaches the other side of the aim, the cell says so
by showing it. "–": nothing was aimed at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from benchmarks.detection import figures
from benchmarks.detection.page import table

TIMES_LESS: Final = 10.0


class Row(NamedTuple):
    """One question.

    Attributes:
        part, name, data: Which figure answers it; `data` is a part of the figure's.
        aim: As words. at_least, at_most: the same as a number, None: none.
    """

    question: str
    part: str
    name: str
    data: str
    aim: str = "–"
    at_least: float | None = None
    at_most: float | None = None


ROWS: Final = (
    Row("Sound, large: class right, same corpora", "sound", "accuracy, large", "ESC-10"),
    Row(
        "Sound, small: calibration error", "sound", "calibration error, small", "ESC-10", "≤ 5 %", None, 0.05
    ),
    Row(
        "Sound, large: calibration error", "sound", "calibration error, large", "ESC-10", "≤ 5 %", None, 0.05
    ),
    Row(
        "the same on synthetic clips",
        "sound",
        "calibration error, large",
        "fresh synthetic",
        "≤ 5 %",
        None,
        0.05,
    ),
    Row(
        "other corpus, kept for the end: false sirens",
        "sound",
        "false siren or alarm, large",
        "SESA, even",
        "≤ 2 %",
        None,
        0.02,
    ),
    Row(
        "other corpus, looked at: false sirens",
        "sound",
        "false siren or alarm, large",
        "SESA, odd",
        "≤ 2 %",
        None,
        0.02,
    ),
    Row(
        "sirens of a corpus never learnt from, at 2 % false: net",
        "corpora",
        "siren recalled at 2% false, large net",
        "sesa",
    ),
    Row("the same: random forest", "corpora", "siren recalled at 2% false, forest", "sesa"),
    Row("ESC-10 by fold", "corpora", "accuracy on ten classes, large net", "ESC-10", "humans 95.7 %", 0.957),
    Row(
        "fire: gateway at the ceiling before the photoelectric alarm, held out",
        "fire",
        "gateway, sensors at the ceiling: before the house's first photoelectric alarm",
        "NIST, held out",
    ),
    Row(
        "the same at the wall",
        "fire",
        "gateway, sensors at the wall: before the house's first photoelectric alarm",
        "NIST, held out",
    ),
    Row("fire: false alarms in ordinary rooms, gateway", "fire", "gateway, 1 Hz", "logs"),
    Row("CO: alarm inside the window of UL 2034", "co", "alarm inside the window of UL 2034", "", "all", 1.0),
    Row(
        "occupancy by date: PIR and sound",
        "occupancy",
        "PIR and sound, filtered: accuracy",
        "uci",
        "PIR held five minutes, 98.3 %",
        0.983,
    ),
    Row("motion: person found", "occupancy", "motion model says person: person", ""),
    Row("motion: pet taken for a person", "occupancy", "motion model says person: pet", ""),
    Row("entries by a person found", "home", "product finds: all entries by a person", "", "≥ 99 %", 0.99),
    Row("the same by fusion alone", "home", "fusion finds: all entries by a person", ""),
    Row("false intrusion alarms, armed away", "home", "armed away: the product", "uci"),
    Row("false intrusion alarms, simulated life", "home", "the gateway's rules", ""),
    Row("AVS-01 level as the truth deserves", "home", "AVS level is what the truth deserves", ""),
    Row(
        "cascade: ordinary minutes selected", "cascade", "ordinary minutes selected", "", "≤ 2 %", None, 0.02
    ),
)


def table_of(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Results of the parts → the table.

    Raises:
        StopIteration: A part has no such figure.
    """
    rows = []
    for row in ROWS:
        figure = next(
            f for f in found[row.part]["figures"] if f["name"] == row.name and row.data in f["data"]
        )
        rows.append([row.question, figure["origin"], _shown(figure), row.aim, _verdict(row, figure["value"])])
    cascade, speed = found["cascade"], found["speed"]["rows"]
    rows.append(
        [
            "cascade: CPU beside everything through the large model",
            "synthetic",
            f"{cascade['times_less']:.1f} times less",
            "10 times",
            "met" if cascade["times_less"] >= TIMES_LESS else "missed",
        ]
    )
    beside = [row["beam_per_s"] / row["loop_per_s"] for row in speed]
    rows.append(
        [
            "speed: through `RunInference` beside a bare loop",
            "synthetic",
            f"{min(beside):.2f} to {max(beside):.2f}",
            "–",
            "",
        ]
    )
    return table(["", "data", "measured", "aim", ""], rows)


def _shown(figure: figures.Figure) -> str:
    return figures.per(figure) if figure["kind"] == "rate" else figures.percent(figure)


def _verdict(row: Row, value: float) -> str:
    """
    >>> _verdict(ROWS[1], 0.074), _verdict(ROWS[1], 0.05), _verdict(ROWS[0], 0.9)
    ('missed', 'met', '')
    """
    if row.at_least is None and row.at_most is None:
        return ""
    met = (row.at_least is None or value >= row.at_least) and (row.at_most is None or value <= row.at_most)
    return "met" if met else "missed"
