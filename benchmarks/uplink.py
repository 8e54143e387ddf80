"""`python -m benchmarks.uplink`: what the adaptive uplink sends live, what follows, and what it costs in
detection, beside the full uplink on the same homes.

Quiet homes live an hour at two times of the day: their sensors' minutes are put together, split by the live
policy and sealed as the gateway does it, and the hour becomes its object. Scripted homes (a fire, carbon
monoxide, a break-in: the ground truth) live twice through the same messages, once per policy, in the
gateway's own core, rules and outbox on a clock that stands still between seconds, events and all.
Envelopes are counted with their Pub/Sub attributes. Both runs are scored by the pipeline's functions.
With HEARTHWATCH_RECORDINGS real sounds are scored in both forms as well.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import report
from benchmarks.lives import SEED, Life, Run, live, quiet_runs
from benchmarks.recorded import RecordedFleet
from edge_client.policy import UplinkPolicy
from local import recordings
from local.simulator import devices
from local.simulator.scenarios import QUIET, break_in, co_leak, kitchen_fire
from local.training import sounds
from schemas import bulk
from schemas import hearthwatch_v1_pb2 as pb
from schemas.coarse_mel import pack_log_mel, unpack_log_mel
from schemas.envelope import open_body, parse_envelope
from schemas.readings import MINUTE_US
from schemas.topics import (
    ATTRIBUTE_GATEWAY,
    ATTRIBUTE_HOME,
    ATTRIBUTE_LANE,
    LANE_TOPICS,
)
from serving import cards
from serving.handlers import label_scores
from serving.interpreter import open_card
from transforms.advance_home import advance
from transforms.decode_batches import decode
from transforms.elements import AcceptedReading, RawMessage, WindowScore
from transforms.hear_scores import place
from transforms.home_state import Home
from transforms.model_score import model_score
from transforms.score_homes import fuse, latest
from transforms.score_readings import BLOCK, FAMILIES, prepare
from transforms.trust import Trust, load_ca

DAY_US: Final = 1_790_035_200_000_000 // (1440 * MINUTE_US) * 1440 * MINUTE_US
QUIET_HOMES: Final = range(1, 7)
HOURS: Final = (6, 10, 18, 23)  # UTC; each home lives in two of these
SCRIPT_MINUTES: Final = 8
TARGET_RATIO: Final = 50.0
TARGET_POINTS: Final = 0.5


def wire_bytes(message: RawMessage, home: int) -> int:
    """Envelope and attributes, as Pub/Sub bills them."""
    attributes = {
        ATTRIBUTE_HOME: devices.home_id(home),
        ATTRIBUTE_GATEWAY: devices.gateway_id(home),
        ATTRIBUTE_LANE: message.lane,
    }
    return len(message.payload) + sum(len(key) + len(value) for key, value in attributes.items())


class Judge:
    """Scores messages by the pipeline's own functions."""

    def __init__(self, ca_pem: bytes) -> None:
        self._trust = Trust(load_ca(ca_pem))
        self.models: dict[str, Any] = {f: open_card(cards.find(f)) for f in FAMILIES}

    def windows(self, messages: Sequence[RawMessage]) -> dict[tuple[str, int], WindowScore]:
        """The standing word on each window of one home."""
        homes: dict[str, Home] = defaultdict(Home)
        found: list[WindowScore] = []
        for message in messages:
            decoded = decode(message, self._trust)
            assert decoded.rejected == [], decoded.rejected[:1]
            scores = self._scores(decoded.readings)
            if decoded.summary is None or message.lane != LANE_TOPICS[pb.LANE_MINUTES]:
                continue
            home_id = decoded.summary.home_id
            placed = [place(score) for score in scores]
            did = advance(home_id, homes[home_id], placed, [decoded.summary], keep_all=False)
            found += [fuse(window) for window in did.windows]
        return latest(found)

    def _scores(self, readings: Sequence[AcceptedReading]) -> list[Any]:
        by_family: dict[str, list[AcceptedReading]] = defaultdict(list)
        for reading in readings:
            by_family[reading.family].append(reading)
        scores: list[Any] = []
        for family, group in by_family.items():
            for first in range(0, len(group), BLOCK):
                block = prepare(group[first : first + BLOCK])
                scores += block.device
                if block.blanks:
                    verdicts = label_scores(self.models[family], block.inputs)
                    said = (model_score(b, v) for b, v in zip(block.blanks, verdicts, strict=True))
                    scores += [score for score in said if score is not None]
        return scores


def compare(
    full: dict[tuple[str, int], WindowScore], light: dict[tuple[str, int], WindowScore]
) -> dict[str, Any]:
    """Two runs' windows of the same homes → how often and how far they differ."""
    keys = sorted(set(full) | set(light))
    verdicts = [(_kind(full, key), _kind(light, key)) for key in keys]
    gaps = [abs(_score(full, key) - _score(light, key)) for key in keys]
    return {
        "windows": len(keys),
        "alarming_full": sum(bool(a) for a, _ in verdicts),
        "alarming_adaptive": sum(bool(b) for _, b in verdicts),
        "verdicts_that_differ": sum(a != b for a, b in verdicts),
        "missed_by_adaptive": sum(bool(a) and a != b for a, b in verdicts),
        "only_in_adaptive": sum(bool(b) and a != b for a, b in verdicts),
        "mean_score_difference": round(float(np.mean(gaps)), 5) if gaps else None,
        "largest_score_difference": round(max(gaps, default=0.0), 4),
    }


def _kind(windows: dict[tuple[str, int], WindowScore], key: tuple[str, int]) -> str:
    return windows[key].kind if key in windows else ""


def _score(windows: dict[tuple[str, int], WindowScore], key: tuple[str, int]) -> float:
    return windows[key].score if key in windows else 0.0


def real_sounds(judge: Judge, folder: Path) -> dict[str, Any]:
    """Recordings that no weights were trained on: what the sound model says of both forms."""
    rng = np.random.default_rng(SEED)
    found = recordings.sounds(folder)
    sets = {
        "ESC-10 fold 5": [r for r in found if r.corpus == "esc10" and r.fold == 5],
        "household_cc, odd files": [r for r in found if r.corpus == "household_cc"][1::2],
        "SESA": [r for r in found if r.corpus == "sesa"],
    }
    model, figures = judge.models["sound"], {}
    labels = model.card.classes
    voices = [labels.index(name) for name in ("smoke_alarm", "glass_break", "fire_crackling")]
    for name, chosen in sets.items():
        truth = [
            ("siren" if r.label == "siren" else "household") if r.corpus == "sesa" else sounds.class_of(r)
            for r in chosen
        ]
        kept = [(r, label) for r, label in zip(chosen, truth, strict=True) if label is not None]
        if not kept:
            continue
        exact = np.array(
            [sounds.heard(rng, sounds.loudest(r.audio()), label, augment=False) for r, label in kept]
        )
        packed = [pack_log_mel(one) for one in exact]
        coarse = np.stack([unpack_log_mel(one) for one in packed])
        before, after = model.probabilities(exact), model.probabilities(coarse)
        flips = (before[:, voices] >= 0.5) != (after[:, voices] >= 0.5)
        figures[name] = {
            "clips": len(kept),
            "bytes": round(float(np.mean([len(one) for one in packed]))),
            "same_label": round(float((before.argmax(1) == after.argmax(1)).mean()), 4),
            "alarm_voices_that_differ_points": round(100 * float(flips.any(axis=1).mean()), 3),
        }
        if name != "SESA":  # whose labels are not the model's
            wanted = np.array([labels.index(label) for _, label in kept])
            for form, said in (("full", before), ("adaptive", after)):
                figures[name][f"accuracy_{form}"] = round(float((said.argmax(1) == wanted).mean()), 4)
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Measure, write, and say what was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--homes", type=int, default=len(QUIET_HOMES))
    parser.add_argument("--minutes", type=int, default=60, help="of each quiet life")
    options = parser.parse_args(arguments)
    load_before = report.load_1min()
    fleet = RecordedFleet(SEED, DAY_US)
    judge = Judge(fleet.ca_pem)
    quiet = [
        Life(
            home,
            DAY_US + HOURS[(home + turn * 2) % len(HOURS)] * 60 * MINUTE_US,
            options.minutes,
            QUIET,
        )
        for home in range(1, options.homes + 1)
        for turn in range(2)
    ]
    evening_us = DAY_US + 18 * 60 * MINUTE_US
    scripted = [
        Life(home, evening_us, SCRIPT_MINUTES, script)
        for home, script in (
            *((home, kitchen_fire(150.0)) for home in (21, 22)),
            *((home, co_leak(150.0)) for home in (23, 24)),
            *((home, break_in(150.0, 61.0)) for home in (25, 26)),
        )
    ]
    totals: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    windows: dict[str, tuple[dict[Any, WindowScore], dict[Any, WindowScore]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, lives in (("quiet", quiet), ("scripted", scripted)):
            full: dict[tuple[str, int], WindowScore] = {}
            light: dict[tuple[str, int], WindowScore] = {}
            for life in lives:
                if life.script is QUIET:
                    runs = quiet_runs(life, fleet)
                else:
                    runs = {each: live(life, each, fleet, Path(folder)) for each in UplinkPolicy}
                _count(totals[name], life, runs)
                _check(runs)
                full |= judge.windows(runs[UplinkPolicy.FULL].messages)
                light |= judge.windows(runs[UplinkPolicy.ADAPTIVE].messages)
                print(".", end="", file=sys.stderr, flush=True)
            windows[name] = full, light
    print(file=sys.stderr)
    figures: dict[str, Any] = {
        "seed": SEED,
        "lives": {
            "quiet": len(quiet),
            "scripted": len(scripted),
            "quiet_minutes": options.minutes,
        },
        "bytes_per_home_and_minute": {name: per_minute(counted) for name, counted in totals.items()},
        "detection": {name: compare(*pair) for name, pair in windows.items()},
    }
    real = recordings.recordings_folder()
    if real is not None:
        figures["real_sounds"] = real_sounds(judge, real)
    homes = figures["bytes_per_home_and_minute"]["quiet"]
    together = [figures["detection"][name] for name in windows]
    points = 100 * sum(d["verdicts_that_differ"] for d in together) / sum(d["windows"] for d in together)
    targets = [
        report.Target(
            "live bytes, full over adaptive, quiet homes",
            homes["ratio_live"],
            "at least",
            TARGET_RATIO,
            "times",
        ),
        report.Target(
            "window verdicts that differ",
            round(points, 3),
            "at most",
            TARGET_POINTS,
            "points",
        ),
    ]
    report.write(options.json, report.document("uplink", figures, targets, load_before))
    for name, counted in figures["bytes_per_home_and_minute"].items():
        print(name, counted)
    for part in ("detection", "real_sounds"):
        for name, found in figures.get(part, {}).items():
            print(part, name, found)
    for target in targets:
        print(target.line())
    return 0 if all(target.met for target in targets) else 1


def _count(total: dict[str, int], life: Life, runs: dict[UplinkPolicy, Run]) -> None:
    total["minutes"] += life.minutes
    for policy, run in runs.items():
        for message in run.messages:
            total[f"{policy} {message.lane}"] += wire_bytes(message, life.home)
        total[f"{policy} objects"] += sum(map(len, run.objects.values()))


def _check(runs: dict[UplinkPolicy, Run]) -> None:
    """Every payload is stored under both policies: those of the full run, in the live or the hourly half."""
    stored = {}
    for policy, run in runs.items():
        payloads = [r for data in run.objects.values() for r in bulk.unpack_object(data)[1]]
        for message in run.messages:
            payloads += _body(message).readings
        stored[policy] = {
            r.reading_id: hashlib.sha256(r.SerializeToString(deterministic=True)).digest() for r in payloads
        }
    assert stored[UplinkPolicy.FULL] == stored[UplinkPolicy.ADAPTIVE], "a payload is missing or differs"


def _body(message: RawMessage) -> pb.Body:
    return open_body(*parse_envelope(message.payload))


def per_minute(counted: Mapping[str, int]) -> dict[str, float]:
    """Bytes of all lives by policy and lane → bytes a home and minute, and what they are worth."""
    minutes = counted["minutes"]
    found: dict[str, float] = {
        name: round(size / minutes, 1) for name, size in counted.items() if name != "minutes"
    }
    live = {
        policy: sum(counted.get(f"{policy} {lane}", 0) for lane in LANE_TOPICS.values())
        for policy in UplinkPolicy
    }
    total = {policy: live[policy] + counted.get(f"{policy} objects", 0) for policy in UplinkPolicy}
    return found | {
        "live full": round(live[UplinkPolicy.FULL] / minutes, 1),
        "live adaptive": round(live[UplinkPolicy.ADAPTIVE] / minutes, 1),
        "ratio_live": round(live[UplinkPolicy.FULL] / live[UplinkPolicy.ADAPTIVE], 2),
        "total_adaptive_of_full": round(total[UplinkPolicy.ADAPTIVE] / total[UplinkPolicy.FULL], 4),
    }


if __name__ == "__main__":
    raise SystemExit(main())
