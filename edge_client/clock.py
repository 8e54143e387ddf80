"""Time as a parameter: the gateway's own clock, and one that runs faster for simulations."""

from __future__ import annotations

import time
from typing import Final, NamedTuple, Protocol

SECOND_US: Final = 1_000_000


class Clock(Protocol):
    """What the gateway knows of time.

    Attributes:
        speed: Seconds of this clock in one second of the machine. A wait of `us` on this clock is
            `us / speed` on the machine; limits that protect against the machine itself (disk,
            network) stay in its own seconds.
    """

    speed: float

    def now_us(self) -> int:
        """Time of day, µs since 1970 UTC. May jump when somebody sets it."""

    def elapsed_us(self) -> int:
        """µs since some moment; never jumps. Delays are measured with it."""


class SystemClock:
    """The machine's clock."""

    speed = 1.0

    def now_us(self) -> int:
        """µs since 1970 UTC."""
        return time.time_ns() // 1000

    def elapsed_us(self) -> int:
        """µs of the machine's steady clock."""
        return time.monotonic_ns() // 1000


class ScaledClock:
    """A clock that starts at `start_us` now and runs `speed` times as fast as the machine.

    Several gateways may share one, so that a simulated street lives in the same minute.
    """

    def __init__(self, speed: float, start_us: int) -> None:
        """
        Args:
            speed: Simulated seconds in a second, > 0.
            start_us: Simulated time of day at this moment, µs since 1970 UTC.
        """
        if speed <= 0:
            raise ValueError(f"speed is {speed}, limit: above 0")
        self.speed = speed
        self._start_us = start_us
        self._origin_ns = time.monotonic_ns()

    def now_us(self) -> int:
        """Simulated µs since 1970 UTC."""
        return self._start_us + self.elapsed_us()

    def elapsed_us(self) -> int:
        """Simulated µs since the clock was made."""
        return int((time.monotonic_ns() - self._origin_ns) * self.speed) // 1000


def real_s(clock: Clock, us: float) -> float:
    """A stretch of this clock → seconds that the machine has to wait for it (never negative).

    >>> real_s(ScaledClock(60, 0), 60_000_000)
    1.0
    """
    return max(0.0, us / SECOND_US / clock.speed)


class Moment(NamedTuple):
    """One reading of a clock.

    Attributes:
        utc_us: Time of day, for stamps.
        elapsed_us: Steady time, for delays.
    """

    utc_us: int
    elapsed_us: int


def moment(clock: Clock) -> Moment:
    """Both faces of the clock at once."""
    return Moment(clock.now_us(), clock.elapsed_us())
