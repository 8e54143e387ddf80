"""A reading as it travels live under the adaptive uplink: features in small steps instead of its payload.

The gateway makes them with the functions that the cloud uses (schemas.features), in steps so fine
that a model hardly notices and so coarse that they cost a byte each; the payload itself follows
lossless in the hourly object (schemas/bulk.py). A sound's features are its log-mel, the only large
one: it is sent coarse, and only for minutes that deserve it (edge_client/policy.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas import hearthwatch_v1_pb2 as pb
from schemas.coarse_mel import pack_log_mel, unpack_log_mel
from schemas.errors import BadInput
from schemas.features import FEATURE_VERSION, input_shape, model_input
from schemas.payloads import check_origin
from schemas.readings import (
    AIR_CHANNELS,
    ALL_SECONDS,
    READING_KINDS,
    air_samples,
    pir_waveform,
    reading_id,
    sound_levels,
)

VALUE_STEP: Final = 1 / 32  # features are logarithms and fractions of order one
MAX_STEPS: Final = 1 << 15

# What a reading's `quantities` hold, by family; NaN is "no data". Energy: standard deviation of the PIR
# waveform in ADC counts. Contact: state at the end of the minute (0 or 1), flips during it.
SUMMARY_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "air": tuple(channel.name for channel in AIR_CHANNELS),
    "sound": ("max_dba", "mean_dba"),
    "motion": ("energy", "occupied"),
    "contact": ("open", "changes"),
}
# Unit of each quantity on the wire: what a chart can still show.
SUMMARY_STEPS: Final[dict[str, tuple[float, ...]]] = {
    "air": (1.0, 0.1, 1.0, 0.05, 0.1, 0.1),
    "sound": (0.5, 0.5),
    "motion": (1.0, 1.0),
    "contact": (1.0, 1.0),
}
NO_DATA: Final = -(1 << 31)  # a quantity that is NaN


def quantities(family: str, reading: pb.Reading) -> list[float]:
    """A valid reading → its small summaries, in the order of `SUMMARY_NAMES`.

    Raises:
        BadInput: A payload of the wrong size or range.
    """
    if family == "air":
        return air_samples(reading.air)[-1].tolist()
    if family == "sound":
        levels = sound_levels(reading.sound)
        return [float(levels.max()), float(levels.mean())] if levels.size else [math.nan, math.nan]
    if family == "motion":
        pir = pir_waveform(reading.motion)
        return [math.nan if pir is None else _deviation(pir), float(reading.motion.occupied)]
    return [float(reading.contact.open), float(len(reading.contact.changes_ms))]


def _deviation(counts: NDArray[np.int16]) -> float:
    """Standard deviation. Of whole numbers both sums are exact, so this form loses nothing."""
    values = counts.astype(np.float64)
    total, squares = int(values.sum()), int(values @ values)
    return math.sqrt(len(counts) * squares - total * total) / len(counts)


def features_of(reading: pb.Reading, gateway_id: str, *, with_log_mel: bool) -> pb.Features:
    """A valid reading → its live form. `minute_us` is left to `Body.features_minute_us`.

    Args:
        gateway_id: Of the batch that will carry them.
        with_log_mel: Of a sound.

    Raises:
        BadInput: A payload of the wrong kind, size or range.
    """
    family = READING_KINDS[reading.kind]
    usual = reading_id(gateway_id, reading.sensor_id, reading.minute_us)
    made = pb.Features(
        reading_id=b"" if reading.reading_id == usual else reading.reading_id,
        sensor_id=reading.sensor_id,
        kind=reading.kind,
        feature_version=FEATURE_VERSION,
        room=reading.room,
        seconds_missing=ALL_SECONDS ^ reading.seconds_present,
        summary=_in_steps(quantities(family, reading), SUMMARY_STEPS[family]),
    )
    if reading.HasField("battery_percent"):
        made.battery_percent = reading.battery_percent
    made.model = reading.model
    values = model_input(family, reading) if family != "sound" or with_log_mel else None
    if values is not None and family == "sound":
        made.log_mel = pack_log_mel(values)
    elif values is not None:
        made.steps.extend(np.rint(values / VALUE_STEP).astype(int).tolist())
    return made


def model_input_of(features: pb.Features) -> NDArray | None:
    """Checked features → the input of their family's model (schemas.features.model_input).

    None: no waveform, no log-mel, or features of another version than the models know.

    Raises:
        BadInput: A log-mel that does not unfold.
    """
    if features.feature_version != FEATURE_VERSION:
        return None
    if features.log_mel:
        return unpack_log_mel(features.log_mel)
    if features.values:
        return np.array(features.values, np.float32)
    if features.steps:
        return (np.array(features.steps, np.float32) * np.float32(VALUE_STEP)).astype(np.float32)
    return None


def summary_of(features: pb.Features) -> list[float]:
    """Checked features → the reading's quantities, as `quantities` gives them but for their step."""
    steps = SUMMARY_STEPS[READING_KINDS[features.kind]]
    return [math.nan if n == NO_DATA else n * step for n, step in zip(features.summary, steps, strict=True)]


def complete(features: pb.Features, gateway_id: str, body: pb.Body) -> pb.Features:
    """Features as they came → with the minute and id that they leave to their batch."""
    made = pb.Features()
    made.CopyFrom(features)
    made.minute_us = features.minute_us or body.features_minute_us
    made.reading_id = features.reading_id or reading_id(gateway_id, features.sensor_id, made.minute_us)
    return made


def check_features(features: pb.Features) -> None:
    """Accept completed features or say which field is at fault, with value and limit.

    Raises:
        BadInput: Unknown kind, bad id, minute, or a number of values that the family does not have.
    """
    check_origin(features, "features")
    family = READING_KINDS[features.kind]
    _check_count("summary", len(features.summary), len(SUMMARY_NAMES[family]))
    if features.feature_version != FEATURE_VERSION:
        return  # its values mean something else: not scored until the payload comes
    if family == "sound":
        if features.log_mel:
            unpack_log_mel(features.log_mel)
        _check_count("steps", len(features.steps) + len(features.values), 0)
        return
    (wanted,) = input_shape(family)
    if features.log_mel:
        raise BadInput(f"log_mel is {len(features.log_mel)} bytes, limit 0 for {family}")
    if features.values:
        _check_count("values", len(features.values), wanted)
        if not all(map(math.isfinite, features.values)):
            raise BadInput("values hold one that is not finite, limit: finite numbers")
    elif features.steps:
        _check_count("steps", len(features.steps), wanted)
        if max(map(abs, features.steps)) > MAX_STEPS:
            raise BadInput(f"steps reach {max(map(abs, features.steps))}, limit {MAX_STEPS}")


def _in_steps(values: Sequence[float], steps: Sequence[float]) -> list[int]:
    return [
        NO_DATA if math.isnan(value) else round(value / step)
        for value, step in zip(values, steps, strict=True)
    ]


def _check_count(field: str, count: int, wanted: int) -> None:
    if count != wanted:
        raise BadInput(f"{field} has {count} numbers, limit exactly {wanted}")
