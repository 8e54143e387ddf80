"""The monitor's minutes lane as a plain loop: the same functions, no Beam, no engine, one dict of homes.

What is left is the work itself; what a pipeline costs beyond it is the price of Beam and the engine.
It keeps promises of none: a crash loses what it holds.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import fastavro

from schemas.archive import ARCHIVE_SCHEMA
from schemas.events import AlarmKind
from serving import cards
from serving.handlers import label_scores
from serving.interpreter import LoadedModel, open_card
from transforms.advance_home import advance
from transforms.alarm_store import MemoryStore
from transforms.archive_raw import archive_row
from transforms.decode_batches import Decoded, decode
from transforms.elements import AcceptedReading, BatchSummary, RawMessage, Receipt, Score, WindowScore
from transforms.evidence import evidence_of_window
from transforms.hear_scores import Placed, place
from transforms.home_state import Home
from transforms.model_score import model_score
from transforms.raise_alarms import wall_clock_us
from transforms.score_homes import fuse
from transforms.score_readings import BLOCK, FAMILIES, Block, prepare
from transforms.trust import Trust, load_ca
from transforms.write_objects import avro_bytes, object_name, write_object
from transforms.write_warehouse import json_line, receipt_row, score_row, window_row

BUNDLE: Final = 100  # messages at a time, as a busy worker's bundle holds
Arrivals = tuple[list[Placed], list[BatchSummary]]
STAGES: Final = ("archive", "decode_verify", "features", "models", "track_fuse", "warehouse_rows")


class BareLoop:
    """Runs messages through; `stages` is what each stage took, in seconds of this process's CPU.

    Args:
        ca_pem: The fleet CA.
        output: Where archive objects and warehouse lines go.
    """

    def __init__(self, ca_pem: bytes, output: Path) -> None:
        self._trust = Trust(load_ca(ca_pem))
        self._models: dict[str, LoadedModel] = {family: open_card(cards.find(family)) for family in FAMILIES}
        self._output = output
        self._schema = fastavro.parse_schema(ARCHIVE_SCHEMA)
        self._homes: dict[str, Home] = {}
        self._store = MemoryStore(wall_clock_us)
        self._objects = 0
        self.stages = dict.fromkeys(STAGES, 0.0)
        self.counts: dict[str, int] = defaultdict(int)

    @property
    def alarm_kinds(self) -> set[AlarmKind]:
        """Kinds of the episodes that were opened."""
        return {alarm.kind for alarm in self._store.alarms.values()}

    def run(self, messages: Sequence[RawMessage]) -> None:
        """All messages, a bundle at a time."""
        for first in range(0, len(messages), BUNDLE):
            self._bundle(messages[first : first + BUNDLE])

    def _bundle(self, messages: Sequence[RawMessage]) -> None:
        arrivals = self.read(messages)
        with self._stage("track_fuse"):
            windows = [
                window
                for home_id, (placed, summaries) in arrivals.items()
                for window in self.judge(home_id, self._homes.setdefault(home_id, Home()), placed, summaries)
            ]
        self.write_windows(windows)

    def read(self, messages: Sequence[RawMessage]) -> dict[str, Arrivals]:
        """A bundle archived, verified and scored, its rows written → what is new of each home."""
        with self._stage("archive"):
            receipts = self._archive(messages)
        with self._stage("decode_verify"):
            decoded = [decode(message, self._trust) for message in messages]
        with self._stage("features"):
            blocks = self._prepare(decoded)
        with self._stage("models"):
            scores = [score for block in blocks for score in self._score(block)]
        with self._stage("warehouse_rows"):
            self._write_rows("batches", map(receipt_row, receipts))
            self._write_rows("readings_scores", map(score_row, scores))
        self.counts["messages"] += len(messages)
        self.counts["rejected"] += sum(len(one.rejected) for one in decoded)
        self.counts["scores"] += len(scores)
        with self._stage("track_fuse"):
            arrivals: dict[str, Arrivals] = defaultdict(lambda: ([], []))
            for score in scores:
                arrivals[score.home_id][0].append(place(score))
            for one in decoded:
                if one.summary is not None:
                    arrivals[one.summary.home_id][1].append(one.summary)
        return dict(arrivals)

    def judge(
        self, home_id: str, home: Home, placed: list[Placed], summaries: list[BatchSummary]
    ) -> list[WindowScore]:
        """What is new of a home → its windows that changed, fused; alarms are raised."""
        did = advance(home_id, home, placed, summaries, keep_all=False)
        windows = [fuse(window) for window in did.windows]
        for window in windows:
            raised = evidence_of_window(window, wall_clock_us()) if window.kind else None
            if raised is not None:
                kind = AlarmKind(raised.kind)
                self._store.attach(raised.home_id, kind, [(raised.parsed(), raised.armed_mode)])
        return windows

    def write_windows(self, windows: Sequence[WindowScore]) -> None:
        """Rows of window scores, as one object."""
        with self._stage("warehouse_rows"):
            self._write_rows("window_scores", map(window_row, windows))
        self.counts["windows"] += len(windows)
        self.counts["alarms"] = len(self._store.alarms)

    def _archive(self, messages: Sequence[RawMessage]) -> list[Receipt]:
        name = object_name(str(self._output / "archive"), messages[0].publish_us, messages[0].lane)
        rows = [archive_row(message) for message in messages]
        write_object(name, avro_bytes(rows, self._schema))
        return [
            Receipt(
                home_id=row["home_id"],
                gateway_id=row["gateway_id"],
                epoch=row["epoch"],
                seq=row["seq"],
                lane=message.lane,
                message_id=message.message_id,
                publish_us=message.publish_us,
                size=len(message.payload),
                object_name=name,
            )
            for message, row in zip(messages, rows, strict=True)
        ]

    def _prepare(self, decoded: Sequence[Decoded]) -> list[Block]:
        waiting: dict[str, list[AcceptedReading]] = defaultdict(list)
        for one in decoded:
            for accepted in one.readings:
                waiting[accepted.family].append(accepted)
        return [
            prepare(readings[first : first + BLOCK])
            for readings in waiting.values()
            for first in range(0, len(readings), BLOCK)
        ]

    def _score(self, block: Block) -> list[Score]:
        if not block.blanks:
            return block.device
        verdicts = label_scores(self._models[block.blanks[0].family], block.inputs)
        said = (model_score(blank, verdict) for blank, verdict in zip(block.blanks, verdicts, strict=True))
        return block.device + [score for score in said if score is not None]

    def _write_rows(self, table: str, rows: Iterable[dict[str, Any]]) -> None:
        lines = [json_line(row) for row in rows]
        if lines:
            self._objects += 1
            write_object(f"{self._output}/warehouse/{table}/{self._objects}.jsonl", b"".join(lines))

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.stages[name] += time.process_time() - began
