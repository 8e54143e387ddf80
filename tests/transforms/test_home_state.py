"""The state of one home and its codec."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transforms.homes import arrivals, summary
from transforms.advance_home import name_sensors
from transforms.hear_scores import hear, place
from transforms.home_state import Home, decode, encode


@given(arrivals, st.lists(st.tuples(st.integers(1, 5), st.integers(0, 100)), max_size=4))
def test_state_survives_its_codec_and_equal_homes_give_equal_bytes(scores, batches):
    home = Home()
    for seq, battery in batches:
        told = summary(seq, seq, battery=battery)
        if home.ledger.take(told).new:
            name_sensors(home, told)
    hear("home-1", home, [place(s) for s in scores], keep_all=False)

    assert decode(encode(home)) == home
    assert encode(decode(encode(home))) == encode(home)


def test_state_of_another_version_is_refused_with_both_versions():
    data = encode(Home()).replace(b"i\x02\x00\x00\x00", b"i\x63\x00\x00\x00", 1)

    with pytest.raises(ValueError, match="version 99, known versions: 2"):
        decode(data)
