"""The path prover: a synthetic gateway that sends a test event (602) on both lanes every period.

It uses the same outbox, seal and uplink as a home's gateway, so that what it proves is the path
that an alarm takes. The console shows how long ago that was last proven.
"""

from __future__ import annotations

import logging
import os
import random
import threading

from edge_client.clock import SECOND_US, Clock, real_s
from edge_client.config import GatewayConfig
from edge_client.gateway import RandomBytes, make_uplink, open_outbox
from edge_client.outbox import Change, Draft, OutboxUnavailable
from edge_client.publisher import Publisher
from edge_client.uplink import LaneCount
from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput
from schemas.events import Code

_log = logging.getLogger(__name__)
_RULE_VERSION = "prover-1"


class Prover:
    """Same shape as `Gateway`: `start()`, `stop()`, `sent()`."""

    def __init__(
        self,
        config: GatewayConfig,
        *,
        clock: Clock,
        publisher: Publisher,
        rng: random.Random | None = None,
        random_bytes: RandomBytes = os.urandom,
    ) -> None:
        """
        Raises:
            BadInput: The configuration is not a synthetic gateway's.
        """
        if not config.synthetic:
            raise BadInput("synthetic is false, limit: true for the path prover")
        self.config = config
        self._clock, self._publisher = clock, publisher
        self._rng, self._random_bytes = rng or random.Random(), random_bytes
        self._stopping = threading.Event()
        self._started = False

    def start(self) -> None:
        """Load identity and outbox, send the first test at once, then one a period.

        Raises:
            BadInput: A file that the configuration names is at fault.
        """
        self._outbox = open_outbox(self.config, self._random_bytes)
        self._uplink = make_uplink(self.config, self._outbox, self._publisher, self._clock, self._rng)
        self._thread = threading.Thread(
            target=self._run, name=f"{self.config.gateway_id}-prover", daemon=True
        )
        self._started = True
        self._uplink.start()
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Stop the threads, close the outbox."""
        if not self._started:
            return
        self._started = False
        self._stopping.set()
        self._thread.join(timeout_s)
        self._uplink.stop(timeout_s)
        self._outbox.close()

    @property
    def healthy(self) -> bool:
        """Are all its threads running?"""
        return self._started and self._thread.is_alive() and self._uplink.alive

    def sent(self, lane: pb.Lane) -> LaneCount:
        """What a lane published since start."""
        return self._uplink.count(lane)

    def _run(self) -> None:
        period_s = real_s(self._clock, self.config.prover_period_s * SECOND_US)
        while True:
            try:
                self._prove()
            except OutboxUnavailable as error:
                _log.error("test not sent: %s", error)
            if self._stopping.wait(period_s):
                return

    def _prove(self) -> None:
        """One test event a lane, each in a batch of its own."""
        now_us = self._clock.now_us()
        drafts = []
        for lane in (pb.LANE_URGENT, pb.LANE_MINUTES):
            event = pb.Event(
                event_id=self._random_bytes(16),
                code=Code.PERIODIC_TEST,
                qualifier=pb.QUALIFIER_NEW,
                kind=pb.SENSOR_KIND_GATEWAY,
                occurred_us=now_us,
                rule_version=_RULE_VERSION,
            )
            drafts.append(Draft(lane, pb.Body(events=[event])))
        arming = pb.Arming(mode=pb.ARMING_MODE_DISARMED, phase=pb.ARMING_PHASE_SET)
        self._outbox.commit(Change(now_us, arming, drafts=drafts))
        for draft in drafts:
            self._uplink.wake(draft.lane)
