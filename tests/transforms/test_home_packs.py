"""Packs: what goes in comes out, for each home its own."""

from __future__ import annotations

import random

import pytest

from schemas.readings import MINUTE_US
from tests.transforms.homes import minute_of_scores, packed, summary
from transforms import home_packs
from transforms.hear_scores import place
from transforms.home_packs import shard_of, unpack


def test_a_pack_gives_back_what_went_in_by_home_and_in_order():
    scores = {
        home: minute_of_scores(0, home=home) + minute_of_scores(1, home=home) for home in ("home-1", "home-2")
    }
    mixed = [*scores["home-1"], *scores["home-2"]]
    random.Random(3).shuffle(mixed)
    told = [summary(1, 0), summary(2, 1, home="home-2"), summary(2, 1)]

    records = {home: (placed, summaries) for home, placed, summaries in unpack(packed([*mixed, *told]))}

    assert set(records) == {"home-1", "home-2"}
    for home, (placed, summaries) in records.items():
        assert sorted(placed) == sorted(place(s) for s in scores[home])
        assert summaries == [s for s in told if s.home_id == home]


def test_a_pack_of_another_version_is_refused_with_both_versions(monkeypatch):
    monkeypatch.setattr(home_packs, "PACK_VERSION", 99)
    data = packed(minute_of_scores(0))
    monkeypatch.undo()

    with pytest.raises(ValueError, match="version 99, known versions: 2"):
        unpack(data)


def test_a_minute_of_a_home_crosses_in_a_few_hundred_bytes():
    homes = [f"home-{n}" for n in range(40)]
    elements = [s for home in homes for s in (*minute_of_scores(0, home=home), summary(1, 0, home=home))]

    assert len(packed(elements)) / len(homes) < 400


def test_homes_are_spread_evenly_over_shards():
    counts = [0] * 16
    for number in range(16_000):
        counts[shard_of(f"home-{number:06}", 16)] += 1

    assert 0.8 * 1_000 < min(counts) <= max(counts) < 1.2 * 1_000


def test_a_minute_is_placed_by_its_own_time():
    ((_, placed, _),) = unpack(packed(minute_of_scores(7)))

    assert {p.minute for p in placed} == {minute_of_scores(7)[0].minute_us // MINUTE_US}
