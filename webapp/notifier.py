"""The notifier: tells owners of alarms, pushes to their phones, and takes what they say.

`python -m webapp.notifier`. Several may run: what one has put into the outbox or leased the others leave.

An alarm's change arrives by the listener, and each `COMPARE_S` by asking for all that are open: a listener
that went deaf costs seconds. What happened while no notifier ran is found at the start. An alarm is worked on
by one thread of `LANES`, so that its changes stay in order; FCM has threads of its own (`webapp.senders`), so
that a slow answer holds up nobody else's alarm.

One alarm that cannot be told is logged and left; if the thread that watches breaks, the process ends with 1:
a notifier that lives and hears nothing would be the worst.
"""

from __future__ import annotations

import argparse
import logging
import random
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.alarms import Alarm, AlarmState
from schemas.owners import Push, Said, Told, push_id
from webapp import notices, owner_word
from webapp.app import firestore_client, now_us
from webapp.delivery import Delivery
from webapp.errors import NotFound, Refused, Unreachable
from webapp.lifecycle import Actor, Step
from webapp.outbox import Household, Outbox, Taken
from webapp.push_sender import FcmSender
from webapp.repository import AlarmRepository
from webapp.senders import Senders
from webapp.watching import Change, Watch

log = logging.getLogger(__name__)
LANES: Final = 8
SWEEP_S: Final = 1.0
COMPARE_S: Final = 10.0
MARGIN_US: Final = 600 * notices.SECOND_US  # clocks differ, and a pipeline may have been slow
OWNER: Final = "Owner"  # in the alarm's history: whose phone it was is in the audit trail, by account


class NotifierConfig(BaseSettings):
    """Settings from the environment (`HEARTHWATCH_NOTIFIER_…`)."""

    model_config = SettingsConfigDict(env_prefix="HEARTHWATCH_NOTIFIER_", extra="forbid", frozen=True)

    project_id: str = Field(default="demo-hearthwatch", description="Firebase project.")
    fcm_url: str = Field(default="", description="Endpoint with {0} for the project; empty means Google's.")


class Notifier:
    """Runs between `start()` and `stop()`.

    Args:
        clock: µs since 1970 UTC.
    """

    def __init__(
        self, alarms: AlarmRepository, outbox: Outbox, delivery: Delivery, clock: Callable[[], int]
    ) -> None:
        self._alarms, self._outbox, self._clock = alarms, outbox, clock
        self._lanes = [ThreadPoolExecutor(1, f"lane-{number}") for number in range(LANES)]
        self._senders = Senders(alarms, outbox, delivery, clock)
        self._told: dict[str, Told] = {}  # open alarms as owners know them
        self._watch: Watch | None = None
        self._said_watch: Any = None
        self._taking: set[str] = set()  # words on their way to a lane
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._compared_us = 0
        self._thread = threading.Thread(target=self.run, name="notifier", daemon=True)

    def start(self) -> None:
        """`run()` on a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ask `run()` to end, and wait for the thread that `start()` began."""
        self._stopped.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def run(self) -> None:
        """Listen and sweep until stopped, then finish what is under way. The rest is in the outbox.

        Raises:
            Exception: Whatever is not an outage: nobody listens any more.
        """
        try:
            self._run()
        finally:
            for watch in (self._watch, self._said_watch):
                if watch is not None:
                    watch.close()
            for lane in self._lanes:
                lane.shutdown(wait=True, cancel_futures=True)
            self._senders.stop()

    # -- one alarm ---------------------------------------------------------------------------

    def changed(self, alarm: Alarm) -> Future[None]:
        """An alarm was seen: on its lane, tell what is new of it."""
        return self._on_lane(alarm.alarm_id, lambda: self._tell(alarm))

    def _is_news(self, alarm: Alarm) -> bool:
        told = notices.told_of(alarm)
        known = self._told.get(alarm.alarm_id)
        return told is not None and (told != known or notices.to_tell(alarm) is not None)

    def _tell(self, alarm: Alarm) -> None:
        told = notices.told_of(alarm)
        if told is None or not self._is_news(alarm):
            return
        pushes, mark, household = dict[str, Push](), None, Household({}, {})
        if notices.to_tell(alarm) is not None:
            household = self._outbox.household(alarm.home_id)
            pushes = self._pushes(alarm, household)
            mark = notices.mark(alarm, len(pushes), self._clock())
        now, written = self._clock(), False
        ours = [key for key, p in pushes.items() if p.due_us <= now and self._senders.reserve(p.category)]
        try:
            pushes |= {key: notices.leased(pushes[key], now) for key in ours}
            written = self._outbox.tell(told, pushes, mark)
        finally:
            for key in ours:
                if written:
                    self._senders.send(key, pushes[key], alarm, household)
                else:
                    self._senders.give_back(alarm.category)
        self._remember(told)

    def _pushes(self, alarm: Alarm, household: Household) -> dict[str, Push]:
        """One for each owner who wants it."""
        moment, now = notices.moments(alarm)[-1], self._clock()
        made = {}
        for user in sorted({device.user for device in household.devices.values()}):
            choices = household.choices.get(user)
            if not notices.news_for(alarm, choices):
                continue
            due_us = notices.due_us(moment, alarm.category, choices, now)
            made[push_id(alarm.alarm_id, moment, user, notices.round_us(alarm))] = Push(
                alarm_id=alarm.alarm_id,
                home_id=alarm.home_id,
                user=user,
                moment=moment,
                round_us=notices.round_us(alarm),
                category=alarm.category,
                created_us=now,
                first_due_us=due_us,
                due_us=due_us,
            )
        return made

    def _remember(self, told: Told) -> None:
        if told.closed_us is None:
            self._told[told.alarm_id] = told
        else:
            self._told.pop(told.alarm_id, None)

    # -- what owners say ---------------------------------------------------------------------

    def _take(self, taken: Taken) -> None:
        said = taken.said
        try:
            self._apply(said, said.alarm_id)
        except (Refused, NotFound) as error:
            log.warning("an owner's %s was not taken: %s", said.kind, type(error).__name__)
            if said.kind == owner_word.HELP and isinstance(error, Refused):
                self._help_elsewhere(said)
        finally:
            self._taking.discard(taken.path)
        self._outbox.take(taken.path)

    def _help_elsewhere(self, said: Said) -> None:
        """The alarm that it was said of cannot come back: it is said of what the home has open instead."""
        for alarm in self._alarms.alarms_of(said.home_id):
            if alarm.state is not AlarmState.CLOSED and notices.told_of(alarm):
                return self._apply(said, alarm.alarm_id)
        log.error("a cry for help of %s reaches no open alarm", said.home_id)

    def _apply(self, said: Said, alarm_id: str) -> None:
        alarm = self._alarms.alarm(alarm_id)
        if alarm.home_id != said.home_id or alarm.kind in notices.NEVER_TOLD:
            raise NotFound("not an alarm of that home")  # the rules do not let it come so far
        owner, said_us = Actor(said.user, OWNER, "owner"), int(said.said_at.timestamp() * notices.SECOND_US)

        def rule(now: Alarm) -> Step | None:
            if any((word.user, word.kind) == (said.user, said.kind) for word in now.owner_words):
                return None  # we died after it was written, or another notifier was faster
            return owner_word.said(now, owner, said.kind, said.note, said_us, self._clock())

        self._alarms.apply(alarm_id, owner, rule)

    # -- time --------------------------------------------------------------------------------

    def _run(self) -> None:
        caught_up = False
        while not self._stopped.is_set():
            try:
                if not caught_up:
                    self.catch_up()
                    caught_up = True
                self._tend()
                self.sweep()
            except Unreachable as error:
                log.warning("not told: %s", error)
            self._wake.wait(SWEEP_S)
            self._wake.clear()

    def catch_up(self) -> None:
        """Tell what happened while no notifier ran."""
        since_us = self._outbox.alive_us() or self._clock()
        missed = {alarm.alarm_id: alarm for alarm in self._outbox.opened_since(since_us - MARGIN_US)}
        for key in self._outbox.told_as_open():
            if key not in missed:
                self._look_again(key)
        for alarm in missed.values():
            self.changed(alarm)

    def _tend(self) -> None:
        """Listeners that run, and now and then the truth."""
        if self._watch is None or not self._watch.active:
            if self._watch is not None:
                log.warning("the listener ended, begun anew")
                self._watch.close()
            self._watch = self._alarms.watch(self._on_change)
        if self._said_watch is None or not self._said_watch.is_active:
            if self._said_watch is not None:
                self._said_watch.close()
            self._said_watch = self._outbox.watch_said(self._wake.set)
        now = self._clock()
        if now - self._compared_us >= COMPARE_S * notices.SECOND_US:
            self._compared_us = now
            found = {alarm.alarm_id: alarm for alarm in self._alarms.open_alarms()}
            missed = [key for key, alarm in found.items() if self._is_news(alarm)]
            for key in [*missed, *(key for key in list(self._told) if key not in found)]:
                self._look_again(key)
            self._outbox.note_alive(now)

    def sweep(self) -> None:
        """Deliver what is due in the outbox, take what was said."""
        words = [taken for taken in self._outbox.said() if taken.path not in self._taking]
        for taken in sorted(words, key=lambda one: one.said.said_at):
            self._taking.add(taken.path)
            self._on_lane(taken.said.alarm_id, partial(self._take, taken))
        self._senders.sweep()

    def _on_change(self, change: Change) -> None:
        for alarm in change.upserts:
            self.changed(alarm)
        for key in change.removed:
            self._look_again(key)

    def _look_again(self, key: str) -> None:
        """It left the queue: see how it ended."""

        def look() -> None:
            try:
                alarm = self._alarms.alarm(key)
            except NotFound:
                self._told.pop(key, None)
                return
            self._tell(alarm)

        self._on_lane(key, look)

    def _on_lane(self, alarm_id: str, work: Callable[[], None]) -> Future[None]:
        def guarded() -> None:
            try:
                work()
            except Unreachable as error:
                log.warning("not told yet: %s", error)  # the next comparison does it
            except Exception:
                # One alarm that nobody foresaw must not silence the others.
                log.exception("alarm %s was not told", alarm_id)

        return self._lanes[hash(alarm_id) % LANES].submit(guarded)


def main(argv: list[str] | None = None) -> None:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m webapp.notifier", description="Tells owners of alarms.")
    parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = NotifierConfig()
    client = firestore_client(config.project_id)
    outbox = Outbox(client)
    delivery = Delivery(outbox, FcmSender(config.project_id, config.fcm_url), now_us, random.random)
    notifier = Notifier(AlarmRepository(client), outbox, delivery, now_us)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: notifier.stop())
    log.info("notifier at work")
    notifier.run()


if __name__ == "__main__":
    main()
