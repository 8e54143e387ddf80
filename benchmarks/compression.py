"""`python -m benchmarks.compression`: what compresses a home's payloads, and what it costs a gateway.

For each kind of payload: zstd levels, a trained dictionary (trained on other homes), differences, byte
planes, transposition over minutes, and their combinations; for the whole hour: one frame a minute as the
full uplink sends it, and the hourly object at several levels and block sizes. Every variant is undone
again and compared. Simulated homes: their noise is synthetic, so ratios of real sensors will differ.
CPU is this machine's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock

import numpy as np
import zstandard
from numpy.typing import NDArray

from benchmarks import report
from benchmarks.recorded import render
from schemas import bulk
from schemas import hearthwatch_v1_pb2 as pb
from schemas.readings import ACCEL_SHAPE, AIR_SHAPE, LOG_MEL_SHAPE, MINUTE_US, PIR_SHAPE, SECONDS

SEED: Final = 41
START_US: Final = 1_790_017_200_000_000 // (60 * MINUTE_US) * 60 * MINUTE_US  # an evening: people at home
TEST_HOMES: Final = (1,)
TRAIN_HOMES: Final = (3, 4)
LEVELS: Final = (1, 3, 9, 15, 19)
DICTIONARY_BYTES: Final = 64 << 10

Rows = NDArray[Any]


class Kind(NamedTuple):
    """One array of a reading: payload.field, and its rows."""

    payload: str
    field: str
    dtype: str
    shape: tuple[int, ...]


class Variant(NamedTuple):
    """A reversible layout: rows → bytes, and back."""

    forward: Callable[[Rows], bytes]
    back: Callable[[bytes, Rows], Rows]


KINDS: Final = {
    "motion.pir": Kind("motion", "pir", "<i2", PIR_SHAPE),
    "sound.log_mel": Kind("sound", "log_mel", "|u1", LOG_MEL_SHAPE),
    "sound.levels": Kind("sound", "levels", "|u1", (SECONDS,)),
    "air.samples": Kind("air", "samples", "<f4", AIR_SHAPE),
    "contact.accel": Kind("contact", "accel", "<i2", ACCEL_SHAPE),
}


def variants(kind: Kind) -> dict[str, Variant]:
    """Layouts that are worth a try for an array of this shape."""
    last = len(kind.shape)
    found = {"as it is": _layout(_same, _same), "planes": _layout(_same, _same, planes=True)}
    if kind.dtype != "<f4":
        for axis in range(1, last + 1):
            found[f"delta axis {axis}"] = _layout(_delta(axis), _undelta(axis))
            found[f"delta axis {axis}, planes"] = _layout(_delta(axis), _undelta(axis), planes=True)
    if last > 1:
        found["channels first"] = _layout(_channels, _unchannels)
        found["channels first, planes"] = _layout(_channels, _unchannels, planes=True)
    if kind.dtype == "<f4":
        found["channels first, xor, planes"] = _layout(_xor, _unxor, planes=True)
    elif last > 1:
        found["channels first, delta, planes"] = _layout(_channel_delta, _unchannel_delta, planes=True)
    if np.dtype(kind.dtype).itemsize == 1:
        found = {name: one for name, one in found.items() if "planes" not in name}
    return found


Turn = Callable[[Rows], Rows]


def _layout(forward: Turn, back: Turn, *, planes: bool = False) -> Variant:
    """Two array functions → a layout; with `planes` all first bytes come first, then all second ones."""

    def turn(rows: Rows) -> bytes:
        turned = np.ascontiguousarray(forward(rows))
        return _planes(turned).tobytes() if planes else turned.tobytes()

    def unturn(data: bytes, like: Rows) -> Rows:
        raw = np.frombuffer(data, np.uint8)
        if planes:
            raw = np.ascontiguousarray(raw.reshape(like.itemsize, -1).T).reshape(-1)
        return back(raw.view(like.dtype).reshape(forward(like).shape))

    return Variant(turn, unturn)


def _same(rows: Rows) -> Rows:
    return rows


def _planes(rows: Rows) -> Rows:
    return np.ascontiguousarray(np.ascontiguousarray(rows).view(np.uint8).reshape(-1, rows.itemsize).T)


def _delta(axis: int) -> Turn:
    return lambda rows: np.diff(rows, axis=axis, prepend=np.zeros_like(rows.take([0], axis=axis)))


def _undelta(axis: int) -> Turn:
    return lambda rows: rows.cumsum(axis=axis, dtype=rows.dtype)


def _channels(rows: Rows) -> Rows:
    return np.moveaxis(rows, -1, 0)


def _unchannels(rows: Rows) -> Rows:
    return np.moveaxis(rows, 0, -1)


def _channel_delta(rows: Rows) -> Rows:
    return np.moveaxis(_delta(1)(rows), -1, 0)


def _unchannel_delta(rows: Rows) -> Rows:
    return _undelta(1)(np.moveaxis(rows, 0, -1))


def _xor(rows: Rows) -> Rows:
    bits = np.ascontiguousarray(np.moveaxis(rows, -1, 0)).reshape(rows.shape[-1], -1).view("<u4")
    mixed = np.concatenate([bits[:, :1], bits[:, 1:] ^ bits[:, :-1]], axis=1).view("<f4")
    return mixed.reshape(rows.shape[-1], *rows.shape[:-1])


def _unxor(rows: Rows) -> Rows:
    bits = np.ascontiguousarray(rows).reshape(len(rows), -1).view("<u4")
    return np.moveaxis(np.bitwise_xor.accumulate(bits, axis=1).view("<f4").reshape(rows.shape), 0, -1)


def rows_of(readings: Sequence[pb.Reading], kind: Kind) -> Rows:
    """[rows, *shape], sorted by sensor and minute as the object has them."""
    ordered = sorted(readings, key=lambda r: (r.sensor_id, r.minute_us))
    data = [getattr(getattr(r, kind.payload), kind.field) for r in ordered if r.HasField(kind.payload)]
    return np.frombuffer(b"".join(data), kind.dtype).reshape(len(data), *kind.shape)


def hour_together(rows: Rows, variant: Variant) -> dict[str, dict[str, float]]:
    """Rows of an hour as one frame, by level."""
    began = time.process_time()
    laid = variant.forward(rows)
    layout_s = time.process_time() - began
    assert np.ascontiguousarray(variant.back(laid, rows)).tobytes() == rows.tobytes(), "not lossless"
    return {str(level): _cost([laid], level, rows.nbytes, layout_s) for level in LEVELS}


def reading_alone(rows: Rows, train: Rows | None) -> dict[str, dict[str, float]]:
    """Each reading as a frame of its own, with a dictionary trained on other homes if `train` is given."""
    dictionary = None
    if train is not None:
        samples = [row.tobytes() for row in train]
        dictionary = zstandard.train_dictionary(DICTIONARY_BYTES, samples, level=9)
    return {
        str(level): _cost([row.tobytes() for row in rows], level, rows.nbytes, 0.0, dictionary)
        for level in (3, 9, 19)
    }


def _cost(
    parts: Sequence[bytes],
    level: int,
    raw_bytes: int,
    before_s: float,
    dictionary: zstandard.ZstdCompressionDict | None = None,
) -> dict[str, float]:
    compressor = zstandard.ZstdCompressor(level=level, dict_data=dictionary)
    began = time.process_time()
    frames = [compressor.compress(part) for part in parts]
    spent_s = before_s + time.process_time() - began
    decompressor = zstandard.ZstdDecompressor(dict_data=dictionary)
    assert [decompressor.decompress(frame) for frame in frames] == list(parts), "not lossless"
    return {
        "of_raw": round(sum(map(len, frames)) / raw_bytes, 4),
        "cpu_s_per_mb": round(spent_s / (raw_bytes / 1e6), 4),
    }


def whole_hour(bodies: Sequence[pb.Body]) -> dict[str, Any]:
    """One home's hour: minutes as the full uplink compresses them, and the object by level and block."""
    raw = sum(body.ByteSize() for body in bodies)
    serialized = [body.SerializeToString(deterministic=True) for body in bodies]
    found: dict[str, Any] = {"body_mb": round(raw / 1e6, 3), "full, a frame a minute": {}}
    for level in (3, 9, 19):
        found["full, a frame a minute"][str(level)] = _cost(serialized, level, raw, 0.0)
    whole = b"".join(serialized)
    found["hour as one frame"] = {str(level): _cost([whole], level, raw, 0.0) for level in (3, 19)}
    readings = [reading for body in bodies for reading in body.readings]
    for level in (3, 9, 15, 19):
        for block_kb in (64, 256, 1024) if level == 19 else (256,):
            made = _object_cost(readings, level, block_kb)
            made["of_body"] = round(made.pop("bytes") / raw, 4)
            made["cpu_s_per_mb"] = round(made.pop("cpu_s") / (raw / 1e6), 4)
            found[f"object, level {level}, blocks of {block_kb} kB"] = made
    return found


def _object_cost(readings: Sequence[pb.Reading], level: int, block_kb: int) -> dict[str, float]:
    with mock.patch.multiple(bulk, LEVEL=level, BLOCK_BYTES=block_kb << 10):
        began = time.process_time()
        data = bulk.pack_object(readings, "home", "gw")
        spent_s = time.process_time() - began
        _, back = bulk.unpack_object(data)
    key = lambda r: r.SerializeToString(deterministic=True)  # noqa: E731
    assert sorted(map(key, back)) == sorted(map(key, readings)), "not lossless"
    return {"bytes": len(data), "cpu_s": spent_s}


def main(arguments: list[str] | None = None) -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--minutes", type=int, default=60)
    options = parser.parse_args(arguments)
    load = report.load_1min()
    homes = {n: render(SEED, n, options.minutes, START_US) for n in (*TEST_HOMES, *TRAIN_HOMES)}
    readings = {n: [r for m in minutes for r in m.body.readings] for n, minutes in homes.items()}
    test = [r for n in TEST_HOMES for r in readings[n]]
    train = [r for n in TRAIN_HOMES for r in readings[n]]
    kinds: dict[str, Any] = {}
    for name, kind in KINDS.items():
        rows = rows_of(test, kind)
        kinds[name] = {
            "raw_mb": round(rows.nbytes / 1e6, 3),
            "reading alone": reading_alone(rows, None),
            "reading alone, dictionary": reading_alone(rows, rows_of(train, kind)),
            **{f"hour, {label}": hour_together(rows, variant) for label, variant in variants(kind).items()},
        }
        best = min(
            (cost["of_raw"], label, level)
            for label, levels in kinds[name].items()
            if isinstance(levels, dict)
            for level, cost in levels.items()
        )
        print(f"{name}: best {best[1]} at level {best[2]}: {best[0]:.3f} of raw")
    hours = {f"home {n}": whole_hour([m.body for m in homes[n]]) for n in TEST_HOMES}
    for home, found in hours.items():
        for label, cost in found.items():
            print(home, label, cost)
    figures = {
        "seed": SEED,
        "test_homes": TEST_HOMES,
        "train_homes": TRAIN_HOMES,
        "minutes": options.minutes,
        "kinds": kinds,
        "hours": hours,
    }
    report.write(options.json, report.document("compression", figures, [], load))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
