"""How much a device may say: what no device in order can say is dropped, declared and told.

A broker that kept messages for a gateway hands over days of them at once, so that a rate alone proves
nothing: every device has a purse of `BURST` messages that fills again by `PER_S` a second. Only what
a purse has to pay for is counted: messages of plain devices, and frames that say nothing new.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edge_client.clock import SECOND_US

BURST: Final = 2_000
PER_S: Final = 5.0


class Purses:
    """One purse a device."""

    def __init__(self, sensor_ids: Iterable[str]) -> None:
        self._left = dict.fromkeys(sensor_ids, float(BURST))
        self._filled_us = dict.fromkeys(self._left, 0)

    def pay(self, sensor_id: str, elapsed_us: int) -> bool:
        """Pay for one message → whether there was enough.

        >>> purses = Purses(["a"])
        >>> [purses.pay("a", 0) for _ in range(BURST + 1)].count(True) == BURST
        True
        """
        earned = (elapsed_us - self._filled_us[sensor_id]) / SECOND_US * PER_S
        self._filled_us[sensor_id] = elapsed_us
        left = min(float(BURST), self._left[sensor_id] + earned)
        self._left[sensor_id] = left - 1 if left >= 1 else left
        return left >= 1
