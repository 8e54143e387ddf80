"""What is kept of messages: everything once, in an order that does not depend on how they came."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import hearthwatch_v1_pb2 as pb
from schemas.compacted import Counts, tombstone
from tests.archives import forged, garbage, minute_message
from tests.fakes import EPOCH, NOW_US, Fleet
from transforms.elements import RawMessage
from transforms.exact_ledger import ledger
from transforms.merge_bucket import Merged, bucket_of, bucket_of_known, fact_of, merge_bucket
from transforms.trust import Trust

FLEET = Fleet(4)
FIRST, SECOND = FLEET.gateway(1), FLEET.gateway(2)
TWIN = FLEET.gateway(1)  # another key under the identity of FIRST
POOL = [
    *(minute_message(FIRST, seq) for seq in (1, 2, 3)),
    minute_message(FIRST, 2, copy=1),
    minute_message(FIRST, 2, seed=1),
    minute_message(TWIN, 3, seed=2),
    minute_message(SECOND, 1),
    forged(SECOND, 7, 9),
    garbage(1),
    garbage(2),
    garbage(2)._replace(message_id="bad-2-again"),
]


def merge(messages: list[RawMessage], known: Merged | None = None, **options: object) -> Merged:
    return merge_bucket(messages, known.index if known else [], Trust(FLEET.ca), **options)


def test_copies_are_dropped_and_everything_else_is_kept() -> None:
    merged = merge(POOL)
    assert merged.counts == Counts(rows_in=11, kept=10, copies=1, unparsable=3, unverified=1, conflicts=2)
    assert {row["envelope"] for row in merged.rows} == {message.payload for message in POOL}
    copies = [row for row in merged.rows if row["envelope"] == POOL[1].payload]
    assert [row["message_id"] for row in copies] == ["gw-0001-2-0-0"]  # the first that came


def test_two_gateways_with_one_identity_are_both_kept_and_reported() -> None:
    merged = merge([minute_message(FIRST, 3), minute_message(TWIN, 3, seed=2)])
    assert (merged.counts.kept, merged.counts.conflicts) == (2, 1)
    (row,) = ledger("home-0001", "gw-0001", merged.accounts["home-0001", "gw-0001"], from_start=False)
    assert (row.received, row.conflicts) == (1, 1)


def test_a_forged_header_makes_no_hole_and_no_conflict() -> None:
    merged = merge([minute_message(SECOND, 1), forged(SECOND, 1, 50)])
    assert (merged.counts.kept, merged.counts.unverified, merged.counts.conflicts) == (2, 1, 0)
    (row,) = ledger("home-0002", "gw-0002", merged.accounts["home-0002", "gw-0002"])
    assert (row.expected, row.received, row.unexplained) == (1, 1, 0)


def test_nothing_of_an_erased_home_is_kept() -> None:
    merged = merge(POOL, tombstones=frozenset({tombstone("home-0001")}))
    assert merged.counts.erased == 6
    assert "home-0001" not in {row["home_id"] for row in merged.rows}
    assert set(merged.accounts) == {("home-0002", "gw-0002")}


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=15)
@given(st.permutations(POOL), st.integers(0, len(POOL)))
def test_any_order_and_any_division_into_rounds_keeps_the_same(messages: list[RawMessage], cut: int) -> None:
    whole = merge(messages)
    assert whole == merge(POOL)
    first = merge(messages[:cut])
    second = merge(messages[cut:], first)
    kept = sorted(entry for entry in [*first.index, *second.index])
    assert kept == sorted(whole.index)
    assert first.counts.copies + second.counts.copies == whole.counts.copies
    assert first.counts.conflicts + second.counts.conflicts == whole.counts.conflicts


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_a_message_and_its_index_entry_fall_into_one_bucket(count: int) -> None:
    merged = merge(POOL)
    buckets = [bucket_of(row, count) for row in merged.rows]
    assert buckets == [bucket_of_known(entry, count) for entry in merged.index]
    assert all(0 <= bucket < count for bucket in buckets)
    pairs = zip(merged.rows, buckets, strict=True)
    assert len({bucket for row, bucket in pairs if row["home_id"] == "home-0001"}) == 1


def test_a_header_says_gaps_and_the_epoch_before() -> None:
    gap = pb.Gap(epoch=EPOCH, first_seq=2, last_seq=4, reason=pb.GAP_REASON_POWER_LOSS)
    backwards = pb.Gap(epoch=EPOCH, first_seq=4, last_seq=2)
    start = pb.EpochStart(previous_epoch=bytes(16), previous_head_seq=9)
    header = FIRST.header(seq=5, gaps=[gap, backwards], epoch_start=start, clock_unset=True)
    fact = fact_of(header, NOW_US + 7, b"\x01" * 32)
    assert fact.written_us == NOW_US + 7  # its clock is not to be trusted: arrival counts
    assert [(epoch, found.first, found.last) for epoch, found in fact.gaps] == [(EPOCH.hex(), 2, 4)]
    assert fact.previous == ("00" * 16, 9)


def test_a_clock_ahead_of_arrival_counts_by_arrival() -> None:
    header = FIRST.header(seq=5, created_us=NOW_US + 10)
    assert fact_of(header, NOW_US, b"").written_us == NOW_US
    assert fact_of(header, NOW_US + 20, b"").written_us == NOW_US + 10
