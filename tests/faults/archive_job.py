"""The hardest part alone, as a job: Pub/Sub → ReadPubSub → ArchiveRaw → acknowledge.

`--broken` builds it wrong on purpose, so that the oracle is seen to catch it. `--slow-s` lets every
archive write take a while, so that a kill usually falls between taking messages and archiving them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from tests.faults.told import PullAndTell
from transforms.archive_raw import _ArchiveBundle
from transforms.elements import RawMessage
from transforms.held_bundles import Bundle
from transforms.lease import Lease
from transforms.read_pubsub import BundleBounds, _PullDoFn


class PullAndAcknowledge(_PullDoFn):
    """Broken: what a bundle emitted is acknowledged at once, before it is archived."""

    def setup(self) -> None:
        super().setup()

        def acknowledge_now(lease: Lease, bundle: Bundle) -> bool:
            if bundle.held:
                lease._client.acknowledge(lease._subscription, [ack_id for _, ack_id in bundle.held])
            return False

        Lease.finished = acknowledge_now  # type: ignore[method-assign]


class SlowArchive(_ArchiveBundle):
    """The archive on a slow day."""

    def __init__(self, folder: str, slow_s: float) -> None:
        super().__init__(folder)
        self._slow_s = slow_s

    def finish_bundle(self) -> Iterator[Any]:
        if self._partitions:
            time.sleep(self._slow_s)
        yield from super().finish_bundle()


def main() -> None:
    """Submit the job and leave it running."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--subscription", required=True)
    parser.add_argument("--archive", required=True)
    parser.add_argument("--slow-s", type=float, default=0.0)
    parser.add_argument("--told", required=True, help="folder that gets what our build acknowledged")
    parser.add_argument("--broken", action="store_true")
    flags, rest = parser.parse_known_args()
    source = (
        PullAndAcknowledge(flags.subscription, "minutes", BundleBounds())
        if flags.broken
        else PullAndTell(flags.subscription, flags.told, BundleBounds())
    )
    pipeline = beam.Pipeline(options=PipelineOptions(rest, streaming=True, save_main_session=False))
    (
        pipeline
        | "Start" >> beam.Impulse()
        | "Pull" >> beam.ParDo(source).with_output_types(RawMessage)
        | "ArchiveRaw" >> beam.ParDo(SlowArchive(flags.archive, flags.slow_s))
    )
    pipeline.run()


if __name__ == "__main__":
    main()
