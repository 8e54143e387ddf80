"""What was said of alarms and times, from Firestore or a file → labels, and the minutes they speak of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter
from pydantic import ValidationError

from schemas.alarms import ALARMS, Alarm
from schemas.errors import BadInput
from schemas.labels import LABELS, Label, owner_label
from transforms.compacted import read_object
from transforms.firestore_effects import RETRY, TIMEOUT_S, firestore_client
from transforms.training_rows import Span, span_of

SCHEME = "firestore://"


def read_labels(source: str) -> list[Label]:
    """firestore://PROJECT, or a file of labels as JSON lines → all labels, by their beginning.

    Raises:
        BadInput: A line of the file is no label.
        GoogleAPIError: Firestore did not answer.
    """
    if source.startswith(SCHEME):
        return sorted(_from_firestore(source), key=_order)
    return sorted(_from_file(source), key=_order)


def spans_of(labels: Iterable[Label]) -> list[Span]:
    """Labels → the minutes they speak of; those that say nothing are left out."""
    return sorted(span for span in map(span_of, labels) if span)


def _order(label: Label) -> tuple[int, str]:
    return label.from_us, label.label_id


def _from_file(path: str) -> Iterable[Label]:
    for number, line in enumerate(read_object(path).splitlines(), 1):
        try:
            yield Label.model_validate_json(line)
        except ValidationError as error:
            raise BadInput(f"{path}, line {number} is no label: {error.errors()[0]['msg']}") from error


def _from_firestore(source: str) -> Iterable[Label]:
    """What was said in the console, in the app, and with the code at the keypad."""
    client = firestore_client(source.removeprefix(SCHEME))
    try:
        said = [Label.model_validate(document) for document in _having(client, LABELS, "from_us")]
        spoke = {
            alarm.alarm_id: alarm
            for field in ("cancelled_us", "owner_said.at_us")
            for alarm in map(Alarm.model_validate, _having(client, ALARMS, field))
        }
        return [*said, *filter(None, map(owner_label, spoke.values()))]
    finally:
        client.close()


def _having(client: firestore.Client, collection: str, field: str) -> Iterable[dict[str, Any]]:
    """Documents in which this time is set."""
    query = client.collection(collection).where(filter=FieldFilter(field, ">=", 0))
    return (snapshot.to_dict() or {} for snapshot in query.stream(retry=RETRY, timeout=TIMEOUT_S))
