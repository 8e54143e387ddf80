"""All rules of a home together: what a sensor says → what has happened. No IO."""

from __future__ import annotations

import json
import logging
from typing import Any, Final

from edge_client import hazards
from edge_client.arming import Arming
from edge_client.clock import SECOND_US, Moment
from edge_client.config import GatewayConfig, SensorConfig, UserConfig
from edge_client.hazards import AirHazards, AirSample
from edge_client.messages import ZigbeeMessage, air_values
from edge_client.series import HomeSeries
from edge_client.signals import Measure, NewId, OpenSignals, Signal
from edge_client.users import matches
from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import Category, Code, meaning
from schemas.payloads import AIR_CHANNELS, MINUTE_US, levels_dba

_log = logging.getLogger(__name__)

RULE_VERSION: Final = "devices-1"
BATTERY_LOW_PCT: Final = 15
BATTERY_GOOD_PCT: Final = 25
SILENT_US: Final = 10 * MINUTE_US  # a rich sensor that stopped is missed after this; so is garbage
_HAZARDS: Final = (Code.SMOKE, Code.HEAT, Code.CARBON_MONOXIDE)


def merged(saved: bytes | None, blank: bytes) -> bytes:
    """State before a restart and state since, while the disk could not be read → one to go on with.

    Args:
        saved, blank: From `HomeRules.dump()`.
    """
    if saved is None:
        return blank
    state, since = json.loads(saved), json.loads(blank)
    for key, ids in since["opens"].items():
        state["opens"][key] = [*state["opens"].get(key, []), *ids]
    for sensor_id, dose in since["cohb_pct"].items():
        state["cohb_pct"][sensor_id] = max(dose, state["cohb_pct"].get(sensor_id, 0.0))
    if since["arming"]["mode"] != "disarmed":
        state["arming"] = since["arming"]
    return json.dumps(state, sort_keys=True).encode()


class HomeRules:
    """Arming, hazards and device troubles of one home, and the short history for its alarms."""

    def __init__(self, config: GatewayConfig, now: Moment, new_id: NewId, saved: bytes | None = None) -> None:
        """
        Args:
            new_id: → 16 random bytes.
            saved: From `dump()`, to go on after a restart.
        """
        state: dict[str, Any] = json.loads(saved) if saved else {}
        self._config = config
        self._sensors = {s.id: s for s in config.sensors}
        self._signals = OpenSignals(new_id, state.get("opens"))
        roles = {s.id: s.arming_role for s in config.sensors}
        self.arming = Arming(config.arming, roles, self._signals, now, state.get("arming"))
        doses = state.get("cohb_pct", {})
        self._air = {
            s.id: AirHazards(
                [c for c in _HAZARDS if self._signals.is_open(c, s.id)],
                doses.get(s.id, 0.0),
                near_cooking=s.near_cooking,
            )
            for s in config.sensors
            if s.kind == "air"
        }
        self._series = HomeSeries(config.sensors)
        self._heard_us: dict[str, int] = {}  # rich sensors, elapsed
        self._garbage_us = dict.fromkeys(self._signals.open_sensors(Code.SENSOR_TROUBLE), now.elapsed_us)

    def dump(self) -> bytes:
        """What has to survive a restart."""
        state = {
            "opens": self._signals.dump(),
            "arming": self.arming.state.dump(),
            "cohb_pct": {sensor_id: round(air.cohb_pct, 2) for sensor_id, air in self._air.items()},
        }
        return json.dumps(state, sort_keys=True).encode()

    def tick(self, now: Moment) -> list[Signal]:
        """Let time pass: delays run out, sensors are missed."""
        out = self.arming.tick(now)
        for sensor_id, heard_us in self._heard_us.items():
            silent_us = now.elapsed_us - heard_us
            if silent_us >= SILENT_US and not self._signals.is_open(Code.SUPERVISION, sensor_id):
                measure = Measure("silent_s", silent_us / SECOND_US, "s", SILENT_US / SECOND_US)
                out.append(self._open(Code.SUPERVISION, sensor_id, now, measure))
        for sensor_id, garbage_us in list(self._garbage_us.items()):
            if now.elapsed_us - garbage_us >= SILENT_US:
                del self._garbage_us[sensor_id]
                out += self._restore(Code.SENSOR_TROUBLE, sensor_id, now)
        return out

    def zigbee(
        self, sensor: SensorConfig, message: ZigbeeMessage, now: Moment, *, retained: bool
    ) -> list[Signal]:
        """A plain device spoke.

        Args:
            retained: The broker's memory, not the device: states count, actions do not.
        """
        out = self._troubles(sensor, message, now)
        if sensor.kind == "contact" and message.contact is not None:
            self._series.put(sensor.id, now.utc_us, {"open": float(not message.contact)})
            out += self.arming.contact(sensor.id, not message.contact, now)
        elif sensor.kind == "motion" and message.occupancy is not None:
            self._series.put(sensor.id, now.utc_us, {"motion": float(message.occupancy)})
            out += self.arming.motion(sensor.id, message.occupancy, now)
        elif sensor.kind == "smoke" and message.smoke is not None:
            out += self._state(Code.SMOKE, sensor.id, message.smoke, now)
        elif sensor.kind == "mains" and message.mains is not None:
            out += self._state(Code.AC_LOSS, sensor.id, not message.mains, now)
        elif message.action is not None and not retained:
            if sensor.kind == "button" and message.action == "panic":
                out += self.arming.panic(sensor.id, now)
            elif sensor.kind == "keypad":
                out += self._keypad(message, now)
        return out

    def frame(self, sensor: SensorConfig, frame: pb.SensorFrame, now: Moment) -> list[Signal]:
        """A rich sensor spoke: hazards for a second of air, history for the charts."""
        self._heard_us[sensor.id] = now.elapsed_us
        out = self._restore(Code.SUPERVISION, sensor.id, now)
        if frame.battery_percent:
            out += self._battery(sensor, frame.battery_percent, now)
        if sensor.kind == "air":
            values = dict(zip((c.name for c in AIR_CHANNELS), air_values(frame.air), strict=True))
            self._series.put(sensor.id, frame.start_us, values)
            out += self._second_of_air(sensor.id, frame)
        elif sensor.kind == "sound":
            for second, level in enumerate(levels_dba(frame.sound)):
                at_us = frame.start_us + second * SECOND_US
                self._series.put(sensor.id, at_us, {"sound_dba": float(level)})
        return out

    def garbage(self, sensor_id: str, now: Moment) -> list[Signal]:
        """A known sensor sent what cannot be read: told once, until it has stopped for a while."""
        self._garbage_us[sensor_id] = now.elapsed_us
        if self._signals.is_open(Code.SENSOR_TROUBLE, sensor_id):
            return []
        return [self._open(Code.SENSOR_TROUBLE, sensor_id, now)]

    def storage(self, refuses: bool, now: Moment) -> list[Signal]:
        """The gateway's own disk."""
        return self._state(Code.STORAGE, "", refuses, now)

    def event(self, signal: Signal, now: Moment) -> pb.Event:
        """Signal → event; an alarm carries the home's last minutes."""
        sensor = self._sensors.get(signal.sensor_id)
        event = pb.Event(
            event_id=signal.event_id,
            code=signal.code,
            qualifier=signal.qualifier,
            sensor_id=signal.sensor_id,
            kind=sensor.wire_kind if sensor else pb.SENSOR_KIND_GATEWAY,
            room=sensor.room if sensor else "",
            occurred_us=signal.occurred_us,
            measurements=[
                pb.Measurement(name=m.name, value=m.value, unit=m.unit, limit=m.limit)
                for m in signal.measures
            ],
            rule_version=signal.rule_version,
            restores_event_id=signal.restores,
            user=signal.user,
        )
        alarm = meaning(signal.code).category in (Category.LIFE, Category.INTRUSION)
        if alarm and signal.qualifier == pb.QUALIFIER_NEW:
            event.series.extend(self._series.last_minutes(now.utc_us))
        return event

    def _second_of_air(self, sensor_id: str, frame: pb.SensorFrame) -> list[Signal]:
        air, out = frame.air, []
        sample = AirSample(air.co_ppm, air.voc_index, air.temperature_c)
        for change in self._air[sensor_id].second(frame.start_us, sample):
            call = self._signals.opened if change.active else self._signals.restored
            told = call(
                change.code, sensor_id, frame.start_us, hazards.RULE_VERSION, measures=change.measures
            )
            out += told if isinstance(told, list) else [told]
        return out

    def _keypad(self, message: ZigbeeMessage, now: Moment) -> list[Signal]:
        user = self._user(message.action_code or "")
        if message.action == "arm_away":
            return self.arming.arm("away", user.id if user else "", now)
        if message.action == "arm_stay":
            return self.arming.arm("stay", user.id if user else "", now)
        if message.action != "disarm":
            return []
        if user is None:
            _log.warning("%s: keypad: wrong code", self._config.home_id)
            return []
        return self.arming.disarm(user.id, now, duress=user.duress)

    def _user(self, code: str) -> UserConfig | None:
        return next((u for u in self._config.users if code and matches(u.code_hash, code)), None)

    def _troubles(self, sensor: SensorConfig, message: ZigbeeMessage, now: Moment) -> list[Signal]:
        out: list[Signal] = []
        if message.tamper is not None:
            code = Code.TAMPER if sensor.kind == "mains" else Code.SENSOR_TAMPER
            out += self._state(code, sensor.id, message.tamper, now)
        if message.battery is not None:
            out += self._battery(sensor, message.battery, now)
        return out

    def _battery(self, sensor: SensorConfig, percent: float, now: Moment) -> list[Signal]:
        code = Code.LOW_BATTERY if sensor.kind == "mains" else Code.RF_BATTERY
        if percent > BATTERY_LOW_PCT and not percent >= BATTERY_GOOD_PCT:
            return []
        measure = Measure("battery", percent, "%", BATTERY_LOW_PCT)
        return self._state(code, sensor.id, percent <= BATTERY_LOW_PCT, now, measure)

    def _state(self, code: Code, sensor_id: str, on: bool, now: Moment, *measures: Measure) -> list[Signal]:
        """A condition that lasts: told when it begins and when it ends."""
        if not on:
            return self._restore(code, sensor_id, now)
        return [] if self._signals.is_open(code, sensor_id) else [self._open(code, sensor_id, now, *measures)]

    def _open(self, code: Code, sensor_id: str, now: Moment, *measures: Measure) -> Signal:
        return self._signals.opened(code, sensor_id, now.utc_us, RULE_VERSION, measures=measures)

    def _restore(self, code: Code, sensor_id: str, now: Moment) -> list[Signal]:
        return self._signals.restored(code, sensor_id, now.utc_us, RULE_VERSION)
