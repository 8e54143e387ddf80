"""A home as a whole: break-ins found, families left alone, and what fusion adds to the gateway's rules.

Real: one home's door and PIRs over two weeks (uci_adl_binary; no commercial use, so nothing is learnt
from it). It holds no intrusion: it gives false alarms. Synthetic, and apart: bursts of entry put
into its absences, scripted entries in simulated homes (sounds, doors and PIR waveforms through the
models), and simulated armed time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.detection import armed_time, figures, plots, recorded_home
from benchmarks.detection.page import table
from benchmarks.detection.played import NEVER, SENSES, Played, play
from local import recordings
from local.simulator.entries import ENTRIES, HAZARDS, Entry
from schemas.models import LARGE_FAMILIES, line_of
from serving import cards
from serving.interpreter import open_card

# Of ways in so many that 300 of 300 would show a recall of 0.99 (one-sided, exact); of the rest fewer.
DRAWS_BY_PERSON, DRAWS = 75, 20
ALL: Final = "all entries by a person"
FAMILIES: Final = ("sound", "motion", "air", "contact")
_BY_PERSON: Final = tuple(entry for entry in ENTRIES if entry.level >= 2)
_SYNTHETIC: Final = "local.simulator.entries"


def measure() -> dict[str, Any]:
    """The real home, then the simulated ones."""
    folder = recordings.recordings_folder()
    if folder is None:
        raise FileNotFoundError("the real home is a recording: set HEARTHWATCH_RECORDINGS")
    models = {family: open_card(cards.find(family)) for family in FAMILIES}
    for family in LARGE_FAMILIES:
        models[line_of(family, "large")] = open_card(cards.find(family, tier="large"))
    real = recorded_home.measure(folder / "uci_adl_binary")
    played = {
        entry.name: [play(entry, models, seed=1_000 * place + draw) for draw in range(_draws(entry))]
        for place, entry in enumerate((*ENTRIES, *HAZARDS))
    }
    time_armed = armed_time.measure(models)
    return {
        "models": {line: model.card.model_version for line, model in models.items()},
        "real": real["spans"],
        "after_s": _after_s(played),
        "levels": _levels(played),
        "armed_time": time_armed["spans"],
        "figures": [
            *real["figures"],
            *_found(played),
            *_raised_falsely(played),
            _right_level(played),
            *time_armed["figures"],
        ],
    }


def _draws(entry: Entry) -> int:
    return DRAWS_BY_PERSON if entry in _BY_PERSON else DRAWS


def _after_s(played: dict[str, list[Played]]) -> dict[str, dict[str, list[float]]]:
    """Script → sense → the delays of those that were found, in seconds, in order."""
    return {
        entry.name: {
            sense: sorted(round(s, 2) for p in played[entry.name] if (s := p.after_s[sense]) is not None)
            for sense in SENSES
        }
        for entry in ENTRIES
        if entry.intrusion
    }


def _found(played: dict[str, list[Played]]) -> list[figures.Figure]:
    """Recall of each kind of entry and of all of them, by the product and by its parts."""
    made = []
    groups = {entry.name: played[entry.name] for entry in ENTRIES if entry.intrusion}
    groups[ALL] = [p for entry in _BY_PERSON for p in played[entry.name]]
    for name, draws in groups.items():
        for sense in SENSES:
            found = sum(p.after_s[sense] is not None for p in draws)
            made.append(
                figures.proportion(
                    f"{sense} finds: {name}",
                    found,
                    len(draws),
                    "synthetic",
                    _SYNTHETIC,
                    note=f"at least {figures.at_least(found, len(draws)):.4f}, exact, one-sided 95 %",
                )
            )
    return made


def _raised_falsely(played: dict[str, list[Played]]) -> list[figures.Figure]:
    made = []
    for entry in ENTRIES:
        if not entry.intrusion:
            draws = played[entry.name]
            for sense in SENSES:
                raised = sum(p.after_s[sense] is not None for p in draws)
                made.append(
                    figures.proportion(
                        f"{sense} raises at: {entry.name}", raised, len(draws), "synthetic", _SYNTHETIC
                    )
                )
    return made


def _levels(played: dict[str, list[Played]]) -> list[dict[str, Any]]:
    """How often each kind of script ended at each AVS level; "none": no alarm was opened."""
    rows = []
    for entry in (*ENTRIES, *HAZARDS):
        row: dict[str, Any] = {"name": entry.name, "truth": entry.level}
        for key, levels in (
            ("said", [p.level for p in played[entry.name]]),
            ("by_rules", [p.level_by_rules for p in played[entry.name]]),
        ):
            counts = Counter(NEVER if level is None else str(level) for level in levels)
            row[key] = dict(sorted(counts.items()))
        rows.append(row)
    return rows


def _right_level(played: dict[str, list[Played]]) -> figures.Figure:
    """No alarm and level 0 are the same to a dispatcher: no call."""
    said = [(entry.level, p.level or 0) for entry in (*ENTRIES, *HAZARDS) for p in played[entry.name]]
    right = sum(truth == level for truth, level in said)
    return figures.proportion(
        "AVS level is what the truth deserves", right, len(said), "synthetic", _SYNTHETIC
    )


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Real hours, entries, levels, simulated time."""
    by_name = {f["name"]: f for f in found["figures"]}
    rates = [f for f in found["figures"] if f["kind"] == "rate"]
    names = [*(e.name for e in ENTRIES if e.intrusion), ALL]
    finds = [
        [name, *(_share(by_name[f"{sense} finds: {name}"]) for sense in SENSES), _delay(found, name)]
        for name in names
    ]
    false = [
        [e.name, *(_share(by_name[f"{sense} raises at: {e.name}"]) for sense in SENSES), ""]
        for e in ENTRIES
        if not e.intrusion
    ]
    columns = [NEVER, "0", "1", "2", "3", "4"]
    return {
        "real": table(
            ["armed time", "false intrusion alarms"],
            [[f["name"], figures.per(f)] for f in rates if f["origin"] == "real"],
        ),
        "injected": table(
            ["bursts put into real absences", "found", "when"],
            [
                [f["name"], f"{f['events']} of {f['n']}, {figures.percent(f)}", f["note"]]
                for f in found["figures"]
                if f["data"] == recorded_home.INJECTED
            ],
        ),
        "entries": table(["script", *SENSES, "product: seconds, median and most"], [*finds, *false]),
        "levels": table(
            ["script", "level that the truth deserves", *(f"said {c}" for c in columns)],
            [
                [row["name"], str(row["truth"]), *(_said(row, column) for column in columns)]
                for row in found["levels"]
            ],
        ),
        "time": table(
            ["simulated armed time", "false intrusion alarms"],
            [[f["name"], figures.per(f)] for f in rates if f["origin"] == "synthetic"],
        ),
    }


def draw(found: dict[str, Any], folder: Path) -> None:
    """How soon entries by a person are found."""
    figure, axes = plots.canvas(height=2.8)
    styles = {
        "product": ("-", plots.OURS),
        "gateway's rules": ("--", plots.THEIRS),
        "fusion": (":", plots.LIMIT),
    }
    draws = next(f["n"] for f in found["figures"] if f["name"] == f"product finds: {ALL}")
    for sense, (style, colour) in styles.items():
        seconds = sorted(s for e in _BY_PERSON for s in found["after_s"][e.name][sense])
        shares = [(i + 1) / draws for i in range(len(seconds))]
        axes.step(
            [0, *seconds, 150], [0, *shares, shares[-1]], style, where="post", color=colour, label=sense
        )
    axes.set(xlabel="seconds after the first act", ylabel="entries found", ylim=(0, 1.02), xlim=(0, 150))
    axes.legend(loc="lower right")
    plots.save(figure, folder / "home.svg")


def _said(row: dict[str, Any], column: str) -> str:
    """How many ended at this level, and in brackets how many would have without fusion, if others."""
    said, by_rules = row["said"].get(column, 0), row["by_rules"].get(column, 0)
    if said == by_rules:
        return str(said or "")
    return f"{said} ({by_rules})"


def _share(figure: figures.Figure) -> str:
    return f"{figure['events']} of {figure['n']}"


def _delay(found: dict[str, Any], name: str) -> str:
    kinds = [e.name for e in _BY_PERSON] if name == ALL else [name]
    return _seconds([s for kind in kinds for s in found["after_s"][kind]["product"]])


def _seconds(values: Sequence[float]) -> str:
    """
    >>> _seconds([3.0, 1.0, 9.0]), _seconds([])
    ('3, 9', '')
    """
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:.0f}, {ordered[-1]:.0f}" if ordered else ""
