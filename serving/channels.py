"""Which version of a line of models has which state: pure rules over one small document a line.

    candidate ──► shadow ──► fleet ──► retired (another took its place)
        ▲           │          │          │
        └───────────┴──────────┘──────────┘ withdrawn (rolled back from)

One step at a time: what was never seen in the shadow does not reach the fleet, save the first of a line.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["candidate", "shadow", "fleet", "retired", "withdrawn"]
CHANNEL_VERSION: Final = 1
MAX_STEPS: Final = 100
_MAY: Final[dict[State, frozenset[State]]] = {
    "candidate": frozenset({"shadow", "withdrawn"}),
    "shadow": frozenset({"fleet", "candidate", "withdrawn"}),
    "fleet": frozenset(),  # it leaves by another's promotion, or by a rollback
    "retired": frozenset({"candidate", "shadow", "withdrawn"}),
    "withdrawn": frozenset({"candidate"}),
}


class BadStep(Exception):
    """The versions do not stand so that this could be done; the message says how they stand."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(_Document):
    """One change. `serial`: of the channel that it made."""

    serial: int
    version: str
    state: State
    at_us: int
    by: str
    reason: str


class Channel(_Document):
    """The versions of one line ("sound", "sound_large").

    Attributes:
        serial: Rises with every change, also by a rollback: a reader never goes back to a lower one.
        states: Version → state; at most one is in the fleet, at most one in the shadow.
        served: Versions that were in the fleet, newest last.
        steps: The last `MAX_STEPS` changes.
    """

    schema_version: Literal[1] = CHANNEL_VERSION
    line: str
    serial: int = Field(default=0, ge=0)
    states: dict[str, State] = {}
    served: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()

    def version_in(self, state: State) -> str | None:
        """The newest version in a state, None: there is none."""
        return next((name for name in reversed(self.states) if self.states[name] == state), None)

    def entered(self, version: str, at_us: int, by: str, reason: str = "") -> Channel:
        """With a new version, as candidate. One that is known already changes nothing."""
        if version in self.states:
            return self
        return self._after({version: "candidate"}, version, at_us, by, reason)

    def moved(self, version: str, to: State, at_us: int, by: str, reason: str = "") -> Channel:
        """With a version in another state; who had that place makes room.

        Raises:
            BadStep: Unknown version, or no step from where it stands.
        """
        state = self._state_of(version)
        first = to == "fleet" and not self.served and state == "candidate"
        if to not in _MAY[state] and not first:
            raise BadStep(f"{version} is {state}: from there to {sorted(_MAY[state])}, not to {to}")
        changes: dict[str, State] = {version: to}
        if to in ("fleet", "shadow") and (held := self.version_in(to)):
            changes[held] = "retired" if to == "fleet" else "candidate"
        return self._after(changes, version, at_us, by, reason)

    def rolled_back(self, at_us: int, by: str, reason: str = "") -> Channel:
        """With the version that served before the present one back in the fleet.

        Raises:
            BadStep: Nothing is in the fleet, or nothing served before that was not withdrawn.
        """
        present = self.version_in("fleet")
        if present is None:
            raise BadStep(f"no version of {self.line} is in the fleet")
        before = [name for name in self.served if name != present and self.states[name] != "withdrawn"]
        if not before:
            raise BadStep(f"{present} is the first of {self.line}: nothing served before it")
        return self._after({present: "withdrawn", before[-1]: "fleet"}, before[-1], at_us, by, reason)

    def _state_of(self, version: str) -> State:
        if version not in self.states:
            raise BadStep(f"{version} is unknown in {self.line}, known: {sorted(self.states)}")
        return self.states[version]

    def _after(self, changes: dict[str, State], version: str, at_us: int, by: str, reason: str) -> Channel:
        serial = self.serial + 1
        served = self.served
        if changes[version] == "fleet":
            served = (*(name for name in served if name != version), version)
        step = Step(serial=serial, version=version, state=changes[version], at_us=at_us, by=by, reason=reason)
        return self.model_copy(
            update={
                "serial": serial,
                "states": self.states | changes,
                "served": served,
                "steps": (*self.steps, step)[-MAX_STEPS:],
            }
        )
