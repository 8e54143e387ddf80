"""How long a push takes: from an alarm's commit in Firestore to the push service that has it.

`python -m benchmarks.push --json PATH` starts a Firestore emulator, the recorder in place of FCM and the
notifier's process, lays `--open` alarms into the queue, and raises `--alarms` more, a few a second, in homes
with one phone each. The recorder notes when each push arrived. All clocks are this machine's.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks import report
from benchmarks.report import Target, percentiles
from local import emulators, parts
from local.config import Settings, isolated
from local.simulator.enrol import firestore_client
from schemas.alarms import ALARMS, Alarm, alarm_id
from schemas.events import AlarmKind, Category, Code
from schemas.owners import Device

PUSH_P95_S: Final = 1.0
PAUSE_S: Final = 0.2
WAIT_S: Final = 30.0
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def measure(settings: Settings, alarms: int, standing: int) -> dict[str, Any]:
    """Start, raise, wait → latencies in seconds, how many never came, how many came twice."""
    with ExitStack() as stack:
        emulators.use_stand_ins(settings)
        firestore = next(part for part in parts.stand_ins(settings) if part.name == "firestore")
        stack.enter_context(parts.running(firestore, settings))
        client = firestore_client(settings.project)
        for number in range(standing):
            _raise(client, f"standing-{number}", told=True)
        for part in parts.pushes(settings):
            stack.enter_context(parts.running(part, settings))
        for number in range(alarms):
            _phone(client, f"home-{number:04d}", f"phone-{number:04d}")
        committed = {}
        for number in range(alarms):
            _raise(client, f"home-{number:04d}")
            committed[f"phone-{number:04d}"] = time.time_ns() // 1000
            time.sleep(PAUSE_S)
        arrived = _arrived(settings, len(committed))
    seconds = [(arrived[phone][0] - at_us) / 1e6 for phone, at_us in committed.items() if phone in arrived]
    return {
        "alarms": alarms,
        "standing": standing,
        "missing": len(committed) - len(seconds),
        "twice": sum(len(times) > 1 for times in arrived.values()),
        "commit_to_push_s": percentiles(seconds),
    }


def _arrived(settings: Settings, wanted: int) -> dict[str, list[int]]:
    """Token → when its pushes came, µs; waits until all have, or `WAIT_S`."""
    deadline = time.monotonic() + WAIT_S
    while True:
        with _DIRECT.open(f"http://{settings.address(settings.fcm_port)}/", timeout=5) as answer:
            lines = json.load(answer)
        found: dict[str, list[int]] = {}
        for line in lines:
            found.setdefault(line["message"]["token"], []).append(line["at_us"])
        if len(found) >= wanted or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def _phone(client: Any, home: str, token: str) -> None:
    now = dt.datetime.now(dt.UTC)
    device = Device(home_id=home, user=f"u-{home}", token=token, consent_version=1, updated_at=now)
    client.document(f"homes/{home}/devices/device-{token}").set(device.model_dump())


def _raise(client: Any, home: str, *, told: bool = False) -> None:
    now = time.time_ns() // 1000
    alarm = Alarm(
        alarm_id=alarm_id(home, AlarmKind.FIRE, f"{home}-{now}"),
        home_id=home,
        kind=AlarmKind.FIRE,
        category=Category.LIFE,
        code=Code.SMOKE,
        title="Smoke",
        headline="Smoke in the kitchen",
        room="kitchen",
        avs_level=4,
        occurred_us=now,
        opened_us=now,
        updated_us=now,
    )
    mark = {"push": {"moments": ["opened"], "first_us": now, "owners": 0}} if told else {}
    client.collection(ALARMS).document(alarm.alarm_id).set(alarm.document() | mark)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print → 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.push", description=__doc__)
    parser.add_argument("--alarms", type=int, default=200)
    parser.add_argument("--open", type=int, default=200, dest="standing", help="alarms that are open already")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    before = report.load_1min()
    with tempfile.TemporaryDirectory(prefix="push-") as folder:
        found = measure(isolated(Path(folder) / "run", warehouse="off"), options.alarms, options.standing)
    p95 = found["commit_to_push_s"]["p95"]
    targets = [
        Target("alarm committed → push handed over, p95", p95, "at most", PUSH_P95_S, "s"),
        Target("pushes missing", found["missing"], "at most", 0, ""),
    ]
    for target in targets:
        print(target.line())
    if options.json:
        report.write(options.json, report.document("push", found, targets, before))
    return 0 if all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
