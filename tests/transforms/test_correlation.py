"""One incident for homes that vanish together."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transforms.rosters import SP4_US, at, member
from transforms.correlation import (
    CROWD,
    JOIN_US,
    WAIT_US,
    Correlator,
    Decided,
    Trouble,
    correlate,
)
from transforms.roster import SECOND_US, Scope
from transforms.supervision import Lost, Returned
from transforms.supervision_codec import (
    decode_correlator,
    encode_correlator,
    pack_shard_news,
    unpack_shard_news,
)

SIZES = {Scope("Ost", ""): 40, Scope("", "netz-a"): 40, Scope("Ost", "netz-a"): 20}


def lost(home: str, from_s: float = 0, told_s: float | None = None, **fields) -> Lost:
    """A home last heard at `from_s`, judged when it was due unless told otherwise."""
    one = member(home, **fields)
    due_us = at(from_s) + one.silence_us
    return Lost(one, at(from_s), due_us, 0, due_us if told_s is None else at(told_s))


def back(one: Lost, seconds: float) -> Returned:
    return Returned(one.member.home_id, one.due_us, at(seconds), False)


def alone(decided: Decided) -> list[tuple[str, bool]]:
    return [(t.lost.member.home_id, t.returned is not None or t.ended_us > 0) for t in decided.troubles]


DUE_S = SP4_US // SECOND_US


def test_a_home_that_is_silent_alone_becomes_a_trouble_after_the_wait_and_is_restored() -> None:
    state, one = Correlator(), lost("a")
    assert correlate(state, [one], at(DUE_S), SIZES) == ([], [], [])
    assert correlate(state, [], at(DUE_S + 20), SIZES).troubles == []
    assert correlate(state, [], at(DUE_S + 30), SIZES).troubles == [Trouble(one)]
    returned = back(one, 400)
    assert correlate(state, [returned], at(400), SIZES).troubles == [Trouble(one, returned)]
    assert state == Correlator()


def test_a_home_that_returns_while_it_waits_is_never_told_of() -> None:
    state, one = Correlator(), lost("a")
    correlate(state, [one], at(DUE_S), SIZES)
    correlate(state, [back(one, DUE_S + 10)], at(DUE_S + 10), SIZES)
    assert correlate(state, [], at(DUE_S + 60), SIZES) == ([], [], [])


def test_homes_of_one_region_that_vanish_together_are_one_incident_and_no_trouble() -> None:
    homes = [lost(name, n, operator=f"netz-{n % 2}") for n, name in enumerate("abcdef")]
    state = Correlator()
    correlate(state, homes, at(DUE_S + 6), SIZES)
    decided = correlate(state, [], at(DUE_S + 30), SIZES)
    [incident] = decided.incidents
    assert decided.troubles == []
    assert (incident.region, incident.operator, incident.homes, incident.since_us) == ("Ost", "", 6, at(0))
    assert incident.headline == "6 homes offline, Ost, 2 operators"
    assert [home for part in decided.parts for home in part.home_ids] == list("abcdef")


@pytest.mark.parametrize(
    ("regions", "operators", "said"),
    [
        (["Ost"] * 4, ["a"] * 4, ("Ost", "a")),
        (["Ost", "West", "Süd", "Nord"], ["a"] * 4, ("", "a")),
        (["Ost"] * 4, ["a", "b", "c", "a"], ("Ost", "")),
    ],
    ids=["one-operator-in-one-region", "one-operator-everywhere", "all-operators-of-a-region"],
)
def test_the_incident_names_what_the_homes_have_in_common(regions, operators, said) -> None:
    homes = [
        lost(f"h{n}", region=r, operator=o) for n, (r, o) in enumerate(zip(regions, operators, strict=True))
    ]
    [incident] = correlate(Correlator(), homes, at(DUE_S + 30), {}).incidents
    assert (incident.region, incident.operator) == said


def test_an_incident_takes_over_who_was_told_of_alone_just_before() -> None:
    """A heartbeat a minute: who spoke last at the beginning of the minute is missed a minute earlier."""
    state, early, long_gone = Correlator(), lost("a", 0), lost("z", -3000)
    correlate(state, [early, long_gone], at(DUE_S), {})
    correlate(state, [], at(DUE_S + 30), {})
    assert state.alone.keys() == {"a", "z"}
    later = [lost("b", 50), lost("c", 55)]
    correlate(state, later, at(DUE_S + 60), {})
    decided = correlate(state, [], at(DUE_S + 90), {})
    [incident] = decided.incidents
    assert incident.homes == 3
    assert decided.troubles == [Trouble(early, ended_us=at(DUE_S + 90))]
    assert state.alone.keys() == {"z"}


def test_two_homes_are_no_incident_nor_are_three_of_a_region_of_ten_thousand() -> None:
    two = correlate(Correlator(), [lost("a"), lost("b")], at(DUE_S + 30), {})
    assert (len(two.troubles), two.incidents) == (2, [])
    large = {Scope("Ost", ""): 10_000, Scope("Ost", "netz-a"): 10_000, Scope("", "netz-a"): 10_000}
    three = correlate(Correlator(), [lost("a"), lost("b"), lost("c")], at(DUE_S + 30), large)
    assert (len(three.troubles), three.incidents) == (3, [])


def test_homes_that_fell_silent_at_different_times_did_not_vanish_together() -> None:
    """They are judged in the same tick only because their categories differ."""
    slow = [lost(f"s{n}", -1000 * n - 1000, told_s=DUE_S) for n in range(4)]
    decided = correlate(Correlator(), [*slow, lost("a")], at(DUE_S + 30), {})
    assert (len(decided.troubles), decided.incidents) == (5, [])


def test_who_falls_silent_in_an_incident_joins_it_and_who_did_long_after_does_not() -> None:
    state = Correlator()
    correlate(state, [lost(name) for name in "abc"], at(DUE_S + 30), {})
    half_an_hour = member("slow", silence_us=1750 * SECOND_US)
    slow = Lost(half_an_hour, at(20), at(1770), 0, at(1770))
    [incident] = correlate(state, [slow, lost("d", 60)], at(1770), {}).incidents
    assert (incident.homes, incident.since_us) == (5, at(0))
    elsewhere, later = lost("w", 60, region="West", operator="b"), lost("z", 60 + JOIN_US // SECOND_US + 1)
    decided = correlate(state, [elsewhere, later], at(5000), {})
    assert alone(decided) == [("w", False), ("z", False)]


def test_an_incident_counts_who_is_back_and_ends_with_the_last() -> None:
    state, homes = Correlator(), [lost(name) for name in "abc"]
    correlate(state, homes, at(DUE_S + 30), {})
    [partly] = correlate(state, [back(homes[0], 300), back(homes[1], 301)], at(310), {}).incidents
    assert (partly.homes, partly.returned, partly.restored_us) == (3, 2, None)
    assert partly.headline == "1 of 3 homes offline, Ost, one operator"
    [over] = correlate(state, [back(homes[2], 400)], at(410), {}).incidents
    assert (over.returned, over.restored_us) == (3, at(410))
    assert state == Correlator()


def test_a_home_that_vanishes_again_is_counted_again() -> None:
    state, homes = Correlator(), [lost(name) for name in "abc"]
    correlate(state, homes, at(DUE_S + 30), {})
    again = lost("a", 300)
    [incident] = correlate(state, [back(homes[0], 200), again], at(DUE_S + 300), {}).incidents
    assert (incident.homes, incident.returned) == (4, 1)


def test_the_same_news_in_any_order_decide_the_same() -> None:
    homes = [lost(f"h{n:02}", n % 7, region=("Ost", "West")[n % 2], operator=f"o{n % 3}") for n in range(30)]
    said = []
    for seed in range(6):
        random.Random(seed).shuffle(homes)
        state = Correlator()
        decided = correlate(state, homes, at(DUE_S + 40), {})
        said.append((sorted(decided.incidents, key=lambda i: i.incident_id), encode_correlator(state)))
    assert all(one == said[0] for one in said)


def test_a_crowd_does_not_wait_and_is_written_in_parts() -> None:
    homes = [lost(f"h{n:05}") for n in range(4 * CROWD + 1)]
    state = Correlator()
    decided = correlate(state, homes, at(DUE_S), {})
    [incident] = decided.incidents
    assert incident.homes == len(homes)
    assert sorted(h for part in decided.parts for h in part.home_ids) == [h.member.home_id for h in homes]
    assert max(len(part.home_ids) for part in decided.parts) == 500
    assert len({part.part for part in decided.parts}) == len(decided.parts) == 5
    assert len(encode_correlator(state)) < 9 * len(homes) + 500


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_every_silent_home_is_told_of_exactly_once_and_ended_exactly_once(data: st.DataObject) -> None:
    """Whoever is silent at the end is in a trouble or an incident; counts and members agree."""
    state, silent = Correlator(), {}
    in_trouble: set[str] = set()
    in_incidents = returned = 0
    now = DUE_S
    last: dict[str, tuple[int, int]] = {}
    for _ in range(data.draw(st.integers(1, 25))):
        news = []
        for home in data.draw(st.lists(st.sampled_from("abcdefghij"), unique=True)):
            if home in silent:
                news.append(back(silent.pop(home), now))
            else:
                silent[home] = lost(home, now - DUE_S, region=("Ost", "West")[ord(home) % 2])
                news.append(silent[home])
        state = decode_correlator(encode_correlator(state))
        assert unpack_shard_news(pack_shard_news(1, (2, 3), news)) == (1, (2, 3), news)
        decided = correlate(state, news, at(now), {})
        for trouble in decided.troubles:
            home = trouble.lost.member.home_id
            assert (home in in_trouble) == (trouble.returned is not None or trouble.ended_us > 0)
            in_trouble ^= {home}
        for incident in decided.incidents:
            last[incident.incident_id] = (incident.homes, incident.returned)
        in_incidents += sum(len(part.home_ids) for part in decided.parts)
        now += 10
    correlate_end = correlate(state, [], at(now) + WAIT_US, {})
    in_trouble ^= {t.lost.member.home_id for t in correlate_end.troubles}
    in_incidents += sum(len(part.home_ids) for part in correlate_end.parts)
    for incident in correlate_end.incidents:
        last[incident.incident_id] = (incident.homes, incident.returned)
    returned = sum(back_again for _, back_again in last.values())
    assert sum(homes for homes, _ in last.values()) == in_incidents
    assert state.waiting == {}
    assert in_trouble == state.alone.keys()
    assert len(silent) == len(in_trouble) + in_incidents - returned
