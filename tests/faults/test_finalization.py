"""When a checkpoint completes Flink finalizes bundles that it does not contain: shown, and survived.

Two builds read the same messages: one acknowledges a bundle's messages in that bundle's finalization, the
other (ours) one checkpoint later. The keyed step behind the source is made slow, so that checkpoints take
seconds and messages lie in the engine's buffers. A message is *exposed* while it is acknowledged and
has not come out of the keyed step: no checkpoint contains it, and no subscription holds it. When the
broken build has exposed some, all workers are killed. docs/decisions/021-finalization.md has the figures.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from local import emulators, parts
from local.config import Settings, isolated
from local.engine import runner_options
from local.topics import create_pair
from tests.faults.form import LONG
from tests.faults.load import Load, number_of, numbered
from tests.faults.oracle import drain
from tests.faults.processes import Processes, kill_workers, submit
from tests.faults.results import record
from tests.faults.system import eventually
from tests.faults.told import told
from transforms.pubsub_client import SubscriberClient

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(1_200),
    pytest.mark.skipif(not LONG, reason="only in `make faults`"),
]

PER_S = 30
SLOW_S = 0.1  # an element: a third of what arrives
EXPOSED = 50  # messages, before the kill
ACK_DEADLINE_S = 20
LIMIT_S = 300.0
RUN = b"run"


class _Build:
    """One of the two jobs: how slow it is, and what it has acknowledged and seen."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.name = name
        self.subscription = f"projects/{settings.project}/subscriptions/minutes-{name}"
        self._settings = settings
        self._told = settings.run / "told" / name
        self._pace = settings.run / f"pace-{name}"
        self.pace(0)

    def pace(self, seconds: float) -> None:
        """Seconds that the keyed step takes over an element, from now on."""
        self._pace.parent.mkdir(parents=True, exist_ok=True)
        partial = self._pace.with_suffix(".partial")
        partial.write_text(str(seconds))
        partial.replace(self._pace)

    def submit(self) -> None:
        create_pair(
            self._settings,
            topic="minutes",
            subscription=f"minutes-{self.name}",
            ack_deadline_s=ACK_DEADLINE_S,
        )
        submit(
            "tests.faults.keyed_job",
            f"--job_name={self.name}",
            f"--subscription={self.subscription}",
            f"--told={self._told}",
            f"--pace={self._pace}",
            f"--acknowledge={self.name}",
            *runner_options(self._settings),
            "--checkpointing_interval=1000",
        )

    def seen(self) -> set[int]:
        """Numbers of the messages that came out of the keyed step."""
        return self._numbers("seen")

    def exposed(self) -> int:
        """How many messages are acknowledged and not seen; what is read first cannot be ahead."""
        acknowledged = self._numbers("acknowledged")
        return len(acknowledged - self.seen())

    def _numbers(self, kind: str) -> set[int]:
        return {number_of(one.ljust(len(RUN) + 4, b"\0"), RUN) for one in told(self._told, kind)}


def test_own_finalization_acknowledges_what_no_checkpoint_holds_and_a_later_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = isolated(tmp_path, warehouse="off")
    for name, value in emulators.client_environment(settings).items():
        monkeypatch.setenv(name, value)
    own, later = _Build(settings, "own"), _Build(settings, "later")
    with Processes() as processes:
        processes.start(next(part for part in parts.stand_ins(settings) if part.name == "pubsub"), settings)
        processes.start(parts.engine_part(settings), settings)
        for build in (own, later):
            build.submit()
        topic = f"projects/{settings.project}/topics/minutes"
        with Load(settings.pubsub_port, topic, numbered(RUN, 300), PER_S) as load:
            eventually(lambda: bool(own.seen() and later.seen()), "both builds to flow", LIMIT_S)
            most = {own: 0, later: 0}

            def look() -> bool:
                for build in most:
                    most[build] = max(most[build], build.exposed())
                return own.exposed() >= EXPOSED

            for build in most:
                build.pace(SLOW_S)
            eventually(look, "the broken build to expose messages", LIMIT_S)
            kill_workers(settings)
            for build in most:
                build.pace(0)
        published = {number_of(payload, RUN) for payload in load.acknowledged}
        eventually(lambda: published <= later.seen(), "our build to see everything", LIMIT_S)
        processes.stop("engine")
        time.sleep(ACK_DEADLINE_S + 1)
        lost = {}
        for build in most:
            waiting = {number_of(left, RUN) for left in drain(build.subscription, SubscriberClient())}
            lost[build] = published - build.seen() - waiting
    print(
        f"of {len(published)}: exposed at most {most[own]} (own), {most[later]} (later); "
        f"lost {len(lost[own])} (own), {len(lost[later])} (later)"
    )
    record(
        "workers killed while messages lie between source and keyed step",
        acknowledged=len(published),
        lost=len(lost[later]),
        duplicated=0,
        declared=0,
        recovery_s=None,
        note=f"a build that acknowledges in the bundle's own finalization exposed {most[own]} "
        f"and lost {len(lost[own])}; ours exposed {most[later]}",
    )
    assert lost[later] == set()
    assert most[later] == 0
    assert lost[own], "the experiment did not show that acknowledging too early loses anything"
