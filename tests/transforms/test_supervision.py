"""Who is silent: examples, and a state machine against a plain model."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.transforms.rosters import SP4_US, at, beat, member
from transforms.roster import SECOND_US
from transforms.supervision import (
    FORGET_US,
    INSTALL_US,
    PAUSE_US,
    TICK_US,
    Beat,
    Judged,
    Mains,
    Shard,
    judge,
    tick_end,
)
from transforms.supervision_codec import decode_shard, encode_shard, pack_heard, unpack_heard

HOME = [member()]


def run(shard: Shard, beats=(), *, ticks, members=HOME, mains=()) -> list[Judged]:
    """Judge every tick of `range(*ticks)` (seconds) with the beats that fall into it."""
    found = []
    for second in range(*ticks, TICK_US // SECOND_US):
        end = at(second) + TICK_US
        in_tick = [b for b in beats if tick_end(b.publish_us) == end]
        power = [m for m in mains if tick_end(m.publish_us) == end]
        found.append(judge(shard, in_tick, power, end, members))
    return found


def lost(found: list[Judged]) -> list[str]:
    return [one.member.home_id for judged in found for one in judged.lost]


def returned(found: list[Judged]) -> list[str]:
    return [one.home_id for judged in found for one in judged.returned]


def test_a_silent_home_is_found_in_the_first_tick_after_its_interval() -> None:
    found = run(Shard(), [beat(5, 1), beat(65, 2)], ticks=(0, 300))
    [one] = [one for judged in found for one in judged.lost]
    assert (one.silent_us, one.due_us) == (at(65), at(65) + SP4_US)
    assert one.due_us <= one.told_us < one.due_us + TICK_US


def test_a_home_that_never_spoke_is_missed_too() -> None:
    found = run(Shard(), ticks=(0, 200))
    [one] = [one for judged in found for one in judged.lost]
    assert one.silent_us == 0


def test_a_home_that_was_just_enrolled_has_time_to_be_installed() -> None:
    fresh = [member(enrolled_us=at(0))]
    assert lost(run(shard := Shard(), ticks=(0, 700), members=fresh)) == []
    assert lost(run(shard, ticks=(700, 760), members=fresh)) == ["home-1"]
    assert INSTALL_US + SP4_US == 730 * SECOND_US


def test_a_home_that_is_on_no_roster_is_not_missed_and_forgotten_after_a_day() -> None:
    shard = Shard()
    assert lost(run(shard, [beat(5, 1)], ticks=(0, 300), members=[])) == []
    judge(shard, [], [], at(0) + FORGET_US + 300 * SECOND_US, [])
    assert shard.homes == {}


def test_a_home_that_is_withdrawn_while_silent_ends_its_trouble() -> None:
    shard = Shard()
    run(shard, [beat(5, 1)], ticks=(0, 200))
    [back] = judge(shard, [], [], at(210), []).returned
    assert (back.home_id, back.withdrawn) == ("home-1", True)


def test_a_home_that_is_heard_again_returns_once() -> None:
    beats = [beat(5, 1), beat(405, 2), beat(465, 3)]
    found = run(Shard(), beats, ticks=(0, 500))
    assert (lost(found), returned(found)) == (["home-1"], ["home-1"])


def test_old_signed_data_fakes_no_life() -> None:
    """The recorded batches of a thief, replayed under new message ids, one a minute."""
    genuine = [beat(5, 1), beat(65, 2)]
    replayed = [b._replace(publish_us=at(125 + 60 * turn)) for turn, b in enumerate([*genuine, *genuine])]
    other_epoch = beat(370, 9, epoch="e0", written_us=at(-500))
    found = run(Shard(), [*genuine, *replayed, other_epoch], ticks=(0, 400))
    assert (lost(found), returned(found)) == (["home-1"], [])


def test_a_batch_that_was_overtaken_on_its_way_is_life_at_its_own_time_only() -> None:
    """Urgent overtakes the backlog: number 9 speaks, number 3 that comes after it does not."""
    found = run(Shard(), [beat(5, 9), beat(100, 3, written_us=at(4))], ticks=(0, 180))
    assert lost(found) == ["home-1"]


def test_a_gateway_that_booted_without_a_clock_is_heard_if_it_names_its_epoch_before() -> None:
    boots = [beat(5, 1), beat(65, 1, epoch="e2", suspect=True, written_us=0, previous="e1")]
    assert (
        lost(run(Shard(), [*boots, beat(125, 2, epoch="e2", suspect=True, written_us=0)], ticks=(0, 250)))
        == []
    )
    stranger = [beat(5, 1), beat(65, 1, epoch="e2", suspect=True, written_us=0)]
    assert lost(run(Shard(), stranger, ticks=(0, 250))) == ["home-1"]


def test_while_nobody_is_heard_nobody_is_missed_and_then_everybody_has_the_whole_interval() -> None:
    """Pub/Sub is away for ten minutes; gateways come back within half a minute, or not at all."""
    members = [member("a"), member("b"), member("dead")]
    before = [beat(5, 1, home) for home in ("a", "b", "dead")]
    shard = Shard()
    assert lost(run(shard, before, ticks=(0, 60), members=members)) == []
    after = [beat(660 + 60 * n + late, 2 + n, home) for n in range(4) for home, late in (("a", 1), ("b", 30))]
    found = run(shard, after, ticks=(660, 900), members=members)
    assert lost(found) == ["dead"]
    assert next(j for j in found if j.lost).lost[0].told_us <= at(660) + SP4_US + TICK_US


def test_a_late_batch_is_taken_and_judges_nothing() -> None:
    shard = Shard()
    run(shard, [beat(5, 1)], ticks=(0, 140))
    judged = judge(shard, [beat(66, 2)], [], at(70), HOME)
    assert judged.lost == []
    assert lost(run(shard, ticks=(140, 190))) == []


def test_the_loss_of_mains_is_told_with_the_silence_that_follows_until_it_is_back() -> None:
    gone, back = Mains("home-1", at(20), at(19), True), Mains("home-1", at(50), at(49), False)
    [one] = [o for j in run(Shard(), [beat(5, 1)], mains=[gone], ticks=(0, 150)) for o in j.lost]
    assert one.mains_us == at(19)
    [one] = [o for j in run(Shard(), [beat(5, 1)], mains=[gone, back], ticks=(0, 150)) for o in j.lost]
    assert one.mains_us == 0


def test_the_order_within_a_tick_and_repetition_change_nothing() -> None:
    beats = [beat(1 + n, n) for n in range(1, 8)]
    states = []
    for seed in range(5):
        shard, shuffled = Shard(), beats * 2
        random.Random(seed).shuffle(shuffled)
        judge(shard, shuffled, [], at(10), HOME)
        states.append(encode_shard(shard))
    assert len(set(states)) == 1


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(1, 9), st.sampled_from(["home-1", "home-ä"]))))
def test_state_and_packs_survive_their_encoding(spoken: list[tuple[int, int, str]]) -> None:
    records = [beat(*one) for one in spoken] + [Mains("home-1", at(1), at(0), True)]
    assert unpack_heard(pack_heard(records)) == (records[:-1], records[-1:])
    shard = Shard()
    judge(shard, records[:-1], records[-1:], at(700), HOME)
    assert decode_shard(encode_shard(shard)) == shard


class PathMachine(RuleBasedStateMachine):
    """Three homes and a prover live, fall silent, return, are replayed; the pipeline pauses.

    The model knows the truth: when a home last spoke, and since when anybody could be heard.
    """

    homes = ("a", "b", "c")

    @initialize()
    def begin(self) -> None:
        self.shard = Shard()
        self.members = [member(home) for home in self.homes]
        self.now = 0  # seconds, a multiple of a tick
        self.heard_at = 0
        self.watched = 0
        self.seq = dict.fromkeys(self.homes, 0)
        self.spoke = dict.fromkeys(self.homes, None)
        self.sent: list[Beat] = []
        self.told: set[str] = set()
        self.pending: list[Beat] = []

    @rule(home=st.sampled_from(homes))
    def speak(self, home: str) -> None:
        self.seq[home] += 1
        said = beat(self.now + 3, self.seq[home], home)
        self.spoke[home] = self.now + 3
        self.pending.append(said)
        self.sent.append(said)

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        """Not of this tick's batches: what overtakes its original is the original."""
        old = [b for b in self.sent if b not in self.pending]
        if old:
            self.pending.append(data.draw(st.sampled_from(old))._replace(publish_us=at(self.now + 5)))

    @rule(ticks=st.integers(1, 20))
    def time_passes(self, ticks: int) -> None:
        for _ in range(ticks):
            self._tick()

    @rule(seconds=st.sampled_from([30, 60, 600]))
    def nobody_is_heard(self, seconds: int) -> None:
        self._tick()
        self.now += seconds

    def _tick(self) -> None:
        end = self.now + 10
        if end - self.heard_at > PAUSE_US // SECOND_US:
            self.watched = self.now
        self.heard_at = end
        judged = judge(self.shard, self.pending, [], at(end), self.members)
        self.shard = decode_shard(encode_shard(self.shard))
        self.pending = []
        self.told -= {back.home_id for back in judged.returned}
        assert not self.told & {one.member.home_id for one in judged.lost}
        self.told |= {one.member.home_id for one in judged.lost}
        self.now = end

    @invariant()
    def who_is_told_is_silent_and_who_is_silent_is_told(self) -> None:
        if not self.heard_at or self.pending:
            return
        silent = {
            home
            for home in self.homes
            if max(self.spoke[home] or 0, self.watched) + SP4_US // SECOND_US <= self.heard_at
        }
        # A pause forgives nothing that was told before it: only a batch ends a trouble.
        assert silent <= self.told
        for home in self.told - silent:
            assert (self.spoke[home] or 0) + SP4_US // SECOND_US <= self.heard_at


TestPathMachine = PathMachine.TestCase
TestPathMachine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
