"""What an archive cannot show: Pub/Sub → a keyed shuffle → a sink, acknowledged in one of two ways.

Messages that are acknowledged while they are only in the engine's buffers, between source and keyed step,
are lost when it dies. `--acknowledge=own` acknowledges a bundle's messages in its own finalization, which is
what Beam's documentation suggests; `later` is the build that we run (docs/decisions/002-acknowledge.md).
The keyed step sleeps as long as the file `--pace` says, so that checkpoints take long when wanted.
"""

from __future__ import annotations

import argparse
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.coders import VarIntCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

from transforms.elements import RawMessage
from transforms.held_bundles import Held, HeldBundles
from transforms.read_pubsub import BundleBounds, _PullDoFn

KEYS = 16
BUNDLES = BundleBounds(wait_s=0.2, busy_s=0.2, max_messages=20)


class PullAndAcknowledgeOwn(_PullDoFn):
    """Broken: what a bundle emitted is acknowledged in that bundle's finalization."""

    def setup(self) -> None:
        super().setup()

        def own(bundles: HeldBundles, token: object, started: float, now: float) -> list[str]:  # noqa: ARG001
            with bundles._lock:
                held: list[Held] = bundles._open.pop(token, [])
            return [ack_id for _, ack_id in held]

        HeldBundles.finalize = own  # type: ignore[method-assign]


class _Sink(beam.DoFn):
    """(key, payload) → a line of hexadecimal digits in a file of this process, after a look at state."""

    SEEN = ReadModifyWriteStateSpec("seen", VarIntCoder())
    STATE = beam.DoFn.StateParam(SEEN)

    def __init__(self, folder: str, pace: str) -> None:
        self._folder = folder
        self._pace = pace

    def setup(self) -> None:
        Path(self._folder).mkdir(parents=True, exist_ok=True)
        name = f"{os.getpid()}-{uuid.uuid4().hex}.txt"
        self._file = open(Path(self._folder) / name, "ab", buffering=0)  # noqa: SIM115

    def process(self, element: tuple[int, bytes], seen: Any = STATE) -> Iterator[bytes]:
        time.sleep(float(Path(self._pace).read_text() or 0))
        seen.write((seen.read() or 0) + 1)
        self._file.write(element[1].hex().encode() + b"\n")
        yield element[1]

    def teardown(self) -> None:
        self._file.close()


def _keyed(message: RawMessage) -> tuple[int, bytes]:
    payload = message.payload.rstrip(b"\0")
    return payload[-1] % KEYS, payload


def main() -> None:
    """Submit the job and leave it running."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--subscription", required=True)
    parser.add_argument("--sink", required=True)
    parser.add_argument("--pace", required=True)
    parser.add_argument("--acknowledge", choices=("own", "later"), default="later")
    flags, rest = parser.parse_known_args()
    pull = {"own": PullAndAcknowledgeOwn, "later": _PullDoFn}[flags.acknowledge]
    pipeline = beam.Pipeline(options=PipelineOptions(rest, streaming=True, save_main_session=False))
    (
        pipeline
        | "Start" >> beam.Impulse()
        | "Pull" >> beam.ParDo(pull(flags.subscription, "minutes", BUNDLES)).with_output_types(RawMessage)
        | "KeyByNumber" >> beam.Map(_keyed).with_output_types(tuple[int, bytes])
        | "Sink" >> beam.ParDo(_Sink(flags.sink, flags.pace))
    )
    pipeline.run()


if __name__ == "__main__":
    main()
