"""Dead letters go back whole, once, and only those that are wanted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fastavro
import pytest

from schemas import hearthwatch_v1_pb2 as pb
from schemas.archive import DEAD_LETTER_SCHEMA, partition
from schemas.errors import BadInput
from tests.archives import minute_message
from tests.fakes import Fleet
from tests.transforms.runs import run_batch
from transforms.batch_parts import Fault, dead_letter
from transforms.elements import RawMessage
from transforms.resend_dead_letters import (
    Letter,
    ResendDeadLetters,
    Wanted,
    list_letters,
    message_of,
    read_letters,
    resent_before,
)
from transforms.write_dead_letters import dead_letter_row
from transforms.write_objects import avro_bytes, write_object

FLEET = Fleet(8)
MESSAGES = [minute_message(FLEET.gateway(number), 1) for number in (1, 2)]
SENT: list[Letter] = []  # what any copy of the publisher sent, in this process


class Outbox:
    """A publisher that keeps what it was given."""

    def publish(self, letters: Iterable[Letter]) -> None:
        SENT.extend(letters)

    def close(self) -> None:
        pass


class Broken(Outbox):
    """Pub/Sub that confirms nothing."""

    def publish(self, letters: Iterable[Letter]) -> None:
        raise TimeoutError(f"not confirmed: {len(list(letters))}")


def write_letters(folder: Path, *faults: tuple[RawMessage, str, str, int]) -> None:
    """(message, stage, why, part) → one object of dead letters, as the monitor writes it."""
    rows = []
    for message, stage, why, part in faults:
        home = dict(pair.split("=") for pair in message.attributes)["home_id"]
        header = pb.Header(home_id=home, gateway_id="gw")
        fault = Fault(stage, BadInput(why))
        rows.append(dead_letter_row(dead_letter(message, header, fault, "reading", part)))
    data = avro_bytes(rows, fastavro.parse_schema(DEAD_LETTER_SCHEMA))
    write_object(f"{folder}/{partition(rows[0]['publish_time'])}/dead_letters-1.avro", data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    SENT.clear()
    write_letters(
        tmp_path,
        (MESSAGES[0], "reading", "co is 3", 0),
        (MESSAGES[0], "reading", "co is 4", 1),
        (MESSAGES[1], "certificate", "not of this fleet", -1),
    )
    return tmp_path


def resend(folder: Path, publisher: Any = Outbox, **wanted: str) -> list[dict[str, Any]]:
    done = resent_before(str(folder))
    transform = ResendDeadLetters(str(folder), Wanted(**wanted), done, publisher, lambda: 0)
    lines = run_batch(list_letters(str(folder)), lambda paths: {"lines": paths | transform})["lines"]
    return [json.loads(line) for line in lines]


def test_a_message_goes_back_whole_and_once_however_many_dead_letters_it_left(folder: Path) -> None:
    assert len(resend(folder)) == 2
    whole = [message._replace(attributes=sorted(message.attributes)) for message in MESSAGES]
    assert sorted(message_of(letter) for letter in SENT) == sorted(whole)
    assert resend(folder) == []
    assert len(SENT) == 2


def test_a_dry_run_sends_and_marks_nothing(folder: Path) -> None:
    told = resend(folder, None)
    assert [one["resent"] for one in told] == [False, False]
    assert SENT == []
    assert resent_before(str(folder)) == frozenset()


def test_what_pubsub_did_not_confirm_is_not_marked(folder: Path) -> None:
    with pytest.raises(TimeoutError, match="not confirmed"):
        resend(folder, Broken)
    assert resent_before(str(folder)) == frozenset()


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"stage": "certificate"}, 1),
        ({"reason": "co is"}, 2),
        ({"reason": "BadInput"}, 3),
        ({"home": "home-0002"}, 1),
        ({"first": "2026-03-01T12", "end": "2026-03-01T13"}, 3),
        ({"end": "2026-03-01T12"}, 0),
    ],
)
def test_only_what_is_wanted_is_read(folder: Path, wanted: dict[str, str], count: int) -> None:
    (path,) = list_letters(str(folder))
    assert len(list(read_letters(path, Wanted(**wanted)))) == count
