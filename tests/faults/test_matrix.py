"""The fault matrix of the cloud half: under load, one fault after the other, and nothing is lost.

All faults meet the same running system, in the order of this file: what one leaves behind the next finds.
Each test injects its fault, waits until everything that was acknowledged until then is archived and every
alarm is one whole episode, and writes a row for docs/no-loss.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.warehouse import READINGS_SCORES
from tests.faults import upgrade, windows
from tests.faults.bulk import HourlyObject
from tests.faults.form import LONG, seconds, times
from tests.faults.processes import kill_workers
from tests.faults.results import record
from tests.faults.system import READINGS_A_BATCH, FaultSystem, eventually, happens

pytestmark = [pytest.mark.system, pytest.mark.timeout(1_200)]
long_only = pytest.mark.skipif(not LONG, reason="only in `make faults`")

LIMIT_S = 400.0  # until all is well again; on an idle machine a fifth of it
OUTAGE_S = 120.0
_BULK_GATEWAY = 900  # between the homes of the minutes and those of the alarms


def _strike(system: FaultSystem, fault: str, inject: Callable[[], None], note: str = "") -> None:
    """Inject a fault, judge, and write it down."""
    inject()
    settled = system.settle(LIMIT_S)
    record(
        fault,
        acknowledged=settled.batches * READINGS_A_BATCH + settled.events,
        lost=settled.lost,
        duplicated=settled.duplicated,
        declared=settled.declared,
        recovery_s=settled.seconds,
        note=f"{note}; seed {system.seed}".removeprefix("; "),
    )
    assert settled.complaints == []


def test_killed_workers(system: FaultSystem) -> None:
    kills = times(2, 4)

    def kill() -> None:
        for _ in range(kills):
            time.sleep(system.chance.uniform(1, 6))
            system.eventually_workers()
            kill_workers(system.settings)

    _strike(system, "`kill -9` of all pipeline workers", kill, f"{kills} times")


def test_killed_task_managers(system: FaultSystem) -> None:
    victims = ["task-manager-1", "task-manager-2"][: times(1, 2)]
    system.chance.shuffle(victims)

    def kill() -> None:
        for victim in victims:
            system.processes.kill(victim)
            time.sleep(system.chance.uniform(2, 8))
            system.processes.restart(victim)
            system.eventually_workers()

    _strike(system, "`kill -9` of a task manager of two", kill, " and ".join(victims))


@long_only
def test_killed_job_manager(system: FaultSystem) -> None:
    def kill() -> None:
        system.processes.kill("job-manager")
        time.sleep(system.chance.uniform(1, 5))
        system.processes.restart("job-manager")

    _strike(system, "`kill -9` of the job manager", kill, "ZooKeeper high availability")


def _outage(system: FaultSystem, names: list[str], length_s: float) -> Callable[[], None]:
    """Services go away one after the other, and come back together."""

    def cut() -> None:
        for name in names:
            system.proxies[name].cut()
            time.sleep(length_s / len(names))
        for name in names:
            system.proxies[name].heal()

    return cut


def test_object_storage_and_pubsub_away_together(system: FaultSystem) -> None:
    length_s = seconds(16, 60)
    cut = _outage(system, ["gcs", "pubsub"], length_s)
    _strike(system, "object storage away, then Pub/Sub too", cut, f"{length_s:.0f} s, connections cut")


@long_only
@pytest.mark.parametrize(
    ("name", "service"),
    [("pubsub", "Pub/Sub"), ("gcs", "object storage"), ("bigquery", "BigQuery")],
    ids=["pubsub", "gcs", "bigquery"],
)
def test_a_service_is_away_for_minutes(system: FaultSystem, name: str, service: str) -> None:
    _strike(
        system, f"{service} away", _outage(system, [name], OUTAGE_S), f"{OUTAGE_S:.0f} s, connections cut"
    )


def test_firestore_away_with_alarms_pending(system: FaultSystem) -> None:
    length_s = seconds(15, OUTAGE_S)
    cut = _outage(system, ["firestore"], length_s)
    _strike(system, "Firestore away, alarms pending", cut, f"{length_s:.0f} s, connections cut")


@long_only
@pytest.mark.parametrize(
    ("name", "service"), [("pubsub", "Pub/Sub"), ("gcs", "object storage")], ids=["pubsub", "gcs"]
)
def test_a_service_behind_a_bad_network(system: FaultSystem, name: str, service: str) -> None:
    proxy = system.proxies[name]

    def spoil() -> None:
        proxy.delay(0.3)
        time.sleep(20)
        proxy.heal()
        lost_before = proxy.lost_replies
        proxy.lose_replies(every=4)
        time.sleep(20)
        assert proxy.lost_replies > lost_before, "no reply was lost: this tested nothing"
        proxy.half_open()
        time.sleep(30)
        proxy.heal()

    note = "20 s of 0.3 s delay, 20 s of every 4th reply lost, 30 s half-open"
    _strike(system, f"{service} behind a bad network", spoil, note)


@long_only
def test_a_driver_killed_and_started_again(system: FaultSystem) -> None:
    """The urgent lane's: its job has no keyed state, which a job started anew would begin without."""

    def kill() -> None:
        system.processes.kill("monitor-urgent")
        time.sleep(5)
        system.processes.restart("monitor-urgent")
        upgrade.wait_until_running(system.cluster, "monitor-urgent", 120)

    _strike(system, "`kill -9` of the urgent lane's driver, and its restart", kill)


@long_only
def test_an_upgrade_by_savepoint_with_changed_code(system: FaultSystem) -> None:
    old, new = '"fusion-rule-1"', '"fusion-rule-upgraded"'
    code = upgrade.changed_code(system.settings, "transforms/score_homes.py", old, new)

    def replace() -> None:
        savepoint = upgrade.stop_with_savepoint(system.cluster, "monitor-minutes")
        system.processes.stop("monitor-minutes")
        driver = upgrade.upgraded(system.driver("minutes"), system.pipeline, code, savepoint)
        system.processes.start(driver, system.pipeline)
        upgrade.wait_until_running(system.cluster, "monitor-minutes", 120)

    _strike(system, "upgrade by savepoint, changed code, both lanes' load going on", replace)
    eventually(
        lambda: {row["rule_version"] for row in windows.streamed(system)} == {old.strip('"'), new.strip('"')},
        "windows of the new code, beside those of the old",
        LIMIT_S,
    )


def test_a_bulk_object_uploaded_and_announced_twice_is_each_reading_once(system: FaultSystem) -> None:
    """What a gateway does that died before it had noted the upload; workers die after the first notice."""
    made = HourlyObject.of(system.gateway(_BULK_GATEWAY), system.seed)
    made.upload(system)
    notice = made.notice(seq=1)
    system.send("bulk", notice)
    kill_workers(system.settings)
    made.upload(system)
    system.send("bulk", notice, made.notice(seq=2))
    settled = system.settle(LIMIT_S)
    found: dict[str, set[tuple[str, float]]] = {}

    def complete() -> bool:
        for row in windows.rows(system, READINGS_SCORES):
            if row["gateway_id"] == made.gateway.gateway_id:
                said = (row["label"], round(row["score"], 6))
                found.setdefault(row["reading_id"], set()).add(said)
        return found.keys() >= made.reading_ids

    complete_in_time = happens(complete, LIMIT_S)
    record(
        "a bulk object uploaded twice and announced three times, all workers killed between",
        acknowledged=len(made.reading_ids),
        lost=len(made.reading_ids - found.keys()),
        duplicated=settled.duplicated,
        declared=0,
        recovery_s=settled.seconds,
        note=f"each reading one verdict; seed {system.seed}",
    )
    assert settled.complaints == []
    assert complete_in_time, f"{len(made.reading_ids - found.keys())} readings were not scored"
    assert found.keys() == made.reading_ids
    assert [said for said in found.values() if len(said) > 1] == [], "one reading, one verdict"
    assert (system.bucket / made.name).read_bytes() == made.data


def test_after_all_faults_every_window_is_what_the_archive_says(system: FaultSystem, tmp_path: Path) -> None:
    """Reads the archive that the stream wrote by the same `build()`: last, for it ends the load."""
    system.stop_load()
    assert system.settle(LIMIT_S).complaints == []
    wanted = windows.standing(windows.replayed(system, tmp_path))
    assert wanted
    said: dict[windows.Window, windows.Said] = {}

    def complete() -> bool:
        said.update(windows.standing(windows.streamed(system)))
        return said == wanted

    # Rows are loaded into BigQuery once a minute.
    equal = happens(complete, 180)
    differ = windows.differences(wanted, said)
    record(
        "all of the above: windows of five minutes, by home, beside a replay of the archive",
        acknowledged=len(wanted),
        lost=len(differ),
        duplicated=0,
        declared=0,
        recovery_s=None,
        note=f"seed {system.seed}",
    )
    assert equal, "\n".join(["the stream's windows are not the archive's:", *differ])
