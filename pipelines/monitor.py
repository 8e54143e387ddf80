"""The monitor: every reading archived, verified, scored and evaluated; alarms raised.

One `build()` for streams and files, and for one lane or several (design.md, "The picture"). Run as
`python -m pipelines.monitor --help`.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions, StandardOptions

from pipelines.io import Io, choose_io
from pipelines.models import Models, model_handlers, model_source
from pipelines.options import LANES, BadOptions, MonitorConfig, parse_options
from pipelines.submit import run_until_done
from serving.cards import ModelRefused
from transforms.decode_batches import DecodeBatches
from transforms.fetch_bulk import FetchBulk
from transforms.raise_alarms import RaiseAlarms
from transforms.report_losses import ReportLosses
from transforms.score_closely import ScoreClosely
from transforms.score_homes import ScoreHomes
from transforms.score_readings import ScoreReadings
from transforms.show_watched import ShowWatched
from transforms.supervise_homes import SuperviseHomes
from transforms.track_homes import TrackHomes
from transforms.write_dead_letters import WriteDeadLetters
from transforms.write_homes import WriteHomes
from transforms.write_supervision import WriteSupervision


class Built(NamedTuple):
    """What a run can look at; None where a lane's job has no such part."""

    receipts: beam.PCollection | None
    episodes: beam.PCollection
    scores: beam.PCollection | None
    windows: beam.PCollection | None
    rejected: beam.PCollection


def build(root: Any, config: MonitorConfig, io: Io, models: Models | None) -> Built:
    """Wire the graph of the lanes in `config.lanes` onto `root`; without readings it needs no models."""
    # Input
    sources = [root | label >> source for label, source in io.sources.items()]
    messages = sources[0] if len(sources) == 1 else sources | "JoinLanes" >> beam.Flatten()
    receipts = messages | "ArchiveRaw" >> io.archive if io.archive else None

    # Verify
    decoded = messages | "DecodeBatches" >> DecodeBatches(
        config.fleet_ca, config.revoked, config.clock_tolerance_s
    )
    readings, rejected = decoded.readings, decoded.rejected
    if "bulk" in config.lanes:
        fetched = decoded.notices | "FetchBulk" >> FetchBulk(config.bulk_folder, config.clock_tolerance_s)
        readings = (readings, fetched.readings) | "JoinReadings" >> beam.Flatten()
        rejected = (rejected, fetched.rejected) | "JoinRejected" >> beam.Flatten()
    if io.dead_letters:
        _ = rejected | "WriteDeadLetters" >> WriteDeadLetters(io.dead_letters)

    # Urgent: events go straight to their episode, by no model, window or keyed state.
    evidence = {"events": decoded.events}
    scores = shadows = windows = losses = None

    # Minutes and bulk: score in the reading stage, then one keyed state a home. What is worth a closer
    # look crosses to the large model, whose score follows the small one's and takes its place.
    if models:
        read = readings | "ScoreReadings" >> ScoreReadings(models.small, models.shadows)
        close = read.selected | "ScoreClosely" >> ScoreClosely(models.large, config.accelerator)
        scores = (read.scores, close.scores) | "JoinScores" >> beam.Flatten()
        if read.shadows is not None:
            shadows = (read.shadows, close.shadows) | "JoinShadows" >> beam.Flatten()
        said = (scores, read.unscored) | "JoinUnscored" >> beam.Flatten()
        tracked = (said, decoded.summaries) | "TrackHomes" >> TrackHomes(
            report_holes=set(config.lanes) == set(LANES)
        )
        scored = tracked.windows | "ScoreHomes" >> ScoreHomes()
        windows = scored.windows
        evidence["windows"] = scored.alarming
        if io.open_store:
            _ = tracked.statuses | "WriteHomes" >> WriteHomes(io.open_store)
        if io.open_live:
            _ = scores | "ShowWatched" >> ShowWatched(io.open_live)

    # Silence and loss: who is not heard, and what is missing; by a job that hears everything.
    if io.open_supervision:
        supervised = (decoded.summaries, decoded.events) | "SuperviseHomes" >> SuperviseHomes(config.roster)
        ended = supervised | "WriteSupervision" >> WriteSupervision(io.open_supervision)
        lost = tracked.holes | "ReportLosses" >> ReportLosses(io.open_supervision)
        losses = lost.changes
        evidence["troubles"] = (supervised.troubles, ended, lost.troubles) | "JoinTroubles" >> beam.Flatten()

    # Effects
    raised = evidence | "RaiseAlarms" >> RaiseAlarms(io.effects)
    if io.warehouse:
        rows = {
            "receipts": receipts,
            "scores": scores,
            "shadows": shadows,
            "windows": windows,
            "losses": losses,
        }
        rows = {name: elements for name, elements in rows.items() if elements is not None}
        _ = rows | "WriteWarehouse" >> io.warehouse
    return Built(receipts, raised.episodes, scores, windows, rejected)


def scoring(config: MonitorConfig) -> bool:
    """Has this job a lane that carries readings? Then it wants models."""
    return not {"minutes", "bulk"}.isdisjoint(config.lanes)


def main(arguments: list[str] | None = None) -> int:
    """Run the job until it ends or is told to stop → exit code."""
    logging.basicConfig(level=logging.INFO)
    try:
        config, rest = parse_options(sys.argv[1:] if arguments is None else arguments)
        models = model_handlers(model_source(config)) if scoring(config) else None
    except (BadOptions, ModelRefused) as error:
        print(f"monitor: {error}", file=sys.stderr)
        return 2
    options = PipelineOptions(rest)
    options.view_as(StandardOptions).streaming = config.live
    options.view_as(SetupOptions).save_main_session = False
    pipeline = beam.Pipeline(options=options)
    build(pipeline, config, choose_io(config, options), models)
    return run_until_done(pipeline)


if __name__ == "__main__":
    sys.exit(main())
