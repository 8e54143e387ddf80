"""Arming rules: what doors, windows, motion and the keypad mean, by ANSI/SIA CP-01 where it speaks.

Pure: time comes in with every call, what happened comes out as signals. Who may disarm (the code)
is settled before. Alarms are sent at once; the abort window is the time in which a code also sends
a cancel (406), so that nobody is called out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from edge_client.clock import SECOND_US, Moment
from edge_client.config import ArmingConfig
from edge_client.signals import OpenSignals, Signal
from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import Code

RULE_VERSION: Final = "arming-1"

Mode = Literal["disarmed", "stay", "away"]
_WIRE_MODE: Final = {
    "disarmed": pb.ARMING_MODE_DISARMED,
    "stay": pb.ARMING_MODE_STAY,
    "away": pb.ARMING_MODE_AWAY,
}
# What a disarming code restores.
_INTRUSION: Final = (
    Code.PERIMETER,
    Code.INTERIOR,
    Code.ENTRY_EXIT,
    Code.EXIT_ERROR,
    Code.SWINGER,
    Code.BYPASS,
)
_BY_CODE: Final = (*_INTRUSION, Code.PANIC, Code.DURESS)
_DEADLINES: Final = ("settle_until_us", "exit_until_us", "entry_until_us", "abort_until_us")


@dataclass
class ArmingState:
    """Everything that arming remembers.

    Attributes:
        since_us: When `mode` was entered, µs since 1970 UTC.
        *_until_us: Ends of running delays in elapsed µs, None if not running.
        left: Somebody used an entry door during the exit delay.
        entry_sensor: The door that started the entry delay.
        exit_error: The entry delay runs because that door stayed open when the exit delay ended.
        alarmed: An intrusion was signalled since arming.
        trips: Intrusions by sensor since arming (swinger shutdown).
        bypassed: Sensors left out until they close, because they stood open when arming.
        swung: Sensors left out until disarming, after too many trips.
    """

    mode: Mode = "disarmed"
    since_us: int = 0
    settle_until_us: int | None = None
    exit_until_us: int | None = None
    entry_until_us: int | None = None
    abort_until_us: int | None = None
    left: bool = False
    entry_sensor: str = ""
    exit_error: bool = False
    alarmed: bool = False
    trips: dict[str, int] = field(default_factory=dict)
    bypassed: list[str] = field(default_factory=list)
    swung: list[str] = field(default_factory=list)
    open_contacts: list[str] = field(default_factory=list)

    def dump(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return asdict(self)


class Arming:
    """The state machine of one home."""

    def __init__(
        self,
        config: ArmingConfig,
        roles: Mapping[str, str],
        signals: OpenSignals,
        now: Moment,
        saved: dict[str, Any] | None = None,
    ) -> None:
        """
        Args:
            roles: Sensor id → "entry", "perimeter", "interior" or "none".
            saved: From `ArmingState.dump()`: same mode and bypasses as before; running delays run
                anew in full, and intrusion sensors are ignored until the home has settled.
        """
        self._config = config
        self._roles = roles
        self._signals = signals
        self.state = ArmingState(since_us=now.utc_us) if saved is None else ArmingState(**saved)
        self.state.settle_until_us = now.elapsed_us + config.settle_s * SECOND_US
        for name, delay_s in (
            ("exit_until_us", config.exit_delay_s),
            ("entry_until_us", config.entry_delay_s),
            ("abort_until_us", config.abort_window_s),
        ):
            if getattr(self.state, name) is not None:
                setattr(self.state, name, now.elapsed_us + delay_s * SECOND_US)

    @property
    def phase(self) -> pb.ArmingPhase:
        """The delay that a person would be told of."""
        state = self.state
        if state.exit_until_us is not None:
            return pb.ARMING_PHASE_EXIT_DELAY
        if state.abort_until_us is not None:
            return pb.ARMING_PHASE_ABORT_WINDOW
        if state.entry_until_us is not None:
            return pb.ARMING_PHASE_ENTRY_DELAY
        return pb.ARMING_PHASE_ALARM if state.alarmed else pb.ARMING_PHASE_SET

    def snapshot(self) -> pb.Arming:
        """For the header of every batch."""
        return pb.Arming(
            mode=_WIRE_MODE[self.state.mode],
            phase=self.phase,
            since_us=self.state.since_us,
            bypassed_sensor_ids=sorted({*self.state.bypassed, *self.state.swung}),
        )

    def next_deadline_us(self) -> int | None:
        """Elapsed µs at which `tick` has something to do."""
        return min((d for name in _DEADLINES if (d := getattr(self.state, name)) is not None), default=None)

    def tick(self, now: Moment) -> list[Signal]:
        """Let every delay that has run out take effect, in the order in which they ran out."""
        out: list[Signal] = []
        while (due := self.next_deadline_us()) is not None and due <= now.elapsed_us:
            name = next(n for n in _DEADLINES if getattr(self.state, n) == due)
            setattr(self.state, name, None)
            at = Moment(now.utc_us - (now.elapsed_us - due), due)
            if name == "settle_until_us":
                out += self._settled(at)
            elif name == "exit_until_us":
                out += self._exit_ended(at)
            elif name == "entry_until_us":
                out += self._entry_ended(at)
        return out

    def contact(self, sensor_id: str, is_open: bool, now: Moment) -> list[Signal]:
        """A door or window reports its state; only a change means something."""
        out = self.tick(now)
        state, role = self.state, self._roles.get(sensor_id, "none")
        if is_open == (sensor_id in state.open_contacts):
            return out
        if role == "entry" and state.exit_until_us is not None:
            state.left = True
        if not is_open:
            state.open_contacts.remove(sensor_id)
            return out + self._closed(sensor_id, now)
        state.open_contacts.append(sensor_id)
        if self._is_set() and state.settle_until_us is None:
            out += self._opened(sensor_id, role, now)
        return out

    def motion(self, sensor_id: str, occupied: bool, now: Moment) -> list[Signal]:
        """A motion detector saw somebody, or nobody any more."""
        out = self.tick(now)
        if not occupied:
            return out + self._signals.restored(Code.INTERIOR, sensor_id, now.utc_us, RULE_VERSION)
        ignored = self.state.settle_until_us is not None or self.state.entry_until_us is not None
        interior = self._roles.get(sensor_id) == "interior"
        if interior and self.state.mode == "away" and self._is_set() and not ignored:
            out += self._trip(Code.INTERIOR, sensor_id, now)
        return out

    def panic(self, sensor_id: str, now: Moment) -> list[Signal]:
        """The panic button: at once, in every mode, each press; a disarming code ends it."""
        return [*self.tick(now), self._signals.opened(Code.PANIC, sensor_id, now.utc_us, RULE_VERSION)]

    def arm(self, mode: Literal["stay", "away"], user: str, now: Moment) -> list[Signal]:
        """Arm. Ignored where it would take protection away or hide an alarm."""
        out, state = self.tick(now), self.state
        stays_after_all = mode == "stay" and state.exit_until_us is not None
        protects_more = state.mode == "disarmed" or (state.mode == "stay" and mode == "away")
        busy = state.alarmed or state.entry_until_us is not None
        if not stays_after_all and (busy or not protects_more):
            return out
        state.mode, state.since_us = mode, now.utc_us
        if mode == "away":
            state.exit_until_us = now.elapsed_us + self._config.exit_delay_s * SECOND_US
            state.left = any(self._roles.get(s) == "entry" for s in state.open_contacts)
            return out
        state.exit_until_us = None
        return out + self._set(now, user, ("entry", "perimeter"))

    def disarm(self, user: str, now: Moment, *, duress: bool = False) -> list[Signal]:
        """A valid code: cancels within the abort window, restores what is open, disarms."""
        out, old = self.tick(now), self.state
        at, rule = now.utc_us, RULE_VERSION
        if old.abort_until_us is not None:
            out.append(self._signals.once(Code.CANCEL, pb.QUALIFIER_NEW, at, rule, user=user))
        for code in _BY_CODE:
            for sensor_id in self._signals.open_sensors(code):
                out += self._signals.restored(code, sensor_id, at, rule, user=user)
        if duress:
            out.append(self._signals.opened(Code.DURESS, "", at, rule, user=user))
        if old.mode != "disarmed":
            # Contact ID: 401 with qualifier 1 is an opening (disarmed), with 3 a closing (armed).
            out.append(self._signals.once(Code.OPEN_CLOSE, pb.QUALIFIER_NEW, at, rule, user=user))
            self.state = ArmingState(
                since_us=at, settle_until_us=old.settle_until_us, open_contacts=old.open_contacts
            )
        return out

    def _is_set(self) -> bool:
        return self.state.mode != "disarmed" and self.state.exit_until_us is None

    def _opened(self, sensor_id: str, role: str, now: Moment) -> list[Signal]:
        state = self.state
        if role == "perimeter":
            return self._trip(Code.PERIMETER, sensor_id, now)
        if (
            role == "entry"
            and state.entry_until_us is None
            and sensor_id not in (*state.bypassed, *state.swung)
        ):
            # Only the first opening counts: a door opened again gives no more time.
            state.entry_until_us = now.elapsed_us + self._config.entry_delay_s * SECOND_US
            state.entry_sensor = sensor_id
        return []

    def _closed(self, sensor_id: str, now: Moment) -> list[Signal]:
        out: list[Signal] = []
        if sensor_id in self.state.bypassed:
            self.state.bypassed.remove(sensor_id)
        for code in (Code.BYPASS, Code.PERIMETER, Code.ENTRY_EXIT, Code.EXIT_ERROR):
            out += self._signals.restored(code, sensor_id, now.utc_us, RULE_VERSION)
        return out

    def _settled(self, now: Moment) -> list[Signal]:
        """What stands open once the home has settled was opened while nobody watched."""
        out: list[Signal] = []
        if self._is_set():
            for sensor_id in list(self.state.open_contacts):
                out += self._opened(sensor_id, self._roles.get(sensor_id, "none"), now)
        return out

    def _exit_ended(self, now: Moment) -> list[Signal]:
        state = self.state
        if not state.left:  # CP-01: nobody went out, so somebody is in
            state.mode, state.since_us = "stay", now.utc_us
            return self._set(now, "", ("entry", "perimeter"))
        out = self._set(now, "", ("perimeter",))
        for sensor_id in state.open_contacts:
            if self._roles.get(sensor_id) == "entry":
                self._opened(sensor_id, "entry", now)
                state.exit_error = True
        return out

    def _entry_ended(self, now: Moment) -> list[Signal]:
        state = self.state
        code = Code.EXIT_ERROR if state.exit_error else Code.ENTRY_EXIT
        sensor_id, state.entry_sensor, state.exit_error = state.entry_sensor, "", False
        return self._trip(code, sensor_id, now)

    def _set(self, now: Moment, user: str, bypass_roles: tuple[str, ...]) -> list[Signal]:
        out = [self._signals.once(Code.OPEN_CLOSE, pb.QUALIFIER_RESTORE, now.utc_us, RULE_VERSION, user=user)]
        for sensor_id in self.state.open_contacts:
            if self._roles.get(sensor_id) in bypass_roles and sensor_id not in self.state.bypassed:
                self.state.bypassed.append(sensor_id)
                out.append(self._signals.opened(Code.BYPASS, sensor_id, now.utc_us, RULE_VERSION))
        return out

    def _trip(self, code: Code, sensor_id: str, now: Moment) -> list[Signal]:
        state = self.state
        if sensor_id in state.bypassed or sensor_id in state.swung or self._signals.is_open(code, sensor_id):
            return []
        state.trips[sensor_id] = state.trips.get(sensor_id, 0) + 1
        if state.trips[sensor_id] > self._config.swinger_trips:
            state.swung.append(sensor_id)
            return [self._signals.opened(Code.SWINGER, sensor_id, now.utc_us, RULE_VERSION)]
        if not state.alarmed:
            state.abort_until_us = now.elapsed_us + self._config.abort_window_s * SECOND_US
        state.alarmed = True
        return [self._signals.opened(code, sensor_id, now.utc_us, RULE_VERSION)]
