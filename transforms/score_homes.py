"""ScoreHomes: a home's window of scores → one fused score, by a documented rule (not a model).

The rule, `FUSION_RULE`: every score that speaks for a kind with probability p ≥ `FLOOR` is a voice
of strength weight·p, if the home's arming mode gives it a say. Voices of one family join by noisy-or
up to that family's cap, because minutes and sensors of one family are not independent witnesses;
families join by noisy-or without a cap. One reading alone never reaches `THRESHOLD`: two must agree.
The weights are judgement, not measurement; a learned fusion may replace `fuse` behind this contract.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection

from schemas.alarms import ScoreDoc
from schemas.events import AlarmKind
from schemas.models import is_large
from transforms.elements import WindowScore
from transforms.rows import register_rows

FUSION_RULE: Final = "fusion-rule-1"
FLOOR: Final = 0.5  # below it a class is not what the model thinks the reading shows
THRESHOLD: Final = 0.72  # above any single weight
MAX_REASONS: Final = 8
_REFINED: Final = 3  # more than the voices that a large model's score can silence: two of 0.5 each

ALWAYS: Final = frozenset({"disarmed", "stay", "away", ""})
ARMED: Final = frozenset({"stay", "away"})
AWAY: Final = frozenset({"away"})


class Voice(NamedTuple):
    """What a label of a family argues for, how strongly, and in which arming modes."""

    kind: AlarmKind
    weight: float
    modes: frozenset[str]


VOICES: Final[dict[tuple[str, str], Voice]] = {
    ("air", "fire"): Voice(AlarmKind.FIRE, 0.6, ALWAYS),
    ("sound", "smoke_alarm"): Voice(AlarmKind.FIRE, 0.7, ALWAYS),
    ("sound", "fire_crackling"): Voice(AlarmKind.FIRE, 0.3, ALWAYS),  # also a fireplace, a television
    ("air", "co"): Voice(AlarmKind.CO, 0.7, ALWAYS),
    ("sound", "glass_break"): Voice(AlarmKind.BURGLARY, 0.7, ARMED),
    ("contact", "forced"): Voice(AlarmKind.BURGLARY, 0.7, ARMED),
    ("motion", "person"): Voice(AlarmKind.BURGLARY, 0.3, AWAY),
    ("motion", "occupied"): Voice(AlarmKind.BURGLARY, 0.15, AWAY),  # the device's verdict: or a pet
}
# Motion alone never raises: somebody who leaves or returns moves in a home that says "away".
CAPS: Final[dict[tuple[AlarmKind, str], float]] = {
    (AlarmKind.FIRE, "air"): 0.9,
    (AlarmKind.FIRE, "sound"): 0.9,
    (AlarmKind.CO, "air"): 0.95,
    (AlarmKind.BURGLARY, "sound"): 0.7,
    (AlarmKind.BURGLARY, "contact"): 0.7,
    (AlarmKind.BURGLARY, "motion"): 0.5,
}
PRIORITY: Final = (AlarmKind.FIRE, AlarmKind.CO, AlarmKind.BURGLARY)  # life before property


class HeldScore(NamedTuple):
    """A score as TrackHomes holds it: probabilities in steps of 1/255.

    Attributes:
        arming_mode: When the reading's batch was sealed.
        labels, probabilities: Every class of the model, in its order.
    """

    sensor_id: str
    room: str
    family: str
    minute_us: int
    arming_mode: str
    labels: list[str]
    probabilities: list[float]
    model_version: str


class HomeWindow(NamedTuple):
    """All scores of a home in the five minutes before `window_end_us`, as known now.

    Attributes:
        publish_us: Newest publish time among its scores: it never falls from one sending of the
            same window to the next.
        arming_mode: Of its newest minute.
    """

    home_id: str
    gateway_id: str
    window_end_us: int
    publish_us: int
    arming_mode: str
    scores: list[HeldScore]


register_rows(HeldScore, HomeWindow)


def speaks(family: str, labels: Sequence[str], probabilities: Sequence[float]) -> bool:
    """Can this score change what `fuse` says? False: a window need not be sent again for it.

    >>> speaks("air", ["normal", "fire"], [0.1, 0.9]), speaks("air", ["normal", "fire"], [0.9, 0.1])
    (True, False)
    """
    return any(
        p >= FLOOR and (family, label) in VOICES for label, p in zip(labels, probabilities, strict=True)
    )


class _Heard(NamedTuple):
    """A voice that was heard; sorts strongest first, then by place and time, never by arrival."""

    loudness: float  # minus weight·p
    family: str
    sensor_id: str
    minute_us: int
    label: str
    probability: float
    room: str
    model_version: str


def fuse(window: HomeWindow) -> WindowScore:
    """A window's contents, in any order → its fused score.

    The kind is the first of `PRIORITY` that reaches `THRESHOLD`, "" if none does; then the score
    and the reasons are those of the strongest.
    """
    heard: dict[AlarmKind, list[_Heard]] = {}
    for score in window.scores:
        for kind, voice in _heard(score):
            heard.setdefault(kind, []).append(voice)
    fused = {kind: _join(kind, voices) for kind, voices in heard.items()}
    raised = [kind for kind in PRIORITY if fused.get(kind, 0.0) >= THRESHOLD]
    leading = raised[0] if raised else max(PRIORITY, key=lambda kind: fused.get(kind, 0.0))
    voices = sorted(heard.get(leading, []))[:MAX_REASONS]
    refined = sum(is_large(score.family, score.model_version) for score in window.scores)
    return WindowScore(
        home_id=window.home_id,
        gateway_id=window.gateway_id,
        window_end_us=window.window_end_us,
        publish_us=window.publish_us,
        arming_mode=window.arming_mode,
        kind=str(leading) if raised else "",
        score=fused.get(leading, 0.0),
        heard=sum(len(voices) for voices in heard.values()) + _REFINED * refined,
        reasons=[_reason(voice) for voice in voices],
        evidence=[_evidence(voice) for voice in voices],
        rule_version=FUSION_RULE,
    )


def latest(scores: Iterable[WindowScore]) -> dict[tuple[str, int], WindowScore]:
    """Window scores as sent, in any order → what stands for each (home, window end).

    A window is sent again when its contents change. Publish time never falls, and `heard` only grows
    (a large model's score may silence a voice, and counts for more than one), so the greatest of both
    is the last.
    """
    standing: dict[tuple[str, int], WindowScore] = {}
    for score in scores:
        key = (score.home_id, score.window_end_us)
        if key not in standing or _rank(standing[key]) < _rank(score):
            standing[key] = score
    return standing


class Scored(NamedTuple):
    """Outputs of ScoreHomes: every window score, and those that argue for an alarm."""

    windows: PCollection[WindowScore]
    alarming: PCollection[WindowScore]


class ScoreHomes(beam.PTransform):
    """HomeWindow → `Scored`."""

    def expand(self, windows):  # type: ignore[no-untyped-def]
        scored = windows | "FuseScores" >> beam.ParDo(_FuseScores()).with_output_types(WindowScore)
        alarming = scored | "KeepAlarming" >> beam.Filter(_is_alarming).with_output_types(WindowScore)
        return Scored(scored, alarming)


class _FuseScores(beam.DoFn):
    def __init__(self) -> None:
        self._scored = Metrics.counter("ScoreHomes", "windows_out")
        self._alarming = Metrics.counter("ScoreHomes", "windows_alarming")

    def process(self, element: HomeWindow) -> Iterable[WindowScore]:
        score = fuse(element)
        self._scored.inc()
        if score.kind:
            self._alarming.inc()
        yield score


def _is_alarming(score: WindowScore) -> bool:
    return score.kind != ""


def _heard(score: HeldScore) -> Iterable[tuple[AlarmKind, _Heard]]:
    for label, p in zip(score.labels, score.probabilities, strict=True):
        if p < FLOOR:
            continue
        voice = VOICES.get((score.family, label))
        if voice is not None and score.arming_mode in voice.modes:
            yield (
                voice.kind,
                _Heard(
                    -voice.weight * p,
                    score.family,
                    score.sensor_id,
                    score.minute_us,
                    label,
                    p,
                    score.room,
                    score.model_version,
                ),
            )


def _join(kind: AlarmKind, voices: list[_Heard]) -> float:
    """Noisy-or within each family up to its cap, then over families; rounded to 1e-6.

    Sorted first: the product of floats depends on their order, the result must not.
    """
    silence: dict[str, float] = {}
    for voice in sorted(voices):
        silence[voice.family] = silence.get(voice.family, 1.0) * (1.0 + voice.loudness)
    nothing = 1.0
    for family in sorted(silence):
        nothing *= 1.0 - min(CAPS[kind, family], 1.0 - silence[family])
    return round(1.0 - nothing, 6)


def _reason(voice: _Heard) -> str:
    return f"{voice.family} {voice.room}: {voice.label} {voice.probability:.2f} ({voice.sensor_id})"


def _evidence(voice: _Heard) -> str:
    """`schemas.alarms.ScoreDoc` as JSON."""
    return ScoreDoc(
        sensor_id=voice.sensor_id,
        room=voice.room,
        family=voice.family,
        label=voice.label,
        score=round(voice.probability, 3),
        model_version=voice.model_version,
        minute_us=voice.minute_us,
    ).model_dump_json()


def read_evidence(evidence: str) -> ScoreDoc:
    """One entry of `WindowScore.evidence` → the document it stands for."""
    return ScoreDoc.model_validate(json.loads(evidence))


def _rank(score: WindowScore) -> tuple[int, int]:
    return score.publish_us, score.heard
