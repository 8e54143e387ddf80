"""What an oracle compares with: what was done to the homes, and what their gateways got confirmed.

`truth.jsonl`, one object a line, appended as it happens; times are the machine's clock in µs since
1970 UTC, whatever the speed of the simulation:

    start     scenario, seed, speed, homes
    plan      home_id, kind, scenario, at_s: an alarm that will be provoked
    quiet     home_id, kind "*": every kind that is neither expected nor allowed is false in this home
    allow     home_id, kind: may open and need not
    stimulus  home_id, name, topic: a scenario's message went to the broker
    expect    home_id, kind, from_us, t_us, by_us: must open between from_us (scenario's first
              stimulus in this home) and by_us; t_us is when its trigger went to the broker
    stopped   home_id, gateway_id: this gateway lost its last power
    vanished  home_id, area, by_us: with the others of its area it must be one incident by then
    back      home_id, area, by_us: it can be heard again; when all can, the incident ends by then
    finished  by_us: every script has played; after by_us every expected alarm must be there

`sent.json`, replaced as a whole: {gateway_id: [{"epoch", "last_confirmed_seq", "confirmed"}]}.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from local.simulator.devices import home_id
from local.simulator.scenarios import MISSED_WITHIN_S, Expect, Script

TRUTH_FILE: Final = "truth.jsonl"
SENT_FILE: Final = "sent.json"
BACK_WITHIN_S: Final = 120.0  # a gateway's backoff, its next minute, and the tick that hears it
CLOUD_S: Final = 15.0  # from the gateway's verdict to an episode: generous, latency is judged elsewhere


class Truth:
    """Appends to `truth.jsonl`.

    Args:
        now_us: The machine's clock, µs since 1970 UTC.
        speed: Simulated seconds in a second.
    """

    def __init__(self, path: Path, now_us: Callable[[], int], speed: float) -> None:
        self._now_us, self._speed = now_us, speed
        self._first: dict[str, int] = {}
        self._last_by_us = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", buffering=1)  # a line at a time

    def start(self, scenario: str, seed: int, homes: int, scripts: Mapping[int, Script]) -> None:
        """What will happen."""
        self._write("start", scenario=scenario, seed=seed, speed=self._speed, homes=homes)
        for number in range(1, homes + 1):
            self._write("quiet", home_id=home_id(number), kind="*")
        for number, script in scripts.items():
            for effect in script.effects:
                expect = getattr(effect, "expect", None)
                if expect is not None:
                    self._write(
                        "plan",
                        home_id=home_id(number),
                        kind=expect.kind,
                        scenario=script.name,
                        at_s=effect.at_s,
                    )
            for kind in sorted(script.allowed):
                self._write("allow", home_id=home_id(number), kind=kind)

    def stimulus(self, home: str, name: str, topic: str, expect: Expect | None, t_us: int) -> None:
        """A scenario's message went to the broker at `t_us`."""
        self._first.setdefault(home, t_us)
        self._write("stimulus", t_us, home_id=home, name=name, topic=topic)
        if expect is not None:
            self._expect(home, expect, t_us)

    def stopped(self, home: str, gateway: str, expect: Expect | None = None) -> None:
        """A gateway lost its last power."""
        self._write("stopped", home_id=home, gateway_id=gateway)
        if expect is not None:
            self._expect(home, expect, self._now_us())

    def vanished(self, home: str, area: str) -> None:
        """A home cannot be heard any more, together with others of its area."""
        self._write("vanished", home_id=home, area=area, by_us=self._due(MISSED_WITHIN_S + CLOUD_S))

    def back(self, home: str, area: str) -> None:
        """A home that had vanished can be heard again."""
        self._write("back", home_id=home, area=area, by_us=self._due(BACK_WITHIN_S + CLOUD_S))

    def finished(self) -> None:
        """Every script has played."""
        self._write("finished", by_us=max(self._last_by_us, self._now_us()))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _expect(self, home: str, expect: Expect, t_us: int) -> None:
        within_s = expect.within_s if expect.real else expect.within_s / self._speed
        by_us = t_us + int((within_s + CLOUD_S) * 1e6)
        self._last_by_us = max(self._last_by_us, by_us)
        from_us = self._first.get(home, t_us)
        self._write("expect", t_us, home_id=home, kind=expect.kind, from_us=from_us, by_us=by_us)

    def _due(self, within_s: float) -> int:
        by_us = self._now_us() + int(within_s * 1e6)
        self._last_by_us = max(self._last_by_us, by_us)
        return by_us

    def _write(self, what: str, t_us: int | None = None, /, **fields: Any) -> None:
        line = {"t_us": self._now_us() if t_us is None else t_us, "what": what, **fields}
        self._file.write(json.dumps(line) + "\n")


def write_sent(path: Path, sent: Mapping[str, list[dict[str, Any]]]) -> None:
    """Replace `sent.json` as a whole: a reader sees the old or the new one, never half."""
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps(sent, indent=1))
    os.replace(fresh, path)
