"""SuperviseHomes in a stream: silence, lag, outage, incidents, and what becomes of it in the stores."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from schemas import hearthwatch_v1_pb2 as pb
from schemas.alarms import Alarm
from schemas.events import Code
from schemas.incidents import HomePath, PathState
from tests.fakes import event
from tests.transforms.homes import summary
from tests.transforms.rosters import at, entry, roster_file
from transforms.alarm_store import MemoryStore
from transforms.elements import AcceptedEvent, BatchSummary
from transforms.raise_alarms import RaiseAlarms, StoreEffects
from transforms.supervise_homes import SuperviseHomes
from transforms.supervision_store import MemorySupervision
from transforms.write_supervision import WriteSupervision

_WORLDS: dict[int, SimpleNamespace] = {}
_NUMBERS = itertools.count()
LAG_S = 5


def the_world(number: int) -> SimpleNamespace:
    return _WORLDS[number]


def the_alarms(number: int) -> MemoryStore:
    return _WORLDS[number].alarms


def the_documents(number: int) -> MemorySupervision:
    return _WORLDS[number].documents


def _clock_us() -> int:
    return at(0)


def said(home: str, seconds: float, seq: int, **fields: Any) -> BatchSummary:
    """A minute's batch of a home."""
    us = at(seconds)
    return summary(seq, 0, home=home, created_us=us, publish_us=us, **fields)


def minutes(home: str, first_s: float, last_s: float, seq: int = 1) -> list[BatchSummary]:
    """A batch a minute from `first_s` to before `last_s`."""
    count = range(int((last_s - first_s + 59) // 60))
    return [said(home, first_s + 60 * n, seq + n) for n in count]


def prover(first_s: float, last_s: float) -> list[BatchSummary]:
    """The synthetic gateway, every minute."""
    return [b._replace(synthetic=True) for b in minutes("synthetic", first_s, last_s)]


def mains(home: str, seconds: float, qualifier: pb.Qualifier = pb.QUALIFIER_NEW) -> AcceptedEvent:
    """A home's mains fails."""
    said = event(
        Code.AC_LOSS, event_id=int(seconds), sensor_id="mains", qualifier=qualifier, occurred_us=at(seconds)
    )
    who = (home, f"gw-{home}", f"gw-{home}.e.{seconds}", "e", 1)
    return AcceptedEvent(
        *who, said.SerializeToString(), "away", at(seconds), "urgent", False, False, False, True
    )


def stream(elements: list[Any], until_s: float, *, from_s: int = 0, step_s: int = 60) -> list[Any]:
    """Elements in order of publication; the watermark follows `LAG_S` behind, by steps."""
    ordered = sorted(elements, key=lambda e: e.publish_us)
    steps: list[Any] = []
    for second in range(from_s, int(until_s), step_s):
        steps.append([e for e in ordered if at(second) <= e.publish_us < at(second + step_s)])
        steps.append(at(second + step_s - LAG_S))
    return steps


def run(
    tmp_path: Path, homes: list[str], steps: list[Any], world: SimpleNamespace | None = None, **fields: Any
) -> SimpleNamespace:
    """The stream through supervision, its writer and RaiseAlarms → stores."""
    number = next(_NUMBERS)
    world = world or SimpleNamespace(alarms=MemoryStore(_clock_us), documents=MemorySupervision())
    _WORLDS[number] = world
    roster = tmp_path / "roster.jsonl"
    roster.write_text(roster_file(entry(home, **{k: v(home) for k, v in fields.items()}) for home in homes))
    source = TestStream()
    for step in steps:
        if isinstance(step, list):
            if step:
                values = [TimestampedValue(e, Timestamp(micros=e.publish_us)) for e in step]
                source = source.add_elements(values)
        else:
            source = source.advance_watermark_to(Timestamp(micros=step))
    source = source.advance_watermark_to_infinity()
    options = PipelineOptions([], streaming=True)
    with beam.Pipeline(BundleBasedDirectRunner(), options=options) as pipeline:
        arrivals = pipeline | "Arrivals" >> source
        summaries, events = (
            arrivals | f"Only{kind.__name__}" >> beam.Filter(isinstance, kind).with_output_types(kind)
            for kind in (BatchSummary, AcceptedEvent)
        )
        supervised = (summaries, events) | "SuperviseHomes" >> SuperviseHomes(str(roster), 2, _clock_us)
        ended = supervised | "WriteSupervision" >> WriteSupervision(
            functools.partial(the_documents, number), _clock_us
        )
        troubles = [supervised.troubles, ended] | "JoinTroubles" >> beam.Flatten()
        effects = StoreEffects(functools.partial(the_alarms, number), _clock_us)
        _ = {"events": events, "troubles": troubles} | "RaiseAlarms" >> RaiseAlarms(effects, _clock_us)
    return _WORLDS.pop(number)


def path_alarms(world: SimpleNamespace) -> dict[str, Alarm]:
    return {a.home_id: a for a in world.alarms.alarms.values() if a.kind == "path"}


def failing(world: SimpleNamespace) -> list[str]:
    return sorted(h for h, p in world.documents.homes.items() if p.path_state == PathState.PATH_FAIL)


def test_silence_is_found_told_and_restored(tmp_path: Path) -> None:
    elements = [*minutes("a", 3, 800), *minutes("b", 7, 200), *minutes("b", 700, 800, 9), *prover(0, 800)]
    world = run(tmp_path, ["a", "b"], stream(elements, 800))
    [alarm] = path_alarms(world).values()
    assert (alarm.home_id, alarm.title) == ("b", "Home not heard since 12:03 UTC")
    assert alarm.occurred_us == at(187 + 130)
    assert alarm.restored_us == at(700)
    told = [e.arrived_us for e in world.alarms.evidence[alarm.alarm_id].values()]
    assert min(told) <= at(187 + 130 + 70)  # nobody but home a and the prover speaks between
    assert failing(world) == []
    assert world.documents.homes["b"] == HomePath(path_state=PathState.PATH_OK, path_since_us=at(700))
    assert world.documents.incidents == {}


def test_a_pipeline_that_stood_still_for_ten_minutes_misses_nobody(tmp_path: Path) -> None:
    """The homes spoke all the time; their batches wait, and then come in any order."""
    elements = [b for n in range(6) for b in minutes(f"h{n}", n, 1200)] + prover(0, 1200)
    steps = stream([e for e in elements if e.publish_us < at(300)], 300)
    backlog = [e for e in elements if at(300) <= e.publish_us < at(900)]
    steps += [backlog[::-1], at(900 - LAG_S)]
    steps += stream([e for e in elements if e.publish_us >= at(900)], 1200, from_s=900)
    world = run(tmp_path, [f"h{n}" for n in range(6)], steps)
    assert path_alarms(world) == {}
    assert world.documents.incidents == {}
    assert failing(world) == []


def test_while_pubsub_is_away_nobody_is_missed_and_a_home_that_stays_away_is_found(tmp_path: Path) -> None:
    """Nothing is published for ten minutes; then gateways come back over half a minute, but for one."""
    homes = [f"h{n}" for n in range(6)]
    before = [b for n, home in enumerate(homes) for b in minutes(home, n, 300)]
    after = [b for n, home in enumerate(homes[:-1]) for b in minutes(home, 900 + 6 * n, 1300, seq=50)]
    steps = stream([*before, *prover(0, 300), *after, *prover(900, 1300)], 1300)
    world = run(tmp_path, homes, steps)
    assert list(path_alarms(world)) == ["h5"]
    told = min(e.arrived_us for e in next(iter(world.alarms.evidence.values())).values())
    assert at(900 + 130) <= told <= at(900 + 130 + 20)
    assert failing(world) == ["h5"]


def test_a_home_on_no_roster_is_not_missed_and_one_that_never_spoke_is(tmp_path: Path) -> None:
    world = run(tmp_path, ["never"], stream([*minutes("gone", 3, 120), *prover(0, 400)], 400))
    [alarm] = path_alarms(world).values()
    assert (alarm.home_id, alarm.title) == ("never", "Home never heard since it was enrolled")


def test_homes_of_a_region_that_vanish_together_are_one_incident_until_all_are_back(tmp_path: Path) -> None:
    homes = [f"h{n}" for n in range(8)]
    area = {home: ("Ost" if n < 6 else "West") for n, home in enumerate(homes)}
    steady = [b for home in homes[6:] for b in minutes(home, 4, 800)]
    dark = [b for n, home in enumerate(homes[:6]) for b in minutes(home, n + 1, 200)]
    back = [b for n, home in enumerate(homes[:6]) for b in minutes(home, 700 + 10 * n, 800, 90)]
    elements = [*steady, *dark, *prover(0, 800)]
    named = {"region": area.get, "operator": lambda home: f"op-{home}"}
    during = run(tmp_path, homes, stream(elements, 600), **named)
    [incident] = during.documents.incidents.values()
    assert (incident.region, incident.homes, incident.returned, incident.restored_us) == ("Ost", 6, 0, None)
    assert path_alarms(during) == {}
    assert failing(during) == homes[:6]
    members = [h for part in during.documents.parts[incident.incident_id].values() for h in part]
    assert sorted(members) == homes[:6]

    world = run(tmp_path, homes, stream([*elements, *back], 800), **named)
    [over] = world.documents.incidents.values()
    assert over.incident_id == incident.incident_id
    assert (over.returned, over.restored_us) == (6, at(760))
    assert path_alarms(world) == {}
    assert failing(world) == []


def test_the_trouble_of_a_home_without_mains_says_so(tmp_path: Path) -> None:
    elements = [*minutes("a", 3, 400), *minutes("b", 7, 130), mains("b", 40), *prover(0, 400)]
    world = run(tmp_path, ["a", "b"], stream(elements, 400), timezone=lambda _: "Europe/Berlin")
    alarm = path_alarms(world)["b"]
    assert alarm.headline == "Mains lost at 13:00, silent since 13:02"
    assert {a.kind for a in world.alarms.alarms.values()} == {"path", "power"}


def test_the_same_stream_again_changes_nothing(tmp_path: Path) -> None:
    """A job that begins anew from an older moment: every sink is idempotent by id."""
    homes = [f"h{n}" for n in range(5)]
    elements = (
        [b for home in homes[:4] for b in minutes(home, 3, 200)] + minutes("h4", 3, 300) + prover(0, 900)
    )
    steps = stream(elements, 900)
    world = run(tmp_path, homes, steps, region=lambda h: "West" if h == "h4" else "Ost", operator=lambda h: h)
    before = (dict(world.documents.incidents), dict(world.documents.parts), dict(world.alarms.evidence))
    assert (len(before[0]), list(path_alarms(world))) == (1, ["h4"])
    again = run(
        tmp_path, homes, steps, world, region=lambda h: "West" if h == "h4" else "Ost", operator=lambda h: h
    )
    assert (again.documents.incidents, again.documents.parts, again.alarms.evidence) == before


def test_a_job_without_its_state_ends_what_the_one_before_told(tmp_path: Path) -> None:
    world = run(
        tmp_path, ["a", "b"], stream([*minutes("a", 3, 60), *minutes("b", 7, 60), *prover(0, 400)], 400)
    )
    assert failing(world) == ["a", "b"]
    later = [*minutes("a", 603, 900, 50), *minutes("b", 607, 900, 50), *prover(600, 900)]
    world = run(tmp_path, ["a", "b"], stream(later, 900), world)
    assert failing(world) == []
    restored = {alarm.home_id: alarm.restored_us for alarm in path_alarms(world).values()}
    assert restored == {"a": at(603), "b": at(607)}


def test_operators_are_told_how_many_homes_are_watched(tmp_path: Path) -> None:
    elements = [*minutes("a", 3, 600), *minutes("b", 7, 60), *prover(0, 600)]
    report = run(tmp_path, ["a", "b"], stream(elements, 600)).documents.report
    assert (report.homes, report.silent) == (2, 1)
    assert report.as_of_us - report.roster_us < 30e6


@pytest.mark.parametrize("jump_s", [20, 600], ids=["steadily", "in-one-jump"])
def test_what_is_decided_does_not_depend_on_how_the_watermark_moves(tmp_path: Path, jump_s: int) -> None:
    homes = [f"h{n}" for n in range(6)]
    elements = [b for n, home in enumerate(homes) for b in minutes(home, 9 * n, 120)] + prover(0, 600)
    steps = stream(elements, 600, step_s=jump_s)
    world = run(tmp_path, homes, steps)
    [incident] = world.documents.incidents.values()
    assert (incident.homes, incident.since_us, incident.opened_us) == (6, at(60), at(280))
    [early] = path_alarms(world).values()
    assert (early.home_id, early.restored_us) == ("h0", at(280))
