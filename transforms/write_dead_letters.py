"""Dead letters → Avro rows that `pipelines/replay.py` can send back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from transforms.elements import DeadLetter


def dead_letter_row(letter: DeadLetter) -> dict[str, Any]:
    """Dead letter → row of schemas.archive.DEAD_LETTER_SCHEMA."""
    return {
        "stage": letter.stage,
        "error_type": letter.error_type,
        "message": letter.message,
        "scope": letter.scope,
        "part": letter.part,
        "home_id": letter.home_id,
        "gateway_id": letter.gateway_id,
        "message_id": letter.message_id,
        "publish_time": letter.publish_us,
        "attributes": dict(pair.split("=", 1) for pair in letter.attributes if "=" in pair),
        "payload": letter.payload,
    }


@dataclass
class WriteDeadLetters(beam.PTransform):
    """DeadLetter → whatever `sink` gives back after it wrote the rows.

    Attributes:
        sink: Takes rows of schemas.archive.DEAD_LETTER_SCHEMA, chosen by io.
    """

    sink: beam.PTransform

    def expand(self, letters: PCollection[DeadLetter]):  # type: ignore[no-untyped-def]
        return letters | "DeadLetterRows" >> beam.Map(dead_letter_row) | "WriteRows" >> self.sink
