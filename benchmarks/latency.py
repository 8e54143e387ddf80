"""How long an alarm takes: from a home's broker, or from a minute's batch, to the dispatcher's screen.

`python -m benchmarks.latency --json PATH` starts the whole system of `hearthwatch demo` with quiet
homes, signs a browser in, and provokes alarms one after the other. All clocks are this machine's.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks import report, stimuli
from benchmarks.desk import Desk, at_desk
from benchmarks.processes import unwind_on_sigterm
from benchmarks.report import Target, percentiles
from benchmarks.stimuli import Sent
from edge_client.publisher import PubsubPublisher
from local import emulators, oracle, parts, supervise
from local.config import HOST, Settings, isolated
from local.simulator.enrol import firestore_client
from local.simulator.publisher import SensorPublisher
from local.simulator.settings import SimulationSettings
from schemas.alarms import ALARMS, EVIDENCE

SEED: Final = 20_263
DEFAULT_HOMES: Final = 20
DEFAULT_EVENTS: Final = 40
DEFAULT_BATCHES: Final = 20
URGENT_P95_S: Final = 1.0  # broker → row in the browser
MINUTES_P95_S: Final = 2.0  # minute batch published → alarm document
_PAUSE_S: Final = (0.9, 1.5)
_HOMES_LIMIT_S: Final = 60.0
_LAST_ROW_LIMIT_S: Final = 20.0
_DRAIN_S: Final = 5.0


class Seen(NamedTuple):
    """One alarm's way; µs since 1970 UTC.

    Attributes:
        occurred_us: The gateway's clock when its rule decided; of a window, when its reading ended.
        arrived_us: Publish time. recorded_us: the pipeline made evidence of it.
        committed_us: Firestore had the alarm. painted_us: its row stood in the browser, None: never.
    """

    sent: Sent
    occurred_us: int
    arrived_us: int
    recorded_us: int
    committed_us: int
    painted_us: int | None


def main(arguments: list[str] | None = None) -> int:
    """Measure, write the report, and say what was found. Exit code 1 if an alarm did not come."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", type=Path, required=True, help="where the report goes")
    parser.add_argument(
        "--homes", type=int, default=DEFAULT_HOMES, help="simulated homes (default %(default)s)"
    )
    parser.add_argument(
        "--events",
        type=int,
        default=DEFAULT_EVENTS,
        help="smoke alarms and panic buttons (default %(default)s)",
    )
    parser.add_argument(
        "--batches", type=int, default=DEFAULT_BATCHES, help="alarming minute batches (default %(default)s)"
    )
    parser.add_argument(
        "--one-way", action="store_true", help="urgent events by their own job alone, not by the second too"
    )
    flags = parser.parse_args(arguments)
    if flags.events > flags.homes * len(stimuli.HAZARDS):
        parser.error(f"--events is {flags.events}, limit {flags.homes * len(stimuli.HAZARDS)}: two a home")
    if min(flags.homes, flags.events, flags.batches) < 2:
        parser.error("--homes, --events and --batches are at least 2")
    unwind_on_sigterm()
    load_before = report.load_1min()
    with tempfile.TemporaryDirectory(prefix="hearthwatch-bench-") as folder:
        figures = measure(
            isolated(Path(folder)), flags.homes, flags.events, flags.batches, one_way=flags.one_way
        )
    targets = targets_of(figures)
    report.write(flags.json, report.document("latency", figures, targets, load_before))
    for line in (*lines_of(figures), *(target.line() for target in targets)):
        print(line)
    return 1 if any(lane["missing"] for lane in (figures["urgent"], figures["minutes"])) else 0


def measure(
    settings: Settings, homes: int, events: int, batches: int, *, one_way: bool = False
) -> dict[str, Any]:
    """Start everything, provoke, look, stop everything → figures."""
    rng = random.Random(SEED)
    minutes = stimuli.alarming_minutes()
    street = SimulationSettings(
        homes=homes,
        scenario="quiet",
        seed=SEED,
        run_dir=settings.run,
        broker_host=HOST,
        broker_port=settings.mqtt_port,
        pubsub_project=settings.project,
        recordings=settings.recordings,
    )
    # Enrolled beyond the homes that run: gateways in whose name minutes can be sent.
    fleet = street.model_copy(update={"homes": homes + batches})
    listed = [*parts.system(settings, fleet), parts.homes(settings, street)]
    if one_way:
        listed = [_without_urgent(part) if part.name == "monitor-minutes" else part for part in listed]
    _progress(f"starting {len(listed)} parts")
    with ExitStack() as stack:
        stack.callback(supervise.stop, settings)
        start_s = supervise.start(listed, settings, lambda _: None)
        emulators.use_stand_ins(settings)
        _wait_for_homes(settings)
        desk = stack.enter_context(at_desk(settings))
        sensors = SensorPublisher(HOST, settings.mqtt_port, client_id="latency-benchmark")
        sensors.start()
        stack.callback(sensors.stop)
        stack.callback(sensors.drain, _DRAIN_S)
        spaced = stimuli.pauses(rng, *_PAUSE_S)
        _progress(f"{events} events at the broker")
        plan = stimuli.hazard_plan(homes, events, rng)
        urgent = stimuli.send_hazards(plan, sensors.publish, spaced)
        _progress(f"{batches} alarming minutes")
        senders = [
            stimuli.enrolled_sender(settings.run / "fleet", homes + 1 + turn) for turn in range(batches)
        ]
        publisher = PubsubPublisher(settings.project)
        stack.callback(publisher.close)
        published = stimuli.send_minutes(senders, minutes, publisher, spaced)
        desk.wait_for_rows(events + batches, _LAST_ROW_LIMIT_S)
        alarms = read_alarms(settings, desk)
    return {
        "homes": homes,
        "one_way": one_way,
        "start_s": start_s,
        "urgent": lane_figures(urgent, alarms, urgent_hops),
        "minutes": lane_figures(published, alarms, minutes_hops),
        "clocks": "one machine; Pub/Sub's publish time has milliseconds",
    }


def urgent_hops(seen: Seen) -> dict[str, float]:
    """An event's way, seconds."""
    return {
        "broker_to_gateway": _s(seen.sent.sent_us, seen.occurred_us),
        "gateway_to_pubsub": _s(seen.occurred_us, seen.arrived_us),
        **_cloud_hops(seen),
        "broker_to_firestore": _s(seen.sent.sent_us, seen.committed_us),
        **({"broker_to_browser": _s(seen.sent.sent_us, seen.painted_us)} if seen.painted_us else {}),
    }


def minutes_hops(seen: Seen) -> dict[str, float]:
    """A minute batch's way, seconds."""
    return {
        "batch_to_pubsub": _s(seen.sent.sent_us, seen.arrived_us),
        **_cloud_hops(seen),
        "batch_to_alarm": _s(seen.sent.sent_us, seen.committed_us),
        **({"batch_to_browser": _s(seen.sent.sent_us, seen.painted_us)} if seen.painted_us else {}),
    }


def lane_figures(sent: Sequence[Sent], alarms: Iterable[Seen], hops: Any) -> dict[str, Any]:
    """Stimuli of a lane and the alarms that came → percentiles by hop.

    The first stimulus stands apart: it pays for what is made on first use.
    """
    by_sent = {seen.sent[:2]: seen for seen in alarms}
    ways = [by_sent[one[:2]]._replace(sent=one) if one[:2] in by_sent else None for one in sent]
    found = [way for way in ways if way is not None]
    measured = [hops(way) for way in found if way.sent != sent[0]]
    names = dict.fromkeys(name for one in measured for name in one)
    return {
        "sent": len(sent),
        "missing": len(sent) - sum(way.painted_us is not None for way in found),
        "first_s": hops(ways[0]) if ways[0] is not None else None,
        "latency_s": {name: percentiles([one[name] for one in measured if name in one]) for name in names},
    }


def read_alarms(settings: Settings, desk: Desk) -> list[Seen]:
    """All alarms in Firestore with the evidence that opened them, and when the browser painted them."""
    painted = desk.seen_us()
    client = firestore_client(settings.project)
    found = []
    for snapshot in client.collection(ALARMS).stream(timeout=60):
        alarm = snapshot.to_dict()
        evidence = [one.to_dict() for one in snapshot.reference.collection(EVIDENCE).stream(timeout=60)]
        first = min(evidence, key=lambda one: one["recorded_us"])
        found.append(
            Seen(
                Sent(alarm["home_id"], alarm["kind"], 0),
                first["occurred_us"],
                first["arrived_us"],
                first["recorded_us"],
                int(snapshot.create_time.timestamp() * 1e6),
                painted.get(alarm["alarm_id"]),
            )
        )
    return found


def targets_of(figures: dict[str, Any]) -> list[Target]:
    """What the issue asks for. A lane that lost an alarm meets nothing."""

    def p95(lane: str, hop: str) -> float | None:
        one = figures[lane]
        return None if one["missing"] else one["latency_s"].get(hop, {}).get("p95")

    return [
        Target(
            "urgent lane, broker to browser, p95",
            p95("urgent", "broker_to_browser"),
            "at most",
            URGENT_P95_S,
            "s",
        ),
        Target(
            "minutes lane, batch to alarm, p95",
            p95("minutes", "batch_to_alarm"),
            "at most",
            MINUTES_P95_S,
            "s",
        ),
    ]


def lines_of(figures: dict[str, Any]) -> list[str]:
    """The report for a person."""
    lines = []
    for lane in ("urgent", "minutes"):
        one = figures[lane]
        lines.append(f"{lane}: {one['sent']} sent, {one['missing']} missing")
        for hop, figure in one["latency_s"].items():
            p50, p95, p99 = (f"{figure[p]:7.3f}" for p in ("p50", "p95", "p99"))
            lines.append(f"  {hop:24}p50 {p50}  p95 {p95}  p99 {p99} s")
    return lines


def _cloud_hops(seen: Seen) -> dict[str, float]:
    return {
        "pubsub_to_evidence": _s(seen.arrived_us, seen.recorded_us),
        "evidence_to_firestore": _s(seen.recorded_us, seen.committed_us),
        **({"firestore_to_browser": _s(seen.committed_us, seen.painted_us)} if seen.painted_us else {}),
    }


def _without_urgent(job: parts.Part) -> parts.Part:
    """The job of all lanes, without the lane that has a job of its own."""
    command = [one for one in job.command if one != "urgent" and "/urgent-" not in one]
    assert len(command) == len(job.command) - 2, "one subscription and one lane"
    return job._replace(command=command)


def _wait_for_homes(settings: Settings) -> None:
    """Until every gateway hears its sensors."""
    deadline = time.monotonic() + _HOMES_LIMIT_S
    while not any(line["what"] == "start" for line in oracle.read_truth(settings)):
        if time.monotonic() > deadline:
            log = settings.logs / "homes.log"
            raise TimeoutError(f"homes were not up after {_HOMES_LIMIT_S:.0f} s. {parts.tail(log)}")
        time.sleep(0.2)


def _s(from_us: int, to_us: int) -> float:
    return (to_us - from_us) / 1e6


def _progress(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
