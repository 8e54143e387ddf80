"""A gateway's core on a real outbox, with a clock that stands still."""

import contextlib
import json

from edge_client.core import Core
from edge_client.intake import Arrival
from edge_client.outbox import Outbox, OutboxUnavailable
from edge_client.witness import Witness
from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import Code
from schemas.topics import RICH, ZIGBEE, sensor_topic
from tests.edge_client.fakes import CODE, HOME, Ids, ManualClock, make_config, make_identity, opened

DOOR, WINDOW = "contact-front-door", "contact-kitchen-window"
NEW, RESTORE = pb.QUALIFIER_NEW, pb.QUALIFIER_RESTORE

STORAGE_FAILS = (Code.STORAGE, NEW, "")
STORAGE_BACK = (Code.STORAGE, RESTORE, "")
PANIC = (Code.PANIC, NEW, "panic-bedroom")


class Bench:
    """A core on a real outbox; `acked` and `woken` record what it told the outside."""

    patience_s = 60.0

    def __init__(self, folder, **changes):
        self.config = make_config(folder, **changes)
        self.identity = make_identity()
        self.clock = ManualClock()
        self.ids = Ids()
        self.open()

    def open(self):
        self.acked, self.woken, self.redelivered = [], [], []
        self.outbox = Outbox(
            self.config.outbox.path,
            self.identity,
            Witness(self.config.outbox.witness_path, b"b" * 36),
            max_bytes=self.config.outbox.max_bytes,
            patience_s=self.patience_s,
            random_bytes=self.ids,
        )
        self.core = Core(
            self.config,
            self.outbox,
            clock=self.clock,
            new_id=lambda: self.ids(16),
            acknowledge=self.acked.append,
            committed=self.woken.append,
            redeliver=lambda: self.redelivered.append(True),
        )

    def kill(self):
        """The process dies: nothing is flushed."""
        self.outbox.close()

    def send(self, topic, payload, **more):
        arrival = Arrival(topic, payload, **more)
        self.core.arrived(arrival)
        return arrival

    def zigbee(self, sensor_id, payload, **more):
        return self.send(sensor_topic(HOME, ZIGBEE, sensor_id), json.dumps(payload).encode(), **more)

    def rich(self, frame):
        return self.send(sensor_topic(HOME, RICH, frame.sensor_id), frame.SerializeToString())

    def pass_time(self, seconds, step=0.5):
        for _ in range(round(seconds / step)):
            self.clock.forward(step)
            self.core.step()

    def sent(self, lane):
        out = []
        with contextlib.suppress(OutboxUnavailable):  # what is in memory comes first
            while batch := self.outbox.take(lane):
                out.append(opened(batch.envelope))
                self.outbox.confirm(batch)
        return out

    def events(self):
        return [event for _, body in self.sent(pb.LANE_URGENT) for event in body.events]

    def told(self):
        return [(event.code, event.qualifier, event.sensor_id) for event in self.events()]

    def arm(self):
        """Settle, arm away, leave."""
        self.pass_time(61)
        self.zigbee("keypad-hall", {"action": "arm_away", "action_code": CODE})
        self.zigbee(DOOR, {"contact": False})
        self.zigbee(DOOR, {"contact": True})
        self.pass_time(61)
        self.events()


class HurriedBench(Bench):
    """Its disk has little time to answer."""

    patience_s = 0.2
