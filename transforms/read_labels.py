"""Labels of closed alarms, from Firestore or a file, → spans of minutes (transforms.training_rows)."""

from __future__ import annotations

from collections.abc import Iterable

from google.cloud.firestore_v1.base_query import FieldFilter
from pydantic import ValidationError

from schemas.alarms import LABELS, Label
from schemas.errors import BadInput
from transforms.compacted import read_object
from transforms.firestore_effects import RETRY, TIMEOUT_S, firestore_client
from transforms.training_rows import AT_MOST_US, BEFORE_US, Span, span_of

SCHEME = "firestore://"


def read_spans(source: str, first_us: int = 0, end_us: int = 1 << 62) -> list[Span]:
    """firestore://PROJECT, or a file of labels as JSON lines → the spans that touch [first_us, end_us).

    Raises:
        BadInput: A line of the file is no label.
        GoogleAPIError: Firestore did not answer.
    """
    labels = _from_firestore(source, first_us, end_us) if source.startswith(SCHEME) else _from_file(source)
    spans = (span_of(label) for label in labels)
    return sorted(span for span in spans if span and span.first_us < end_us and span.end_us > first_us)


def _from_file(path: str) -> Iterable[Label]:
    for number, line in enumerate(read_object(path).splitlines(), 1):
        try:
            yield Label.model_validate_json(line)
        except ValidationError as error:
            raise BadInput(f"{path}, line {number} is no label: {error.errors()[0]['msg']}") from error


def _from_firestore(source: str, first_us: int, end_us: int) -> Iterable[Label]:
    client = firestore_client(source.removeprefix(SCHEME))
    try:
        # One field only: no composite index is needed.
        query = (
            client.collection(LABELS)
            .where(filter=FieldFilter("from_us", ">=", first_us - AT_MOST_US))
            .where(filter=FieldFilter("from_us", "<", end_us + BEFORE_US))
        )
        found = query.stream(retry=RETRY, timeout=TIMEOUT_S)
        yield from (Label.model_validate(snapshot.to_dict()) for snapshot in found)
    finally:
        client.close()
