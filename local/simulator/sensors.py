"""The sensors of one simulated home: its life and its script → what they publish, second by second.

A pure generator of messages: no clock, no broker. `second(0)`, `second(1)`, … in order.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

import numpy as np

from local.recordings import FireCurve
from local.signals.accel import Incident, accel_minute
from local.signals.air import Activity, RoomAir
from local.signals.pir import pir_minute
from local.simulator import devices, household
from local.simulator.devices import Device
from local.simulator.fire import Fire
from local.simulator.life import WINDOWS, Life
from local.simulator.microphone import Sounds
from local.simulator.scenarios import Burns, Effect, Expect, Jolt, Leaks, Opens, Script
from schemas import hearthwatch_v1_pb2 as pb
from schemas.readings import MINUTE_US, SECONDS
from schemas.topics import RICH, ZIGBEE, sensor_topic

SECOND_US: Final = 1_000_000
OCCUPANCY_HOLD_S: Final = 60  # a battery motion sensor reports "clear" a minute after the last movement
JITTER_MS: Final = 1_200  # real sensors do not finish their minute all at once
CONTACT_MS: Final = 50  # within its second
_RENDER_FROM_S: Final = 4  # after the last minute's frames have gone
_SETTLE_S: Final = 1_800  # the air of a lived-in room, not of a new one


class Message(NamedTuple):
    """One MQTT message of a sensor.

    Attributes:
        due_us: When the sensor sends it, µs of the simulated clock.
        stimulus: Name of the scenario's effect that it carries, "" for ordinary life.
        expect: The alarm that it must open.
    """

    due_us: int
    topic: str
    payload: bytes
    stimulus: str = ""
    expect: Expect | None = None


class SimulatedHome:
    """One home.

    Args:
        number: From 1; names the home and seeds it together with `seed`.
        start_us: Simulated time of `second(0)`, a whole second, µs since 1970 UTC.
        local_offset_s: Local time less UTC, whole minutes in seconds.
        sounds: Where sounds come from; None: synthesis.
        curve: A recorded fire, for the script's fire.
    """

    def __init__(
        self,
        seed: int,
        number: int,
        start_us: int,
        local_offset_s: int,
        script: Script,
        *,
        sounds: Sounds | None = None,
        curve: FireCurve | None = None,
    ) -> None:
        if start_us % SECOND_US or local_offset_s % SECONDS:
            raise ValueError(f"start_us is {start_us} and local_offset_s {local_offset_s}: not whole")
        self.seed, self.number = seed, number
        self.home_id, self.start_us = devices.home_id(number), start_us
        self._start_s = start_us // SECOND_US
        life = Life(seed, number, self._start_s + local_offset_s, script)
        if life.routine(0) and life.armed(0) == "away":
            # A new gateway is told by keypad that nobody is in; without a door it would arm Stay.
            script = script._replace(effects=(*script.effects, Opens(2.0, devices.FRONT_DOOR, 4.0)))
            life = Life(seed, number, self._start_s + local_offset_s, script)
        self.life, self.script = life, script
        self._sounds = sounds or Sounds()
        self._fires = [(e, Fire(e.at_s, curve)) for e in script.effects if isinstance(e, Burns)]
        self._code = household.keypad_code(seed, number)
        self._air = {device: self._settled_air(device.room) for device in devices.AIR}
        self._open = {device.sensor_id: False for device in devices.CONTACT}
        self._clear_at = {device.sensor_id: -1 for device in devices.MOTION}
        self._rendered: dict[str, pb.SensorFrame] = {}
        self._next = 0

    def second(self, index: int) -> list[Message]:
        """What the sensors send in a second of the simulation, ordered by time.

        Raises:
            ValueError: Not the next second.
        """
        if index != self._next:
            raise ValueError(f"second is {index}, the next one is {self._next}")
        self._next += 1
        found = self._minute_frames(index)
        found += self._contacts(index)  # before motion: the door opens, then somebody walks in
        found += self._signals(index)
        found += self._occupancy(index)
        found += [self._air_second(device, index) for device in devices.AIR]
        return sorted(found, key=lambda message: message.due_us)

    # -- at once -------------------------------------------------------------------------------

    def _contacts(self, index: int) -> list[Message]:
        found = []
        for device in devices.CONTACT:
            is_open = self.life.is_open(device.sensor_id, index)
            if is_open == self._open[device.sensor_id] and index:
                continue
            self._open[device.sensor_id] = is_open
            cause = self._cause(Opens, device.sensor_id, index) if is_open else None
            payload = {"contact": not is_open, "battery": self._battery(device)}
            found.append(self._zigbee(index, CONTACT_MS, device.sensor_id, payload, cause))
        return found

    def _signals(self, index: int) -> list[Message]:
        found = []
        if index == 0 and self.life.routine(0) and self.life.armed(0) != "disarmed":
            found.append(self._keypad(index, 600, f"arm_{self.life.armed(0)}"))
        found += [self._keypad(index, 20, action) for action in self.life.keypad(index)]
        for burns, fire in self._fires:
            if index == fire.began:
                fire.ignite(self._air_of(burns.room))
            if index == fire.alarm:
                payload: dict[str, Any] = {"smoke": True, "battery": self._battery(devices.SMOKE)}
                found.append(self._zigbee(index, 100, devices.SMOKE_ALARM, payload, burns))
        for signal in self.life.signals(index):
            payload = dict(signal.payload)
            if "action_code" in payload:
                payload["action_code"] = self._code
            at_ms = int((signal.at_s - index) * 1000)
            found.append(self._zigbee(index, at_ms, signal.sensor_id, payload, signal))
        return found

    def _occupancy(self, index: int) -> list[Message]:
        found = []
        second = (self._start_s + index) % SECONDS
        for device in devices.MOTION:
            people = [
                m
                for m in self.life.movements(device.room, index - second)
                if m.who == "person" and int(m.start_s) == second
            ]
            clear_at = self._clear_at[device.sensor_id]
            if people:
                ends = index + max(m.duration_s for m in people)
                if clear_at < 0:
                    at_ms = 200 + int(people[0].start_s % 1 * 700)
                    found.append(self._zigbee(index, at_ms, device.sensor_id, {"occupancy": True}))
                self._clear_at[device.sensor_id] = max(clear_at, int(ends) + OCCUPANCY_HOLD_S)
            elif 0 <= clear_at <= index:
                self._clear_at[device.sensor_id] = -1
                payload = {"occupancy": False, "battery": self._battery(device)}
                found.append(self._zigbee(index, 500, device.sensor_id, payload))
        return found

    # -- frames --------------------------------------------------------------------------------

    def _air_second(self, device: Device, index: int) -> Message:
        occupied = self.life.occupied(device.room, index)
        activity = Activity(
            people=occupied.awake + occupied.asleep,
            cooking=device.room == devices.KITCHEN and self.life.cooks(index),
            airing=any(self._open[window] for window in WINDOWS.get(device.room, ())),
            co_leak_lps=sum(
                e.co_lps
                for e in self.script.effects
                if isinstance(e, Leaks) and e.room == device.room and index >= e.at_s
            ),
        )
        frame = self._frame(device, self.start_us + index * SECOND_US)
        sample = self._air[device].step(activity)
        frame.air.CopyFrom(pb.AirSecond(**sample._asdict()))
        leaks = (e for e in self.script.effects if isinstance(e, Leaks) and e.room == device.room)
        cause = next((e for e in leaks if _begins(e, index)), None)
        at_ms = self.number * 137 % 900  # a street does not tick
        message = self._rich(index, at_ms, device, frame, cause)
        if any(burns.room == device.room and fire.began == index for burns, fire in self._fires):
            return message._replace(stimulus="ignites")  # what is expected hangs on the smoke alarm
        return message

    def _minute_frames(self, index: int) -> list[Message]:
        """Frames of the minute that has just ended, each sensor after a delay of its own.

        A minute is known in full before it begins, so frames are rendered ahead, spread over its
        seconds: a street that renders all of them at the turn of the minute would send them late.
        """
        second = (self._start_s + index) % SECONDS
        minute = index - second  # second of the simulation at which this minute begins
        found = []
        for number, device in enumerate(devices.READING_DEVICES):
            if device in devices.AIR:
                continue
            if second == _RENDER_FROM_S + (self.number * 11 + number * 5) % (SECONDS - _RENDER_FROM_S):
                self._rendered[device.sensor_id] = self._minute_frame(device, minute)
            jitter_ms = self._jitter_ms(number, minute) if second <= JITTER_MS // 1000 else -1
            if index > second == jitter_ms // 1000:
                ended = self.start_us + (minute - SECONDS) * SECOND_US
                frame = self._rendered.pop(device.sensor_id, None)
                if frame is None or frame.start_us != ended:  # the simulation began late in that minute
                    frame = self._minute_frame(device, minute - SECONDS)
                found.append(self._rich(index, jitter_ms % 1000, device, frame))
        return found

    def _minute_frame(self, device: Device, minute: int) -> pb.SensorFrame:
        frame = self._frame(device, self.start_us + minute * SECOND_US)
        self._fill(frame, device, minute)
        return frame

    def _fill(self, frame: pb.SensorFrame, device: Device, minute: int) -> None:
        rng = self._rng(device, minute)
        if device.kind == pb.SENSOR_KIND_MOTION:
            movements = self.life.movements(device.room, minute)
            frame.motion.pir = pir_minute(rng, movements).astype("<i2").tobytes()
            frame.motion.occupied = any(m.who == "person" for m in movements)
        elif device.kind == pb.SENSOR_KIND_SOUND:
            heard = self.life.sounds(device.room, minute)
            for burns, fire in self._fires:
                heard += fire.sounds(device.room == burns.room, minute)
            frame.sound.CopyFrom(self._sounds.render(rng, heard))
        else:
            self._fill_contact(frame, device, minute, rng)

    def _fill_contact(
        self, frame: pb.SensorFrame, device: Device, minute: int, rng: np.random.Generator
    ) -> None:
        flips = self.life.flips(device.sensor_id, minute)
        incidents = [
            Incident(second, "open" if self.life.is_open(device.sensor_id, minute + second) else "close")
            for second in flips
        ]
        incidents += [
            Incident(e.at_s - minute, e.what)
            for e in self.script.effects
            if isinstance(e, Jolt) and e.sensor_id == device.sensor_id and 0 <= e.at_s - minute < SECONDS
        ]
        frame.contact.open = self.life.is_open(device.sensor_id, minute + SECONDS - 1)
        if frame.contact.open and rng.random() < 0.3:
            incidents.append(Incident(float(rng.uniform(0, 40)), "wind"))
        frame.contact.changes_ms.extend(second * 1000 + CONTACT_MS for second in flips)
        frame.contact.accel = accel_minute(rng, incidents).astype("<i2").tobytes()

    # -- helpers -------------------------------------------------------------------------------

    def _settled_air(self, room: str) -> RoomAir:
        rng = household.rng_of(self.seed, self.number, household.WEATHER, devices.ROOMS.index(room))
        air = RoomAir(rng, volume_m3=float(rng.uniform(22, 34)))
        occupied = self.life.occupied(room, 0)
        air.settle(Activity(people=occupied.awake + occupied.asleep), _SETTLE_S)
        return air

    def _air_of(self, room: str) -> RoomAir:
        return next(air for device, air in self._air.items() if device.room == room)

    def _rng(self, device: Device, minute: int) -> np.random.Generator:
        number = devices.DEVICES.index(device)
        moment = self.start_us // MINUTE_US + minute // SECONDS
        return household.rng_of(self.seed, self.number, household.FRAMES, number, moment)

    def _jitter_ms(self, number: int, minute: int) -> int:
        return (self.number * 7919 + number * 104_729 + minute * 31) % JITTER_MS

    def _battery(self, device: Device) -> int:
        return 60 + (self.seed * 31 + self.number * 17 + devices.DEVICES.index(device) * 7) % 40

    def _keypad(self, index: int, at_ms: int, action: str) -> Message:
        payload = {"action": action, "action_code": self._code}
        return self._zigbee(index, at_ms, devices.KEYPAD, payload)

    def _cause(self, kind: type[Opens], sensor_id: str, index: int) -> Effect | None:
        matching = (e for e in self.script.effects if isinstance(e, kind) and e.sensor_id == sensor_id)
        return next((e for e in matching if _begins(e, index)), None)

    def _frame(self, device: Device, start_us: int) -> pb.SensorFrame:
        return pb.SensorFrame(
            sensor_id=device.sensor_id,
            kind=device.kind,
            start_us=start_us,
            battery_percent=self._battery(device),
        )

    def _rich(
        self, index: int, at_ms: int, device: Device, frame: pb.SensorFrame, cause: Effect | None = None
    ) -> Message:
        topic = sensor_topic(self.home_id, RICH, device.sensor_id)
        return self._message(index, at_ms, topic, frame.SerializeToString(), cause)

    def _zigbee(
        self, index: int, at_ms: int, sensor_id: str, payload: dict[str, Any], cause: Effect | None = None
    ) -> Message:
        topic = sensor_topic(self.home_id, ZIGBEE, sensor_id)
        return self._message(index, at_ms, topic, json.dumps(payload).encode(), cause)

    def _message(self, index: int, at_ms: int, topic: str, payload: bytes, cause: Effect | None) -> Message:
        due_us = self.start_us + index * SECOND_US + at_ms * 1000
        if cause is None:
            return Message(due_us, topic, payload)
        return Message(due_us, topic, payload, type(cause).__name__.lower(), getattr(cause, "expect", None))


def _begins(effect: Effect, index: int) -> bool:
    return index <= effect.at_s < index + 1
