"""What an archive cannot show: Pub/Sub → a keyed shuffle → a sink, acknowledged in one of two ways.

Messages that are acknowledged while they are only in the engine's buffers, between source and keyed step,
are lost when it dies. `--acknowledge=own` acknowledges a bundle's messages in its own finalization, which is
what Beam's documentation suggests; `later` is the build that we run (docs/decisions/021-finalization.md).
The keyed step sleeps as long as the file `--pace` says, so that checkpoints take long when wanted. The
folder `--told` gets two kinds of files, a payload in hexadecimal digits a line: what was acknowledged, and
what came out of the keyed step.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.coders import VarIntCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

from tests.faults.early_rule import at_first_finalization
from tests.faults.told import PullAndTell, Told, short
from transforms.elements import RawMessage
from transforms.held_bundles import HeldBundles
from transforms.read_pubsub import BundleBounds

KEYS = 16
BUNDLES = BundleBounds(wait_s=0.2, busy_s=0.2, max_messages=20)


class PullAndAcknowledgeEarly(PullAndTell):
    """Broken: messages are acknowledged by the first finalization that speaks for them."""

    def setup(self) -> None:
        super().setup()
        HeldBundles.finalize = at_first_finalization  # type: ignore[method-assign]


class _Sink(beam.DoFn):
    """(key, payload) → a line in a file of this process, after a look at state."""

    SEEN = ReadModifyWriteStateSpec("seen", VarIntCoder())
    STATE = beam.DoFn.StateParam(SEEN)

    def __init__(self, told: str, pace: str) -> None:
        self._folder = told
        self._pace = pace

    def setup(self) -> None:
        self._told = Told(self._folder, "seen")

    def process(self, element: tuple[int, bytes], seen: Any = STATE) -> Iterator[bytes]:
        time.sleep(float(Path(self._pace).read_text() or 0))
        seen.write((seen.read() or 0) + 1)
        self._told.add([element[1]])
        yield element[1]

    def teardown(self) -> None:
        self._told.close()


def _keyed(message: RawMessage) -> tuple[int, bytes]:
    payload = short(message.payload)
    return payload[-1] % KEYS, payload


def main() -> None:
    """Submit the job and leave it running."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--subscription", required=True)
    parser.add_argument("--told", required=True)
    parser.add_argument("--pace", required=True)
    parser.add_argument("--acknowledge", choices=("own", "later"), default="later")
    flags, rest = parser.parse_known_args()
    pull = {"own": PullAndAcknowledgeEarly, "later": PullAndTell}[flags.acknowledge]
    source = pull(flags.subscription, flags.told, BUNDLES)
    pipeline = beam.Pipeline(options=PipelineOptions(rest, streaming=True, save_main_session=False))
    (
        pipeline
        | "Start" >> beam.Impulse()
        | "Pull" >> beam.ParDo(source).with_output_types(RawMessage)
        | "KeyByNumber" >> beam.Map(_keyed).with_output_types(tuple[int, bytes])
        | "Sink" >> beam.ParDo(_Sink(flags.told, flags.pace))
    )
    pipeline.run()


if __name__ == "__main__":
    main()
