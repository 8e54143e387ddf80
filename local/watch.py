"""Runs under supervisord and decides when a part has ended beyond restart: then everything stops.

`python -m local.watch RUN_DIR`, as an event listener (protocol: supervisord's documentation, "Events").
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

from supervisor import childutils

RESTARTS_MAX: Final = 5
WITHIN_S: Final = 120.0


class Verdict:
    """Remembers how often each part ended, and says when it is enough.

    Args:
        parts: By name: `restartable`, `finishes` (local.supervisord.describe).
    """

    def __init__(self, parts: dict[str, Any]) -> None:
        self._parts = parts
        self._ends: dict[str, deque[float]] = {name: deque() for name in parts}

    def ended(self, name: str, *, fatal: bool, expected: bool, now_s: float) -> str:
        """A part ended → why the system must stop, "" if it goes on.

        Args:
            fatal: The supervisor gave up starting it.
            expected: It ended with exit code 0.
            now_s: Any steady clock.
        """
        part = self._parts.get(name)
        if part is None:
            return ""
        if fatal:
            return "could not be started"
        if part["finishes"] and expected:
            return ""
        if not part["restartable"]:
            return "ended, and what it kept in memory is gone"
        ends = self._ends[name]
        ends.append(now_s)
        while now_s - ends[0] > WITHIN_S:
            ends.popleft()
        if len(ends) > RESTARTS_MAX:
            return f"ended {len(ends)} times in {WITHIN_S:.0f} s"
        return ""


def main() -> None:
    """Listen until a part is beyond restart; then record why and shut the supervisor down."""
    run = Path(sys.argv[1])
    parts = json.loads((run / "parts.json").read_text())
    verdict = Verdict(parts)
    while True:
        headers, payload = childutils.listener.wait(sys.stdin, sys.stdout)
        event = childutils.get_headers(payload)
        name = event["processname"]
        reason = verdict.ended(
            name,
            fatal=headers["eventname"] == "PROCESS_STATE_FATAL",
            expected=event.get("expected") == "1",
            now_s=time.monotonic(),
        )
        if reason and not (run / "failed.json").exists():
            failed = {
                "part": name,
                "title": parts[name]["title"],
                "reason": reason,
                "log": parts[name]["log"],
            }
            (run / "failed.json").write_text(json.dumps(failed))
            childutils.getRPCInterface(os.environ).supervisor.shutdown()
        childutils.listener.ok(sys.stdout)


if __name__ == "__main__":
    main()
