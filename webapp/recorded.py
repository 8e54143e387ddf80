"""The last hour of a home as its gateway recorded it: curves of every sensor, and what was heard.

Receipts in the warehouse say which archive objects hold the home's messages. Of each message certificate,
signature, home and readings are checked here, because the archive keeps everything that came, also what was
forged. Whether the certificate was revoked since is not: what is drawn was recorded before. The warehouse
learns of a minute some minutes later; the curves that come with an alarm are newer.
"""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, cast

import fastavro
import numpy as np
from cryptography import x509
from numpy.typing import NDArray

from schemas import hearthwatch_v1_pb2 as pb
from schemas.alarms import SeriesDoc
from schemas.archive import ARCHIVE_SCHEMA
from schemas.envelope import open_body, parse_envelope, verify_signature
from schemas.errors import BadInput
from schemas.identity import read_certificate
from schemas.readings import (
    AIR_CHANNELS,
    MINUTE_US,
    PIR_HZ,
    READING_KINDS,
    SECONDS,
    acceleration,
    air_samples,
    check_reading,
    log_mel,
    pir_waveform,
    sound_levels,
)
from webapp.errors import NotFound
from webapp.folders import Folder
from webapp.warehouse import Warehouse

log = logging.getLogger(__name__)
HOUR_MINUTES: Final = 60
LATE_US: Final = 30 * MINUTE_US  # a minute may arrive so much later than it was recorded
STEP_S: Final = 4  # a point of a curve
STEPS: Final = SECONDS // STEP_S
COLUMNS, BANDS = 8, 16  # of a minute in the spectrogram; the recorded 160 frames and 64 bands, averaged
READERS: Final = 8
_KEPT: Final = ("home_id", "envelope")
_SHORT: Final[dict[str, Any]] = {
    **ARCHIVE_SCHEMA,
    "fields": [field for field in ARCHIVE_SCHEMA["fields"] if field["name"] in _KEPT],
}
_ACCEL_HZ: Final = 25


class Spectrogram(NamedTuple):
    """What a sound sensor heard: of each minute the loudest 1.6 s, beside each other.

    Attributes:
        data: base64 of uint8[BANDS, columns], low bands first; 0 is no data.
    """

    sensor_id: str
    room: str
    start_us: int
    period_us: int
    bands: int
    columns: int
    data: str


class Hour(NamedTuple):
    """Curves on one grid of time from `start_us`. `unread`: objects that are not there any more."""

    start_us: int
    series: list[SeriesDoc]
    spectrograms: list[Spectrogram]
    unread: int


class Recorder:
    """Reads homes' hours from the archive."""

    def __init__(self, folder: Folder, warehouse: Warehouse, ca: x509.Certificate) -> None:
        self._folder, self._warehouse, self._ca = folder, warehouse, ca

    def hour(self, home_id: str, now_us: int) -> Hour:
        """The hour before now.

        Raises:
            Unreachable: Warehouse or object storage does not answer.
        """
        start_us = now_us // MINUTE_US * MINUTE_US - (HOUR_MINUTES - 1) * MINUTE_US
        names = self._warehouse.objects(home_id, start_us - LATE_US)
        with ThreadPoolExecutor(READERS) as pool:
            found = list(pool.map(self._object, names))
        rows = (row for data in found if data is not None for row in _rows(data, home_id))
        readings = [reading for row in rows for reading in self._readings(row, home_id)]
        inside = [r for r in readings if start_us <= r.minute_us < start_us + HOUR_MINUTES * MINUTE_US]
        return Hour(
            start_us, curves(inside, start_us), spectrograms(inside, start_us), sum(d is None for d in found)
        )

    def _object(self, name: str) -> bytes | None:
        try:
            return self._folder.read(name.removeprefix(self._folder.url))
        except NotFound:
            return None

    def _readings(self, payload: bytes, home_id: str) -> Iterator[pb.Reading]:
        try:
            envelope, header = parse_envelope(payload)
            identity = read_certificate(envelope.certificate, self._ca)
            verify_signature(envelope, identity.key)
            if (identity.home_id, identity.gateway_id) != (home_id, header.gateway_id):
                raise BadInput("certificate is another home's")
            body = open_body(envelope, header)
        except BadInput as error:
            log.warning("not drawn: a message of %s: %s", home_id, error)
            return
        for reading in body.readings:
            try:
                check_reading(reading)
            except BadInput:
                continue  # a dead letter: Operations shows it
            yield reading


def curves(readings: Iterable[pb.Reading], start_us: int) -> list[SeriesDoc]:
    """Readings of an hour → one curve a sensor and quantity, a value each `STEP_S` seconds, None where there
    is no data."""
    made: dict[tuple[str, str], SeriesDoc] = {}
    for reading in readings:
        kind = READING_KINDS[reading.kind]
        first = (reading.minute_us - start_us) // MINUTE_US * STEPS
        for quantity, unit, values in _quantities(kind, reading):
            key = (reading.sensor_id, quantity)
            series = made.get(key) or SeriesDoc(
                sensor_id=reading.sensor_id,
                kind=kind,
                room=reading.room,
                quantity=quantity,
                unit=unit,
                start_us=start_us,
                period_us=STEP_S * 1_000_000,
                values=[None] * (HOUR_MINUTES * STEPS),
            )
            series.values[first : first + STEPS] = values
            made[key] = series
    return [made[key] for key in sorted(made)]


def spectrograms(readings: Iterable[pb.Reading], start_us: int) -> list[Spectrogram]:
    """Sound readings of an hour → one picture a sensor."""
    pictures: dict[str, tuple[str, NDArray[np.uint8]]] = {}
    for reading in readings:
        heard = log_mel(reading.sound) if READING_KINDS[reading.kind] == "sound" else None
        if heard is None:
            continue
        blank = np.zeros((BANDS, HOUR_MINUTES * COLUMNS), np.uint8)
        _, picture = pictures.setdefault(reading.sensor_id, (reading.room, blank))
        frames, bands = heard.shape
        pooled = heard.reshape(COLUMNS, frames // COLUMNS, BANDS, bands // BANDS).mean(axis=(1, 3))
        first = (reading.minute_us - start_us) // MINUTE_US * COLUMNS
        picture[:, first : first + COLUMNS] = np.maximum(pooled, 1).astype(np.uint8).T
    return [
        Spectrogram(
            sensor,
            room,
            start_us,
            MINUTE_US // COLUMNS,
            BANDS,
            HOUR_MINUTES * COLUMNS,
            base64.b64encode(picture.tobytes()).decode(),
        )
        for sensor, (room, picture) in sorted(pictures.items())
    ]


def _quantities(kind: str, reading: pb.Reading) -> Iterator[tuple[str, str, list[float | None]]]:
    """A reading → (quantity, unit, `STEPS` values)."""
    present = _present(reading)
    if kind == "air":
        samples = air_samples(reading.air)
        for column, channel in enumerate(AIR_CHANNELS):
            yield channel.name, channel.unit, _steps(samples[:, column], present)
    elif kind == "sound":
        levels = sound_levels(reading.sound)
        if len(levels):
            yield "sound_dba", "dB(A)", _steps(levels, present)
    elif kind == "motion":
        waveform = pir_waveform(reading.motion)
        if waveform is None:
            yield "motion", "", _steps(np.full(SECONDS, float(reading.motion.occupied)), present)
        else:
            swing = np.abs(waveform.astype(np.float32)).reshape(SECONDS, PIR_HZ).max(axis=1)
            yield "pir", "counts", _steps(swing, present)
    else:
        shaken = acceleration(reading.contact)
        if shaken is not None:
            wave = shaken.astype(np.float32).reshape(SECONDS, _ACCEL_HZ, 3)
            swing = np.linalg.norm(wave - wave.mean(axis=1, keepdims=True), axis=2).max(axis=1)
            yield "shake_mg", "mg", _steps(swing, present)
        yield "open", "", _steps(_open_seconds(reading.contact), present)


def _open_seconds(contact: pb.ContactPayload) -> NDArray[np.float32]:
    """Whether it was open in each second: the state at the end of the minute, turned back at each change."""
    state, found = float(contact.open), np.zeros(SECONDS, np.float32)
    changes = sorted(contact.changes_ms, reverse=True)
    for second in reversed(range(SECONDS)):
        found[second] = state
        while changes and changes[0] >= second * 1000:
            changes.pop(0)
            state = 1.0 - state
            found[second] = max(found[second], state)  # open at any time of it
    return found


def _present(reading: pb.Reading) -> NDArray[np.bool_]:
    bits = np.array([reading.seconds_present], "<u8").view(np.uint8)
    return np.unpackbits(bits, bitorder="little")[:SECONDS].astype(bool)


def _steps(seconds: NDArray[Any], present: NDArray[np.bool_]) -> list[float | None]:
    """A value a second → the greatest of each step's measured seconds; None where there is none."""
    values = np.where(present, seconds.astype(np.float64), -np.inf).reshape(STEPS, STEP_S).max(axis=1)
    return [round(float(value), 2) if np.isfinite(value) else None for value in values]


def _rows(data: bytes, home_id: str) -> Iterator[bytes]:
    for row in cast("Iterator[dict[str, Any]]", fastavro.reader(io.BytesIO(data), _SHORT)):
        if row["home_id"] == home_id:
            yield row["envelope"]
