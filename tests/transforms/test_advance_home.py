"""What batches tell of a home's sensors."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.transforms.homes import summary
from transforms.advance_home import name_sensors
from transforms.home_state import Home


@given(st.permutations([(1, 90), (2, 85), (3, 80), (4, None)]))
def test_the_newest_battery_wins_whatever_the_order(batches):
    home = Home()
    for seq, battery in batches:
        told = summary(seq, seq, battery=battery)
        home.ledger.take(told)
        name_sensors(home, told)

    assert {s.battery_percent for s in home.sensors.values()} == {None}
