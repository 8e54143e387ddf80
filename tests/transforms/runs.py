"""Run transforms in process and get back what they put out, as plain lists.

Beam pickles checkers, so a list in a closure stays empty. A DoFn of an importable module is pickled
by reference: what it writes to this module's dictionary is seen by the test in the same process.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

_KEPT: dict[tuple[int, str], list[Any]] = {}
_RUNS = itertools.count()

Build = Callable[[beam.PCollection], Mapping[str, beam.PCollection]]


def run_stream(steps: Iterable[list[Any] | int], build: Build) -> dict[str, list[Any]]:
    """Bundles of elements through `build`, as a stream; a number moves the watermark to that µs.

    Elements carry their own `publish_us`. An hour of processing time passes before the end: without
    it this runner waits for ever for a processing-time trigger.
    """
    source = TestStream()
    for step in steps:
        if isinstance(step, list):
            source = source.add_elements([TimestampedValue(e, _at(e.publish_us)) for e in step])
        else:
            source = source.advance_watermark_to(_at(step))
    options = PipelineOptions([], streaming=True)
    source = source.advance_processing_time(3600).advance_watermark_to_infinity()
    return _run(BundleBasedDirectRunner(), options, source, build)


def run_batch(elements: Iterable[Any], build: Build) -> dict[str, list[Any]]:
    """Elements through `build`, as bounded input."""
    return _run(FnApiRunner(), PipelineOptions([]), beam.Create(list(elements)), build)


def _at(us: int) -> Timestamp:
    return Timestamp(micros=us)


def _run(
    runner: Any, options: PipelineOptions, source: beam.PTransform, build: Build
) -> dict[str, list[Any]]:
    run = next(_RUNS)
    with beam.Pipeline(runner, options=options) as pipeline:
        outputs = build(pipeline | "Arrivals" >> source)
        for name, pcoll in outputs.items():
            _KEPT[run, name] = []
            _ = pcoll | f"Keep{name.capitalize()}" >> beam.ParDo(_Keep(run, name))
    return {name: _KEPT.pop((run, name)) for name in outputs}


class _Keep(beam.DoFn):
    def __init__(self, run: int, name: str) -> None:
        self._key = (run, name)

    def process(self, element: Any) -> None:
        _KEPT[self._key].append(element)
