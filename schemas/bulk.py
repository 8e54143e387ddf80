"""Readings of an hour ↔ one lossless object: the payloads that did not travel live.

What a reading says beside its arrays is kept as it is; arrays of one kind are laid side by side,
turned into what zstd likes (docs/decisions/011-bulk-object.md has the figures) and compressed in
blocks that bound the memory of both ends. Equal readings give equal bytes, so that an object can be
made again and named by its hash.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import zstandard
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput
from schemas.readings import ACCEL_SHAPE, AIR_SHAPE, LOG_MEL_SHAPE, PIR_SHAPE, SECONDS, check_reading

VERSION: Final = 1
MAX_MINUTE_US: Final = 4_102_444_800_000_000  # 2100: what a name can say
PREFIX: Final = "bulk"
MAX_OBJECT_BYTES: Final = 64 << 20
MAX_RAW_BYTES: Final = 128 << 20  # refuses a decompression bomb before it unfolds
BLOCK_BYTES: Final = 256 << 10  # zstd's tables for a block of this size take a few MB, whatever the level
LEVEL: Final = 19
_IN_STREAM: Final = b"\x00"  # stands for an array; no array of ours is one byte long
_EPOCH: Final = dt.datetime.fromtimestamp(0, dt.UTC)


class _Array(NamedTuple):
    """One array field of readings.

    Attributes:
        payload, field: Where it stands in a reading.
        forward: [rows, *shape] → bytes that compress well. back: the inverse, given the rows.
    """

    payload: str
    field: str
    dtype: str
    shape: tuple[int, ...]
    forward: Callable[[NDArray[Any]], bytes]
    back: Callable[[bytes, int], NDArray[Any]]

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


def _delta(dtype: str, shape: tuple[int, ...], axis: int) -> dict[str, Any]:
    """Differences along one axis of a row; integers wrap around, so nothing is lost."""

    def forward(rows: NDArray[Any]) -> bytes:
        zero = np.zeros_like(rows.take([0], axis=axis))
        return np.diff(rows, axis=axis, prepend=zero).tobytes()

    def back(data: bytes, count: int) -> NDArray[Any]:
        return np.frombuffer(data, dtype).reshape(count, *shape).cumsum(axis=axis, dtype=dtype)

    return {"dtype": dtype, "shape": shape, "forward": forward, "back": back}


def _planes(dtype: str, shape: tuple[int, ...], xor: bool) -> dict[str, Any]:
    """Channel by channel over all rows, then byte by byte.

    Args:
        xor: Of neighbours: slow floats share sign, exponent and the head of the mantissa.
    """
    bits = np.dtype(f"<u{np.dtype(dtype).itemsize}")
    channels = shape[-1]

    def forward(rows: NDArray[Any]) -> bytes:
        flat = np.moveaxis(rows, -1, 0).reshape(channels, -1).view(bits)
        if xor:
            flat = np.concatenate([flat[:, :1], flat[:, 1:] ^ flat[:, :-1]], axis=1)
        return np.ascontiguousarray(
            np.ascontiguousarray(flat).view(np.uint8).reshape(-1, bits.itemsize).T
        ).tobytes()

    def back(data: bytes, count: int) -> NDArray[Any]:
        shuffled = np.frombuffer(data, np.uint8).reshape(bits.itemsize, -1)
        flat = np.ascontiguousarray(shuffled.T).view(bits).reshape(channels, -1)
        if xor:
            flat = np.bitwise_xor.accumulate(flat, axis=1)
        return np.moveaxis(flat.view(dtype).reshape(channels, count, *shape[:-1]), 0, -1)

    return {"dtype": dtype, "shape": shape, "forward": forward, "back": back}


_ARRAYS: Final = {
    pb.BULK_ARRAY_PIR: _Array("motion", "pir", **_delta("<i2", PIR_SHAPE, 1)),
    pb.BULK_ARRAY_LOG_MEL: _Array("sound", "log_mel", **_delta("|u1", LOG_MEL_SHAPE, 2)),
    pb.BULK_ARRAY_LEVELS: _Array("sound", "levels", **_delta("|u1", (SECONDS,), 1)),
    pb.BULK_ARRAY_AIR: _Array("air", "samples", **_planes("<f4", AIR_SHAPE, xor=True)),
    pb.BULK_ARRAY_ACCEL: _Array("contact", "accel", **_planes("<i2", ACCEL_SHAPE, xor=False)),
}


def object_name(home_id: str, gateway_id: str, first_minute_us: int, sha256: bytes) -> str:
    """Name inside the bulk bucket: by it the cloud knows whose object it is, and what it must contain.

    >>> object_name("home-7", "gw-7", 0, bytes(32))[:44]
    'bulk/home-7/gw-7/1970-01-01T0000-00000000000'
    """
    start = (_EPOCH + dt.timedelta(microseconds=first_minute_us)).strftime("%Y-%m-%dT%H%M")
    return f"{PREFIX}/{home_id}/{gateway_id}/{start}-{sha256.hex()}.hwb"


def pack_object(readings: Iterable[pb.Reading], home_id: str, gateway_id: str) -> bytes:
    """Valid readings of one gateway, in any order → the object. At least one.

    Raises:
        BadInput: A reading is not valid, or there is none.
    """
    ordered = sorted(readings, key=lambda r: (r.kind, r.sensor_id, r.minute_us, r.reading_id))
    if not ordered:
        raise BadInput("object has 0 readings, limit: at least 1")
    for reading in ordered:
        check_reading(reading)
    streams = [
        _stream(array, layout.forward(rows))
        for array, layout in _ARRAYS.items()
        if (rows := _rows(ordered, layout)) is not None
    ]
    skeletons = pb.Body(readings=map(_skeleton, ordered)).SerializeToString(deterministic=True)
    minutes = [reading.minute_us for reading in ordered]
    return pb.BulkObject(
        version=VERSION,
        home_id=home_id,
        gateway_id=gateway_id,
        first_minute_us=min(minutes),
        last_minute_us=max(minutes),
        readings=len(ordered),
        streams=[_stream(pb.BULK_ARRAY_READINGS, skeletons), *streams],
    ).SerializeToString(deterministic=True)


def unpack_object(data: bytes) -> tuple[pb.BulkObject, list[pb.Reading]]:
    """Object from anywhere → its head (without streams) and readings, sorted by kind, sensor and minute.

    The readings are not checked beyond their arrays' sizes: `schemas.readings.check_reading` does that.

    Raises:
        BadInput: Oversize, another version, or not what `pack_object` makes.
    """
    if len(data) > MAX_OBJECT_BYTES:
        raise BadInput(f"object is {len(data)} bytes, limit {MAX_OBJECT_BYTES}")
    try:
        made = pb.BulkObject.FromString(data)
        if made.version != VERSION:
            raise BadInput(f"object has version {made.version}, known versions: {VERSION}")
        if (raw := sum(stream.size for stream in made.streams)) > MAX_RAW_BYTES:
            raise BadInput(f"object unfolds to {raw} bytes, limit {MAX_RAW_BYTES}")
        streams = {stream.array: stream for stream in made.streams}
        readings = pb.Body.FromString(_unfold(streams.pop(pb.BULK_ARRAY_READINGS, pb.BulkStream()))).readings
    except DecodeError as error:
        raise BadInput(f"not a bulk object: {error}") from error
    if len(readings) != made.readings:
        raise BadInput(f"object has {len(readings)} readings, its head says {made.readings}")
    for array, stream in streams.items():
        if array not in _ARRAYS:
            raise BadInput(f"array is {array}, known arrays: {sorted(_ARRAYS)}")
        _fill(readings, _ARRAYS[array], stream)
    _check_filled(readings)
    made.ClearField("streams")
    return made, list(readings)


def sha256(data: bytes) -> bytes:
    """What a notice says of its object."""
    return hashlib.sha256(data).digest()


def _rows(readings: Sequence[pb.Reading], layout: _Array) -> NDArray[Any] | None:
    """[rows, *shape] of the readings that have this array, None if none has."""
    found = [data for reading in readings if (data := _get(reading, layout))]
    if not found:
        return None
    return np.frombuffer(b"".join(found), layout.dtype).reshape(len(found), *layout.shape)


def _get(reading: pb.Reading, layout: _Array) -> bytes:
    if reading.WhichOneof("payload") != layout.payload:
        return b""
    return bytes(getattr(getattr(reading, layout.payload), layout.field))


def _skeleton(reading: pb.Reading) -> pb.Reading:
    bare = pb.Reading()
    bare.CopyFrom(reading)
    for layout in _ARRAYS.values():
        if _get(bare, layout):
            setattr(getattr(bare, layout.payload), layout.field, _IN_STREAM)
    return bare


def _stream(array: Any, raw: bytes) -> pb.BulkStream:
    compressor = zstandard.ZstdCompressor(level=LEVEL)
    parts = (raw[first : first + BLOCK_BYTES] for first in range(0, len(raw), BLOCK_BYTES))
    return pb.BulkStream(array=array, size=len(raw), blocks=map(compressor.compress, parts))


def _unfold(stream: pb.BulkStream) -> bytes:
    return b"".join(_blocks(stream))


def _blocks(stream: pb.BulkStream) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor()
    left = stream.size
    for block in stream.blocks:
        try:
            declared = zstandard.frame_content_size(block)
            if not 0 <= declared <= min(left, BLOCK_BYTES):  # before it unfolds
                raise BadInput(f"block unfolds to {declared} bytes, limit {min(left, BLOCK_BYTES)}")
            raw = decompressor.decompress(block, max_output_size=declared, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise BadInput(f"block does not unfold: {error}") from error
        left -= len(raw)
        yield raw
    if left:
        raise BadInput(f"stream {stream.array} is {left} bytes short of the {stream.size} that it declares")


def _fill(readings: Sequence[pb.Reading], layout: _Array, stream: pb.BulkStream) -> None:
    """Put a stream's rows back into the readings that wait for them, in order."""
    waiting = [reading for reading in readings if _get(reading, layout) == _IN_STREAM]
    if stream.size != len(waiting) * layout.row_bytes:
        raise BadInput(
            f"stream of {layout.payload}.{layout.field} is {stream.size} bytes, "
            f"limit exactly {len(waiting)} rows of {layout.row_bytes}"
        )
    for reading, row in zip(waiting, layout.back(_unfold(stream), len(waiting)), strict=True):
        setattr(getattr(reading, layout.payload), layout.field, row.tobytes())


def _check_filled(readings: Sequence[pb.Reading]) -> None:
    for layout in _ARRAYS.values():
        if any(_get(reading, layout) == _IN_STREAM for reading in readings):
            raise BadInput(f"object has no stream of {layout.payload}.{layout.field}, its readings want one")
