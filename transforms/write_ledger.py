"""WriteLedger: accounts of all days → the ledger's rows, a file a day, and the warehouse.

A day's file is named by the day and written only if it changed; its rows are then loaded again, and
`schemas.warehouse.current_sql` shows the newest of each key.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics

from schemas import hearthwatch_v1_pb2 as pb
from schemas.warehouse import LEDGER, SCHEMA_VERSION
from transforms.compacted import read_object
from transforms.exact_ledger import COUNTS, SETTLE_US, LedgerRow, ledger
from transforms.ledger_accounts import DAY_US, Account, merge, of_plain
from transforms.warehouse_loads import LoadTarget, load_data, timestamp
from transforms.write_objects import write_object
from transforms.write_warehouse import Row

_REASON: Final = "GAP_REASON_"


def ledger_row(row: LedgerRow, messages: int) -> Row:
    """LedgerRow → a row of `schemas.warehouse.LEDGER`.

    Args:
        messages: Accounted for of this gateway, on all days.
    """
    return {
        "home_id": row.home_id,
        "gateway_id": row.gateway_id,
        "day_time": timestamp(row.day * DAY_US),
        **{name: getattr(row, name) for name in COUNTS},
        "holes": [
            {
                "epoch": hole.epoch,
                "first_seq": hole.first,
                "last_seq": hole.last,
                "after_time": _time(hole.after_us),
                "before_time": _time(hole.before_us),
            }
            for hole in row.holes
        ],
        "gaps": [
            {
                "epoch": epoch,
                "first_seq": gap.first,
                "last_seq": gap.last,
                "reason": _reason(gap.reason),
                "first_time": _time(gap.first_us),
                "last_time": _time(gap.last_us),
            }
            for epoch, gap in row.gaps
        ],
        "bulk_missing": list(row.bulk_missing),
        "messages": messages,
        "schema_version": SCHEMA_VERSION,
    }


def _reason(number: int) -> str:
    if number not in pb.GapReason.values() or number == pb.GAP_REASON_UNSPECIFIED:
        return ""
    return pb.GapReason.Name(number).removeprefix(_REASON).lower()


def _time(us: int) -> str | None:
    """µs → timestamp; None for "not known" and for what no calendar holds."""
    try:
        return timestamp(us) if us else None
    except OverflowError:
        return None


def messages_in(account: Account) -> int:
    """How many messages an account was made of, but for conflicts."""
    return sum(
        sum(run.last - run.first + 1 for runs in epoch.received.values() for run in runs)
        + sum(epoch.copies.values())
        for epoch in account.values()
    )


@dataclass
class WriteLedger(beam.PTransform):
    """Names of account files → (day, rows as JSON lines) of each day; written as it goes.

    Attributes:
        folder: Of the day files, `day=YYYY-MM-DD.jsonl`.
        from_start: See transforms.exact_ledger.ledger.
        target: Where changed days are loaded; None: nowhere.
    """

    folder: str
    from_start: bool = True
    settle_us: int = SETTLE_US
    target: LoadTarget | None = None

    def expand(self, names):  # type: ignore[no-untyped-def]
        return (
            names
            | "ReadAccounts" >> beam.FlatMap(_accounts).with_output_types(tuple[tuple[str, str], str])
            | "GroupByGateway" >> beam.GroupByKey()
            | "MakeRows"
            >> beam.FlatMap(_rows, self.from_start, self.settle_us).with_output_types(tuple[str, str])
            | "GroupByDay" >> beam.GroupByKey()
            | "WriteDays" >> beam.ParDo(_WriteDay(self.folder, self.target))
        )


def _accounts(path: str) -> Iterator[tuple[tuple[str, str], str]]:
    for line in read_object(path).splitlines():
        home_id, gateway_id, account = json.loads(line)
        yield (home_id, gateway_id), json.dumps(account)


def _rows(
    element: tuple[tuple[str, str], Iterable[str]], from_start: bool, settle_us: int
) -> Iterator[tuple[str, str]]:
    (home_id, gateway_id), accounts = element
    account = merge(of_plain(json.loads(one)) for one in accounts)
    messages = messages_in(account)
    for row in ledger(home_id, gateway_id, account, from_start=from_start, settle_us=settle_us):
        day = dt.date(1970, 1, 1) + dt.timedelta(days=row.day)
        yield day.isoformat(), json.dumps(ledger_row(row, messages), separators=(",", ":"))


class _WriteDay(beam.DoFn):
    """(day, lines) → its file, loaded first: a crash between the two loads once more, never not at all."""

    def __init__(self, folder: str, target: LoadTarget | None) -> None:
        self._folder = folder.rstrip("/")
        self._target = target
        self._days = Metrics.counter("write_ledger", "days_changed")

    def process(self, element: tuple[str, Iterable[str]]) -> Iterator[tuple[str, str]]:
        day, lines = element
        data = "".join(f"{line}\n" for line in sorted(lines)).encode()
        path = f"{self._folder}/day={day}.jsonl"
        if not (FileSystems.exists(path) and read_object(path) == data):
            if self._target is not None:
                load_data(self._target, LEDGER, data)
            write_object(path, data)
            self._days.inc()
        yield day, data.decode()


def total(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Rows of the ledger → the sum of each of its numbers.

    >>> total([{"expected": 2, "day_time": "x"}, {"expected": 3, "day_time": "y"}])
    {'expected': 5}
    """
    found: dict[str, int] = {}
    for row in rows:
        for name, value in row.items():
            if name in COUNTS:
                found[name] = found.get(name, 0) + value
    return found
