"""Compaction on files: nothing lost, nothing twice, the same again, and a ledger that adds up."""

from __future__ import annotations

import io
import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pytest

from pipelines import compaction
from pipelines.compact import main
from schemas import hearthwatch_v1_pb2 as pb
from schemas.compacted import Counts
from tests.archives import files_of, fleet_ca, forged, garbage, minute_message, write_landing
from tests.fakes import EPOCH, FakeGateway, Fleet
from transforms.compact_archive import part_files
from transforms.compacted import manifests, visible
from transforms.elements import RawMessage

pytestmark = pytest.mark.system  # starts nothing, but runs some 60 pipelines in process: about 25 s

DAY = "2026-03-01"


class Place(NamedTuple):
    """Folders of one test, and its fleet."""

    fleet: Fleet
    archive: str
    output: Path
    ca: str

    def compact(self, *more: str) -> int:
        options = ["--archive", self.archive, "--output", str(self.output), "--fleet-ca", self.ca]
        return main([*options, *more])

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the parts that count, part after part."""
        current = manifests(str(self.output))
        return [
            row
            for day, manifest in current.items()
            for part in manifest.parts
            for row in read_part(self.output / f"day={day}" / part.name)
        ]

    def ledger(self) -> list[dict[str, Any]]:
        files = sorted((self.output / "ledger").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def read_part(path: Path) -> list[dict[str, Any]]:
    return list(fastavro.reader(io.BytesIO(path.read_bytes())))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    fleet = Fleet(3)
    return Place(fleet, str(tmp_path / "archive"), tmp_path / "compacted", fleet_ca(fleet, tmp_path))


def everything(first: FakeGateway, second: FakeGateway) -> list[RawMessage]:
    """Two homes: of the first, 3 is lost, 5 declared, 6 came twice, 7 was used twice; and bad messages."""
    gap = pb.Gap(epoch=EPOCH, first_seq=5, last_seq=5, reason=pb.GAP_REASON_OUTBOX_FULL)
    kept = [minute_message(first, seq) for seq in (1, 2, 4, 6, 7)]
    return [
        *kept,
        minute_message(first, 8, gaps=[gap]),
        minute_message(first, 6, copy=1),
        minute_message(first, 7, seed=1),
        *(minute_message(second, seq) for seq in (1, 2, 3)),
        garbage(1),
        garbage(2),
        forged(second, 90, 100),
    ]


def test_all_is_kept_once_and_the_ledger_is_exact(place: Place) -> None:
    first, second = place.fleet.gateway(1), place.fleet.gateway(2)
    messages = everything(first, second)
    for index, some in enumerate((messages[:5], messages[5:9], messages[9:])):
        write_landing(place.archive, some, str(index))

    assert place.compact() == 0

    rows = place.rows()
    assert {row["envelope"] for row in rows} == {message.payload for message in messages}
    assert len(rows) == len(messages) - 1  # the copy
    assert [(row["home_id"], row["publish_time"]) for row in rows] == sorted(
        (row["home_id"], row["publish_time"]) for row in rows
    )
    counts = manifests(str(place.output))[DAY].counts
    assert counts == Counts(rows_in=14, kept=13, copies=1, unparsable=2, unverified=1, conflicts=1)
    one, other = place.ledger()
    shown = ("home_id", "expected", "received", "duplicate", "declared", "unexplained", "conflicts")
    assert [one[name] for name in shown] == ["home-0001", 8, 6, 1, 1, 1, 1]
    assert [other[name] for name in shown] == ["home-0002", 3, 3, 0, 0, 0, 0]
    assert [(hole["first_seq"], hole["after_time"], hole["before_time"]) for hole in one["holes"]] == [
        (3, "2026-03-01T12:03:00.000000Z", "2026-03-01T12:05:00.000000Z")
    ]
    assert [(gap["first_seq"], gap["reason"]) for gap in one["gaps"]] == [(5, "outbox_full")]


def test_running_it_twice_changes_nothing(place: Place) -> None:
    write_landing(place.archive, everything(place.fleet.gateway(1), place.fleet.gateway(2)), "0")
    assert place.compact() == 0
    before = files_of(place.output)
    assert place.compact() == 0
    assert files_of(place.output) == before


def test_the_same_objects_give_the_same_bytes_elsewhere(place: Place, tmp_path: Path) -> None:
    write_landing(place.archive, everything(place.fleet.gateway(1), place.fleet.gateway(2)), "0")
    assert place.compact() == 0
    assert place._replace(output=tmp_path / "again").compact() == 0
    assert files_of(tmp_path / "again") == files_of(place.output)


def test_late_objects_are_added_and_nothing_else_changes(place: Place) -> None:
    gateway = place.fleet.gateway(1)
    write_landing(place.archive, [minute_message(gateway, seq) for seq in (1, 2, 4)], "0")
    assert place.compact() == 0
    before = files_of(place.output / f"day={DAY}")
    late = [
        minute_message(gateway, 3),
        minute_message(gateway, 2, copy=1),
        minute_message(gateway, 4, seed=9),
    ]
    write_landing(place.archive, late, "late")
    assert place.compact() == 0

    after = files_of(place.output / f"day={DAY}")
    assert before.items() <= after.items()
    assert sorted((row["seq"], row["message_id"]) for row in place.rows()) == [
        (1, "gw-0001-1-0-0"),
        (2, "gw-0001-2-0-0"),
        (3, "gw-0001-3-0-0"),
        (4, "gw-0001-4-0-0"),
        (4, "gw-0001-4-9-0"),
    ]
    (row,) = place.ledger()
    assert (row["expected"], row["received"], row["duplicate"], row["conflicts"]) == (4, 4, 1, 1)


def test_a_copy_that_comes_on_another_day_is_known(place: Place) -> None:
    gateway = place.fleet.gateway(1)
    write_landing(place.archive, [minute_message(gateway, 1)], "0")
    write_landing(place.archive, [minute_message(gateway, 1, copy=24 * 60)], "1")
    assert place.compact() == 0
    assert len(place.rows()) == 1
    (row,) = place.ledger()
    assert (row["received"], row["duplicate"], row["day_time"][:10]) == (1, 1, DAY)


@pytest.mark.parametrize("broken_at", ["first write", "verify", "commit"])
def test_a_crash_leaves_a_state_from_which_a_rerun_gives_the_same(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken_at: str
) -> None:
    gateway = place.fleet.gateway(1)
    write_landing(place.archive, [minute_message(gateway, seq) for seq in (1, 2, 3)], "0")
    whole = place._replace(output=tmp_path / "whole")
    assert whole.compact() == 0

    with monkeypatch.context() as patch:
        if broken_at == "first write":
            patch.setattr("transforms.compact_archive.write_object", _crash)
        elif broken_at == "verify":
            patch.setattr(compaction, "VerifyParts", _crash)
        else:
            patch.setattr(compaction, "commit", _crash)
        with pytest.raises(Exception, match="power cut"):
            place.compact()
    assert manifests(str(place.output)) == {}
    assert len(visible(place.archive, str(place.output))) == 1  # the old object, and nothing new

    assert place.compact() == 0
    assert files_of(place.output) == files_of(whole.output)


def _crash(*_: object, **__: object) -> None:
    raise RuntimeError("power cut")


def test_a_part_that_is_not_what_was_written_is_not_committed(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_landing(place.archive, [minute_message(place.fleet.gateway(1), seq) for seq in (1, 2)], "0")
    monkeypatch.setattr("transforms.compact_archive.write_object", _write_torn)
    assert place.compact() == 1
    assert "is not what was written" in capsys.readouterr().err
    assert manifests(str(place.output)) == {}


def _write_torn(path: str, data: bytes) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(data[:-1])


def test_a_message_that_merging_dropped_is_missed_by_the_verification(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_landing(place.archive, [minute_message(place.fleet.gateway(1), seq) for seq in (1, 2)], "0")
    monkeypatch.setattr("transforms.compact_archive.part_files", _forgetful(part_files))
    assert place.compact() == 1
    assert "is in no part" in capsys.readouterr().err


def _forgetful(real: Any) -> Any:
    def forget(merged: Any, *schemas: Any) -> Any:
        merged.rows.pop()
        merged.index.pop()
        return real(merged, *schemas)

    return forget


def test_an_object_that_cannot_be_read_stays_and_is_named(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_landing(place.archive, [minute_message(place.fleet.gateway(1), 1)], "0")[0]
    torn = Path(good.replace("minutes-0", "minutes-torn"))
    torn.write_bytes(Path(good).read_bytes()[:-40])
    assert place.compact() == 1
    assert "minutes-torn.avro cannot be read and stays as it is" in capsys.readouterr().err
    assert [entry.name for entry in manifests(str(place.output))[DAY].inputs] == [
        f"day={DAY}/hour=12/minutes-0.avro"
    ]
    assert str(torn) in visible(place.archive, str(place.output))


def test_memory_is_bounded_by_rounds_and_parts_without_changing_what_is_kept(place: Place) -> None:
    gateways = [place.fleet.gateway(number) for number in range(1, 5)]
    messages = [minute_message(gateway, seq) for gateway in gateways for seq in range(1, 90)]
    for at in range(0, len(messages), 80):
        write_landing(place.archive, messages[at : at + 80], str(at))
    assert place.compact("--round-mb=1", "--part-mb=1") == 0
    manifest = manifests(str(place.output))[DAY]
    assert manifest.number > 1
    assert {row["envelope"] for row in place.rows()} == {message.payload for message in messages}
    assert sum(row["received"] for row in place.ledger()) == len(messages)


def test_a_reader_sees_each_message_in_one_file_before_and_after(place: Place) -> None:
    gateway = place.fleet.gateway(1)
    old = write_landing(place.archive, [minute_message(gateway, 1)], "0")
    assert visible(place.archive, str(place.output)) == old
    assert place.compact() == 0
    late = write_landing(place.archive, [minute_message(gateway, 2)], "late")
    seen = visible(place.archive, str(place.output))
    assert old[0] not in seen
    assert set(late) <= set(seen)
    assert sorted(row["seq"] for path in seen for row in read_part(Path(path))) == [1, 2]


def test_inputs_are_deleted_only_after_their_days_and_only_while_every_part_is_there(place: Place) -> None:
    gateway = place.fleet.gateway(1)
    (old,) = write_landing(place.archive, [minute_message(gateway, 1)], "0")
    assert place.compact("--delete-inputs-after-days=3") == 0
    assert Path(old).exists()
    (late,) = write_landing(place.archive, [minute_message(gateway, 2)], "late")
    week_ago = time.time() - 7 * 86_400
    os.utime(place.output / f"day={DAY}" / "manifest-00001.json", (week_ago, week_ago))
    part = place.output / f"day={DAY}" / manifests(str(place.output))[DAY].parts[0].name
    data = part.read_bytes()
    part.write_bytes(data[:-1])
    assert place.compact("--delete-inputs-after-days=3") == 1
    assert Path(old).exists()
    part.write_bytes(data)
    assert place.compact("--delete-inputs-after-days=3") == 0
    assert (Path(old).exists(), Path(late).exists()) == (False, True)
    assert sorted(row["seq"] for row in place.rows()) == [1, 2]


def test_hours_that_were_not_asked_for_stay_as_they_are_and_are_no_hole(place: Place) -> None:
    gateway = place.fleet.gateway(1)
    write_landing(place.archive, [minute_message(gateway, seq) for seq in range(1, 121)], "0")
    assert place.compact("--from", "2026-03-01T13", "--to", "2026-03-01T14") == 0
    assert sorted(row["seq"] for row in place.rows()) == list(range(59, 119))
    (row,) = place.ledger()
    assert (row["received"], row["unexplained"]) == (60, 0)


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--from", "yesterday"], "--from: Value error, not an hour of arrival like 2026-03-01T12"),
        (["--from", "2026-03-02T00", "--to", "2026-03-01T00"], "limit: before to, 2026-03-01T00"),
        (["--fleet-ca", "/nowhere/ca.pem"], "(given: /nowhere/ca.pem)"),
        (["--part-mb", "0"], "--part-mb: Input should be greater than or equal to 1 (given: 0)"),
        (["--warehouse", "bigquery://p.d"], "load jobs want a gs:// folder"),
        ([], "no day=…/hour=…/*.avro in the hours asked for"),
    ],
)
def test_bad_options_are_named(
    place: Place, capsys: pytest.CaptureFixture[str], more: list[str], complaint: str
) -> None:
    assert place.compact(*more) == 2
    assert complaint in capsys.readouterr().err
