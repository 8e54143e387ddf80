"""DecodeBatches and WriteDeadLetters as composites."""

from __future__ import annotations

import io

import apache_beam as beam
import fastavro
import numpy as np
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from schemas import hearthwatch_v1_pb2 as pb
from schemas.archive import DEAD_LETTER_SCHEMA
from schemas.events import Code
from tests.fake_messages import raw_message
from tests.fakes import NOW_US, Fleet, body_of_minute, event, rebuilt_as
from transforms.decode_batches import NAMESPACE, DecodeBatches
from transforms.elements import DeadLetter
from transforms.write_dead_letters import WriteDeadLetters, dead_letter_row

FLEET = Fleet(5)


def counters(pipeline: beam.Pipeline) -> dict[str, int]:
    found = pipeline.result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == NAMESPACE}


def test_good_and_bad_batches_part_and_nothing_is_lost_between_in_and_out() -> None:
    gateway = FLEET.gateway(1)
    good = body_of_minute(NOW_US, np.random.default_rng(1), events=(event(Code.TAMPER),))
    spoilt = body_of_minute(NOW_US, np.random.default_rng(2), events=(event(Code.TAMPER, event_id=b""),))
    spoilt.readings[3].room = "x" * 65
    forged = rebuilt_as(
        gateway.envelope(pb.Body(events=[event(Code.FIRE, event_id=3)]), seq=3), signature=b"no"
    )
    payloads = [gateway.envelope(good, seq=1), gateway.envelope(spoilt, seq=2), forged, b"noise"]
    messages = [raw_message(p, message_id=f"m-{i}") for i, p in enumerate(payloads)]
    pipeline = TestPipeline()
    with pipeline:
        outputs = pipeline | beam.Create(messages) | "DecodeBatches" >> DecodeBatches(FLEET.ca_pem)
        readings = outputs.readings | "Readings" >> beam.Map(lambda r: (r.home_id, r.seq))
        events = outputs.events | "Events" >> beam.Map(lambda e: (e.home_id, e.seq, e.verified))
        summaries = outputs.summaries | "Summaries" >> beam.Map(lambda s: s.seq)
        rejected = outputs.rejected | "Rejected" >> beam.Map(
            lambda d: (d.message_id, d.stage, d.scope, d.part)
        )
        assert_that(readings, equal_to([("home-0001", 1)] * 10 + [("home-0001", 2)] * 9), "AssertReadings")
        assert_that(events, equal_to([("home-0001", 1, True), ("home-0001", 3, False)]), "AssertEvents")
        assert_that(summaries, equal_to([1, 2]), "AssertSummaries")
        assert_that(
            rejected,
            equal_to(
                [
                    ("m-1", "reading", "reading", 3),
                    ("m-1", "event", "event", 0),
                    ("m-2", "signature", "batch", -1),
                    ("m-3", "envelope", "batch", -1),
                ]
            ),
            "AssertRejected",
        )
    count = counters(pipeline)
    for part, total in (("batches", 4), ("readings", 20), ("events", 2)):
        assert count[f"{part}_in"] == total
        assert count[f"{part}_in"] == count[f"{part}_out"] + count[f"{part}_rejected"]
    assert count["events_unverified"] == 1


def test_dead_letters_become_rows_that_avro_takes_whole() -> None:
    payload = FLEET.gateway(1).envelope(pb.Body(), seq=1)[:-9]
    with TestPipeline() as pipeline:
        outputs = pipeline | beam.Create([raw_message(payload)]) | DecodeBatches(FLEET.ca_pem)
        rows = outputs.rejected | WriteDeadLetters(beam.Map(_through_avro))
        shape = rows | "Shape" >> beam.Map(
            lambda r: (r["scope"], r["part"], r["attributes"]["lane"], r["payload"])
        )
        assert_that(shape, equal_to([("batch", -1, "minutes", payload)]))


def test_row_has_exactly_the_columns_of_its_schema() -> None:
    letter = DeadLetter("body", "BadInput", "m", "batch", -1, "h", "g", "id", NOW_US, ["a=b=c", "junk"], b"x")
    row = dead_letter_row(letter)
    assert set(row) == {field["name"] for field in DEAD_LETTER_SCHEMA["fields"]}
    assert row["attributes"] == {"a": "b=c"}


def _where(letter: DeadLetter) -> tuple[str, str, str, int]:
    return letter.message_id, letter.stage, letter.scope, letter.part


def _through_avro(row: dict) -> dict:
    schema = fastavro.parse_schema(DEAD_LETTER_SCHEMA)
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, row)
    buffer.seek(0)
    return fastavro.schemaless_reader(buffer, schema, schema)
