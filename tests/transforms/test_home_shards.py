"""A shard's memory is never believed against its state: crashes, rollbacks, moves and given-up bundles."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.transforms.homes import minute_of_scores, packed, publish_us, summary
from transforms import home_shards
from transforms.advance_home import Advanced, advance, forget
from transforms.elements import BatchSummary, Score
from transforms.home_packs import unpack
from transforms.home_shards import Change, Fence, Shard, ShardMemory
from transforms.home_state import Home, decode, encode

SHARDS = 4
KEY = ("step", 3)
HOMES = ("home-1", "home-2", "home-3")
LOUD = {"sound-kitchen": ("glass_break", 0.9), "motion-living": ("person", 0.9)}


@dataclass
class State:
    """What a runner keeps of a shard: a bag and a value."""

    entries: list[bytes] = field(default_factory=list)
    fence: bytes | None = None

    def written(self, change: Change | None) -> State:
        """The state after a change; this one stays as it is."""
        if change is None:
            return self
        kept = [] if change.fold else self.entries
        return State([*kept, *change.entries], change.fence.encoded())


def opened(memory: ShardMemory, state: State) -> Shard:
    """As TrackHomes opens a shard."""
    fence = Fence.of(state.fence, SHARDS)
    return memory.take(KEY, fence) or Shard.build(fence, state.entries, keep_all=False)


Model = dict[str, bytes]  # home → its encoded state


def expected(model: Model, pack: bytes) -> tuple[list[Advanced], Model]:
    """The same pack, home by home, without shard, log or memory."""
    after, did = dict(model), []
    for home_id, scores, summaries in unpack(pack):
        home = decode(after[home_id]) if home_id in after else Home()
        did.append(advance(home_id, home, scores, summaries, keep_all=False))
        if did[-1].changed:
            after[home_id] = encode(home)
    return did, after


class Crashes(RuleBasedStateMachine):
    """Bundles that commit, fail or are given up, on two workers, with rollbacks to checkpoints.

    The model is one encoded value a home. What a committed bundle puts out must be what the model says
    at that moment of its history; what failed bundles put out is repeated or never was.
    """

    @initialize(fold_at=st.sampled_from([1, 2_000, 1 << 20]))
    def start(self, fold_at: int) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(home_shards, "MIN_LOG_BYTES", fold_at)
        self.patch.setattr(home_shards, "PART_HOMES", 2)
        self.workers = [ShardMemory(), ShardMemory(max_homes=1)]
        self.state, self.model = State(), Model()
        self.checkpoints = [(self.state, self.model)]
        self.given_up: list[Shard] = []
        self.clock = 0

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()

    def bundle(self, chance: random.Random) -> bytes:
        """A minute or two of some of the homes, now and then one that came before."""
        elements = []
        for home in chance.sample(HOMES, chance.randint(1, len(HOMES))):
            minute = max(0, self.clock - chance.choice([0, 0, 0, 1, 4, 20]))
            loud = LOUD if chance.random() < 0.3 else {}
            mode = chance.choice(["away", "away", "disarmed"])
            scores = minute_of_scores(minute, loud, home=home, mode=mode)
            elements += chance.sample(scores, chance.randint(0, len(scores)))
            elements.append(summary(minute + 1, minute, home=home, arming_mode=mode))
        return packed(elements)

    @rule(worker=st.integers(0, 1), chance=st.randoms(use_true_random=False), minutes=st.integers(0, 3))
    def commit(self, worker: int, chance: random.Random, minutes: int) -> None:
        self.clock += minutes
        pack = self.bundle(chance)
        shard = opened(self.workers[worker], self.state)
        did, change = shard.take(pack, keep_all=False)
        wanted, self.model = expected(self.model, pack)
        assert did == wanted
        self.state = self.state.written(change)
        self.workers[worker].keep(KEY, shard)

    @rule(worker=st.integers(0, 1), chance=st.randoms(use_true_random=False))
    def fail_after_processing(self, worker: int, chance: random.Random) -> None:
        """The bundle fails when all of it is done: memory has it, the state has not."""
        shard = opened(self.workers[worker], self.state)
        shard.take(self.bundle(chance), keep_all=False)
        self.workers[worker].keep(KEY, shard)

    @rule(worker=st.integers(0, 1))
    def fail_while_processing(self, worker: int) -> None:
        """The shard was taken out of memory and never came back."""
        opened(self.workers[worker], self.state)

    @rule(worker=st.integers(0, 1))
    def give_up(self, worker: int) -> None:
        """The runner starts the work anew elsewhere; the old thread still runs."""
        self.given_up.append(opened(self.workers[worker], self.state))

    @rule(worker=st.integers(0, 1), chance=st.randoms(use_true_random=False))
    def a_given_up_bundle_ends(self, worker: int, chance: random.Random) -> None:
        if self.given_up:
            shard = self.given_up.pop()
            shard.take(self.bundle(chance), keep_all=False)
            self.workers[worker].keep(KEY, shard)

    @rule(worker=st.integers(0, 1))
    def restart(self, worker: int) -> None:
        self.workers[worker] = ShardMemory()

    @rule()
    def checkpoint(self) -> None:
        self.checkpoints.append((self.state, self.model))

    @rule(chance=st.randoms(use_true_random=False))
    def roll_back(self, chance: random.Random) -> None:
        """Flink restores a checkpoint; the workers' memory stays as it is."""
        kept = chance.randint(1, len(self.checkpoints))
        self.checkpoints = self.checkpoints[:kept]
        self.state, self.model = self.checkpoints[-1]

    @rule(worker=st.integers(0, 1), days=st.sampled_from([0.5, 1.1, 31]))
    def sweep(self, worker: int, days: float) -> None:
        """The timer of the shard fires."""
        now_us = publish_us(self.clock) + int(days * 86_400_000_000)
        if self.state.fence is None:
            return
        shard = opened(self.workers[worker], self.state)
        change = shard.forget(now_us)
        homes = {name: decode(encoded) for name, encoded in self.model.items()}
        self.model = {name: encode(home) for name, home in homes.items() if forget(home, now_us)}
        self.state = self.state.written(change) if change else State()
        if change:
            self.workers[worker].keep(KEY, shard)
        assert bool(change) == bool(self.model)

    @invariant()
    def the_state_alone_gives_the_model(self) -> None:
        if not hasattr(self, "state"):
            return
        entries = list(reversed(self.state.entries))  # a bag keeps no order
        built = Shard.build(Fence.of(self.state.fence, SHARDS), entries, keep_all=False)
        assert {name: encode(home) for name, home in built.homes.items()} == self.model
        assert built.state_bytes == sum(map(len, self.state.entries))


TestCrashes = Crashes.TestCase
TestCrashes.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def a_shard(minutes: int, homes: int = 2) -> tuple[Shard, State, int]:
    """A shard after some minutes, and the greatest number of bytes of state a home.

    Probabilities are noise: nothing that homes have in common lets their scores be compressed.
    """
    shard, state, most, noise = Shard(Fence.of(None, SHARDS)), State(), 0, random.Random(4)
    for minute in range(minutes):
        elements: list[Score | BatchSummary] = []
        for number in range(homes):
            home = f"home-{number}"
            for one in minute_of_scores(minute, home=home):
                elements.append(one._replace(probabilities=[noise.random() for _ in one.labels]))
            elements.append(summary(minute + 1, minute, home=home, battery=90 - number % 7))
        state = state.written(shard.take(packed(elements), keep_all=False)[1])
        most = max(most, sum(map(len, state.entries)) // homes)
    return shard, state, most


def test_a_home_takes_less_than_two_kilobytes_of_state_at_any_time_and_a_log_is_folded():
    shard, state, most = a_shard(40, homes=24)

    assert 1_000 < most < 2_000
    assert shard.log_bytes <= max(home_shards.MIN_LOG_BYTES, shard.snapshot_bytes // 2)
    assert shard.state_bytes == sum(map(len, state.entries))


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [(lambda entries: entries[:-1], "entries"), (lambda entries: [*entries, entries[-1]], "entries")],
    ids=["an entry is missing", "an entry is there twice"],
)
def test_state_that_does_not_match_its_fence_is_refused(spoilt, said):
    shard, state, _ = a_shard(3)

    with pytest.raises(ValueError, match=rf"state has {said} .*its fence says 1 to 3"):
        Shard.build(shard.fence, spoilt(state.entries), keep_all=False)


def test_another_number_of_shards_is_refused_with_both_numbers():
    _, state, _ = a_shard(1)

    with pytest.raises(ValueError, match="kept in 4 shards, this job has 8"):
        Fence.of(state.fence, 8)


def test_memory_forgets_the_shard_that_was_used_longest_ago():
    memory = ShardMemory(max_homes=4)
    shards = [a_shard(1)[0] for _ in range(3)]
    for number, shard in enumerate(shards):
        memory.keep(("step", number), shard)

    held = [memory.take(("step", number), shard.fence) is not None for number, shard in enumerate(shards)]

    assert held == [False, True, True]


def test_a_shard_is_in_one_pair_of_hands_only():
    memory, shard = ShardMemory(), a_shard(1)[0]
    memory.keep(KEY, shard)

    assert memory.take(KEY, shard.fence) is shard
    assert memory.take(KEY, shard.fence) is None


def test_memory_with_another_fence_is_thrown_away():
    memory, shard = ShardMemory(), a_shard(1)[0]
    memory.keep(KEY, shard)

    assert memory.take(KEY, copy.copy(shard.fence)._replace(token=bytes(16))) is None
    assert memory.take(KEY, shard.fence) is None
