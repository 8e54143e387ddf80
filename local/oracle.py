"""Judge a run against its truth: was every confirmed batch archived, did every expected alarm open?

Reads what the simulator wrote (local/simulator/truth.py has the formats), the archive, the dead letters
and Firestore. It shares no code with the pipeline but the schemas.
"""

from __future__ import annotations

import collections
import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import fastavro
import numpy as np

from local import supervisord
from local.config import Settings
from local.simulator.enrol import PROVER_GATEWAY, PROVER_HOME, firestore_client
from local.simulator.truth import CLOUD_S, SENT_FILE, TRUTH_FILE
from schemas.alarms import ALARMS, EVIDENCE
from schemas.incidents import INCIDENTS

_LIMIT_S: Final = 900.0  # a scenario plays within minutes
_SETTLE_S: Final = 60.0  # for the archive to hold the last batches, after the homes have stopped
_POLL_S: Final = 1.0


class RaisedAlarm(NamedTuple):
    """An episode in Firestore, with its evidence's times in µs since 1970 UTC."""

    home_id: str
    kind: str
    opened_us: int
    arrived_us: tuple[int, ...]
    recorded_us: tuple[int, ...]


class RaisedIncident(NamedTuple):
    """An incident in Firestore; times in µs since 1970 UTC."""

    region: str
    homes: int
    returned: int
    opened_us: int
    restored_us: int | None


class BatchCounts(NamedTuple):
    """Batches of the simulated homes. `archived` is without duplicates."""

    sent: int
    archived: int
    missing: int
    duplicate: int
    dead_letters: int


class AlarmCounts(NamedTuple):
    """`raised` counts episodes in homes of the run, whatever their kind.

    Attributes:
        repeated: Episodes of a home and kind beyond the first: nobody closes any in a run.
    """

    expected: int
    raised: int
    missed: int
    false: int
    repeated: int


@dataclass(frozen=True)
class Report:
    """The verdict. `complaints` is empty if everything expected happened.

    Attributes:
        beside: "home: kind" of each episode that may open and need not.
    """

    batches: BatchCounts
    alarms: AlarmCounts
    beside: list[str]
    latency_s: dict[str, dict[str, float]]
    start_s: dict[str, float]
    complaints: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """As `--json` writes it."""
        return {
            "batches": self.batches._asdict(),
            "alarms": self.alarms._asdict(),
            "beside": self.beside,
            "latency_s": self.latency_s,
            "start_s": self.start_s,
            "complaints": self.complaints,
        }


def count_batches(
    sent: dict[str, list[dict[str, Any]]], archived: Iterable[tuple[str, str, int]], dead_letters: int
) -> BatchCounts:
    """Confirmed batches against archived ones.

    Args:
        sent: `sent.json`: by gateway, for each epoch the highest confirmed seq and how many were confirmed.
        archived: (gateway_id, epoch in hex, seq) of every archived row of these gateways.

    >>> sent = {"gw-1": [{"epoch": "aa", "last_confirmed_seq": 3, "confirmed": 3}]}
    >>> count_batches(sent, [("gw-1", "aa", 1), ("gw-1", "aa", 1), ("gw-1", "aa", 3)], 0)
    BatchCounts(sent=3, archived=2, missing=1, duplicate=1, dead_letters=0)
    """
    rows = list(archived)
    unique = set(rows)
    epochs = [(gateway, epoch) for gateway, listed in sent.items() for epoch in listed]
    missing = 0
    for gateway, epoch in epochs:
        last = epoch["last_confirmed_seq"]
        held = sum(1 for g, e, seq in unique if g == gateway and e == epoch["epoch"] and seq <= last)
        missing += max(0, epoch["confirmed"] - held)
    return BatchCounts(
        sent=sum(epoch["confirmed"] for _, epoch in epochs),
        archived=len(unique),
        missing=missing,
        duplicate=len(rows) - len(unique),
        dead_letters=dead_letters,
    )


def match_alarms(
    truth: Sequence[dict[str, Any]], raised: Sequence[RaisedAlarm]
) -> tuple[AlarmCounts, list[str], list[str]]:
    """Expected alarms against raised ones → counts, what opened beside them as it may, and a line for each
    that is missing, repeated or false."""
    expected = [line for line in truth if line["what"] == "expect"]
    wanted = {(line["home_id"], line["kind"]) for line in expected}
    # A plan whose trigger never reached the broker is as much missed as one that raised nothing.
    never = {(line["home_id"], line["kind"]) for line in truth if line["what"] == "plan"} - wanted
    allowed = {(line["home_id"], line["kind"]) for line in truth if line["what"] == "allow"}
    by_key = collections.defaultdict(list)
    for alarm in raised:
        by_key[alarm.home_id, alarm.kind].append(alarm)
    complaints = [f"{home}: {kind} was planned and its trigger never sent" for home, kind in sorted(never)]
    missed = {
        (line["home_id"], line["kind"])
        for line in expected
        if not any(
            line["from_us"] <= alarm.opened_us <= line["by_us"]
            for alarm in by_key[line["home_id"], line["kind"]]
        )
    }
    for home, kind in sorted(missed):
        late = by_key[home, kind]
        complaints.append(
            f"{home}: {kind} " + ("opened outside its time" if late else "was expected and did not open")
        )
    wrong = [alarm for alarm in raised if (alarm.home_id, alarm.kind) not in wanted | allowed]
    complaints += [f"{alarm.home_id}: {alarm.kind} opened and nothing had happened" for alarm in wrong]
    more = {key: len(alarms) - 1 for key, alarms in by_key.items() if len(alarms) > 1}
    complaints += [f"{home}: {kind} opened {count + 1} times" for (home, kind), count in sorted(more.items())]
    counts = AlarmCounts(
        len(wanted | never), len(raised), len(missed | never), len(wrong), sum(more.values())
    )
    beside = [f"{home}: {kind}" for home, kind in sorted(by_key.keys() & (allowed - wanted))]
    return counts, beside, complaints


def match_incidents(truth: Sequence[dict[str, Any]], raised: Sequence[RaisedIncident]) -> list[str]:
    """Homes that vanished together against incidents → a line for each that is missing, wrong or false."""
    vanished = [line for line in truth if line["what"] == "vanished"]
    back = collections.Counter(line["area"] for line in truth if line["what"] == "back")
    complaints = []
    for area in sorted({line["area"] for line in vanished}):
        homes = [line for line in vanished if line["area"] == area]
        due_us = max(line["by_us"] for line in homes)
        found = [one for one in raised if one.region == area]
        if len(found) != 1 or found[0].homes != len(homes) or found[0].opened_us > due_us:
            said = [f"{one.homes} homes, opened {(one.opened_us - due_us) / 1e6:+.0f} s" for one in found]
            complaints.append(f"{area}: {len(homes)} homes vanished, incidents by the time due: {said}")
        elif back[area] == len(homes) and found[0].restored_us is None:
            complaints.append(f"{area}: all homes are back, {found[0].returned} of its incident are")
    areas = {line["area"] for line in vanished}
    return complaints + [f"{one.region}: an incident opened" for one in raised if one.region not in areas]


def latencies(truth: Sequence[dict[str, Any]], raised: Sequence[RaisedAlarm]) -> dict[str, dict[str, float]]:
    """Seconds by hop, over all alarms that the truth expects.

    `sensor_to_publish` and `sensor_to_alarm` count only triggers that a home need not think about (a CO
    dose or an entry delay is physical time).
    """
    hops: dict[str, list[float]] = {"sensor_to_publish": [], "publish_to_alarm": [], "sensor_to_alarm": []}
    for alarm in raised:
        for line in truth:
            if line["what"] != "expect" or (line["home_id"], line["kind"]) != (alarm.home_id, alarm.kind):
                continue
            first = min(range(len(alarm.arrived_us)), key=alarm.arrived_us.__getitem__, default=None)
            if first is None or not line["from_us"] <= alarm.opened_us <= line["by_us"]:
                continue
            hops["publish_to_alarm"].append((alarm.recorded_us[first] - alarm.arrived_us[first]) / 1e6)
            at_once = line["by_us"] - line["t_us"] <= CLOUD_S * 1e6 + 1
            if at_once and alarm.arrived_us[first] >= line["t_us"]:
                hops["sensor_to_publish"].append((alarm.arrived_us[first] - line["t_us"]) / 1e6)
                hops["sensor_to_alarm"].append((alarm.recorded_us[first] - line["t_us"]) / 1e6)
    return {
        hop: {f"p{p}": round(float(np.percentile(values, p)), 3) for p in (50, 95, 99)}
        for hop, values in hops.items()
        if values
    }


def wait_for_end(
    settings: Settings, check: Callable[[], object], say: Callable[[str], None]
) -> list[RaisedIncident]:
    """Wait until the scenario has played and its alarms are due; then stop the homes, which drain.

    Returns the incidents by then: that the homes fall silent after it is our doing.

    Args:
        check: Called every second; raises if the system has failed.
    """
    deadline = time.monotonic() + _LIMIT_S
    told = 0
    while time.monotonic() < deadline:
        check()
        truth = read_truth(settings)
        happened = [line for line in truth if line["what"] == "expect"]
        for line in happened[told:]:
            say(f"{line['home_id']}: {line['kind']}")
        told = len(happened)
        due = [line["by_us"] for line in truth if line["what"] == "finished"]
        if due and time.time_ns() // 1000 > max(due):
            break
        time.sleep(_POLL_S)
    incidents = read_incidents(settings)
    supervisord.rpc(settings).stopProcess("homes", True)
    return incidents


def judge(
    settings: Settings, start_s: dict[str, float], before_the_end: Sequence[RaisedIncident] = ()
) -> Report:
    """Compare truth with archive and Firestore, after `wait_for_end`.

    Args:
        before_the_end: Incidents as `wait_for_end` saw them, before it stopped the homes.
    """
    sent = json.loads((settings.run / SENT_FILE).read_text())
    truth = read_truth(settings)
    deadline = time.monotonic() + _SETTLE_S
    while True:
        rows = [
            (row["gateway_id"], row["epoch"], row["seq"])
            for row in read_avro(settings, f"{settings.output_url}/archive")
            if row["gateway_id"] != PROVER_GATEWAY
        ]
        letters = sum(1 for _ in read_avro(settings, f"{settings.output_url}/dead_letters"))
        batches = count_batches(sent, rows, letters)
        if not batches.missing or time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    raised = read_alarms(settings)
    alarms, beside, complaints = match_alarms(truth, raised)
    complaints += match_incidents(truth, before_the_end)
    if not any(line["what"] == "finished" for line in truth):
        complaints.append(f"the scenario did not end within {_LIMIT_S:.0f} s")
    if not batches.sent:
        complaints.append("no batch was sent")
    if batches.missing:
        complaints.append(f"{batches.missing} confirmed batches are not in the archive")
    if batches.dead_letters:
        complaints.append(f"{batches.dead_letters} dead letters, though no bad input was sent")
    return Report(batches, alarms, beside, latencies(truth, raised), start_s, complaints)


def read_truth(settings: Settings) -> list[dict[str, Any]]:
    """The lines of truth.jsonl; a last line that is still being written is left out."""
    file = settings.run / TRUTH_FILE
    if not file.exists():
        return []
    text = file.read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def read_alarms(settings: Settings) -> list[RaisedAlarm]:
    """All episodes of homes in Firestore, with their evidence."""
    client = firestore_client(settings.project)
    found = []
    for snapshot in client.collection(ALARMS).stream(timeout=60):
        alarm = snapshot.to_dict()
        if alarm["home_id"] == PROVER_HOME:
            continue
        evidence = [one.to_dict() for one in snapshot.reference.collection(EVIDENCE).stream(timeout=60)]
        found.append(
            RaisedAlarm(
                alarm["home_id"],
                alarm["kind"],
                alarm["opened_us"],
                tuple(one["arrived_us"] for one in evidence),
                tuple(one["recorded_us"] for one in evidence),
            )
        )
    return found


def read_incidents(settings: Settings) -> list[RaisedIncident]:
    """All incidents in Firestore."""
    fields = RaisedIncident._fields
    found = firestore_client(settings.project).collection(INCIDENTS).stream(timeout=60)
    return [RaisedIncident(*((one.to_dict() or {})[name] for name in fields)) for one in found]


def read_avro(settings: Settings, url: str) -> Iterator[dict[str, Any]]:
    """All records of all `.avro` objects under a `gs://` prefix or a folder."""
    for content in _objects(settings, url):
        for record in fastavro.reader(io.BytesIO(content)):
            if isinstance(record, dict):
                yield record


def _objects(settings: Settings, url: str) -> Iterator[bytes]:
    if not url.startswith("gs://"):
        for file in sorted(Path(url).rglob("*.avro")):
            yield file.read_bytes()
        return
    import google.cloud.storage as storage
    from google.auth.credentials import AnonymousCredentials

    bucket, _, prefix = url.removeprefix("gs://").partition("/")
    client = storage.Client(project=settings.project, credentials=AnonymousCredentials())
    for blob in client.list_blobs(bucket, prefix=f"{prefix}/", timeout=60):
        if blob.name.endswith(".avro"):
            yield blob.download_as_bytes(timeout=60)
