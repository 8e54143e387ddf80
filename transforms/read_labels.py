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
from transforms.training_rows import AT_MOST_US, BEFORE_US, Span, span_of

SCHEME = "firestore://"
_LONGEST_US = 8 * 3_600_000_000  # a test; an alarm speaks of less


def read_labels(source: str, first_us: int = 0, end_us: int = 1 << 62) -> list[Label]:
    """firestore://PROJECT, or a file of labels as JSON lines → labels that begin about [first_us, end_us).

    About: so far around that every label whose minutes touch it is among them.

    Raises:
        BadInput: A line of the file is no label.
        GoogleAPIError: Firestore did not answer.
    """
    if source.startswith(SCHEME):
        return sorted(_from_firestore(source, first_us, end_us), key=_order)
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


def _from_firestore(source: str, first_us: int, end_us: int) -> Iterable[Label]:
    """What was said in the console, in the app, and with the code at the keypad."""
    client = firestore_client(source.removeprefix(SCHEME))
    try:
        said = [
            Label.model_validate(document)
            for document in _between(client, LABELS, "from_us", first_us - _LONGEST_US, end_us + BEFORE_US)
        ]
        spoke = {
            alarm.alarm_id: alarm
            for field in ("cancelled_us", "owner_said.at_us")
            for alarm in map(
                Alarm.model_validate,
                _between(client, ALARMS, field, first_us - AT_MOST_US, end_us + AT_MOST_US),
            )
        }
        return [*said, *filter(None, map(owner_label, spoke.values()))]
    finally:
        client.close()


def _between(
    client: firestore.Client, collection: str, field: str, first_us: int, end_us: int
) -> Iterable[dict[str, Any]]:
    # One field only: no composite index is needed.
    query = (
        client.collection(collection)
        .where(filter=FieldFilter(field, ">=", first_us))
        .where(filter=FieldFilter(field, "<", end_us))
    )
    return (snapshot.to_dict() or {} for snapshot in query.stream(retry=RETRY, timeout=TIMEOUT_S))
