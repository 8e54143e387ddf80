"""The audit trail shows every edit, cut, swap and insertion, whatever was written before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alarms import Alarm
from schemas.audit import AnchoredHead, AuditAnchor, AuditEntry, AuditHead
from schemas.events import Code
from tests.webapp.seed import make_alarm
from webapp import audit, handling, lifecycle
from webapp.audit import Record, Trail
from webapp.lifecycle import Actor

NOW = 1_790_000_000_000_000
CHAINS = ("alarm:a", "alarm:b", "user:u")


def written(moves: list[str]) -> Trail:
    """A trail: each move is a chain that gets an entry, or "anchor"."""
    entries: list[AuditEntry] = []
    heads: dict[str, AuditHead] = {}
    anchors: list[AuditAnchor] = []
    for at, move in enumerate(moves):
        if move == "anchor":
            moved = [head for head in heads.values() if not head.anchored]
            heads |= {head.chain: head.model_copy(update={"anchored": True}) for head in moved}
            anchors.append(audit.anchor(anchors[-1] if anchors else None, moved, NOW + at))
            continue
        record = Record(move, NOW + at, "u-anna", "dispatcher", "noted", "a", after={"note": "3 characters"})
        entries.append(audit.link(heads.get(move), record))
        heads[move] = audit.head_of(entries[-1])
    return Trail(entries, list(heads.values()), anchors)


trails = st.lists(st.sampled_from([*CHAINS, "anchor"]), min_size=1, max_size=25).map(written)
filled = trails.filter(lambda trail: len(trail.entries) > 0)


def resealed(entry: AuditEntry, **fields: Any) -> AuditEntry:
    """What a forger who knows the hash function writes."""
    changed = entry.model_copy(update=fields)
    return changed.model_copy(update={"hash": changed.digest()})


@given(trails)
def test_untouched_trail_is_whole(trail: Trail) -> None:
    assert audit.verify(trail) == []


@given(filled, st.data())
def test_edit_of_any_field_of_any_entry_is_found(trail: Trail, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(trail.entries) - 1))
    change = data.draw(
        st.sampled_from(
            [{"user": "u-ben"}, {"at_us": 1}, {"after": {}}, {"outcome": "denied"}, {"role": "supervisor"}]
        )
    )
    entries = list(trail.entries)
    reseal = data.draw(st.booleans(), label="the forger recomputes the hash")
    entries[at] = resealed(entries[at], **change) if reseal else entries[at].model_copy(update=change)
    assert audit.verify(trail._replace(entries=entries))


@given(filled, st.data())
def test_removal_of_any_entry_is_found(trail: Trail, data: st.DataObject) -> None:
    entries = list(trail.entries)
    del entries[data.draw(st.integers(0, len(entries) - 1))]
    assert audit.verify(trail._replace(entries=entries))


@given(filled, st.data())
def test_insertion_anywhere_is_found(trail: Trail, data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(trail.entries))
    seq = data.draw(st.integers(1, len(trail.entries) + 1))
    forged = resealed(model, seq=seq, action="closed", previous=data.draw(st.sampled_from(["", model.hash])))
    assert audit.verify(trail._replace(entries=[*trail.entries, forged]))


@given(trails.filter(lambda t: len({e.chain for e in t.entries}) < len(t.entries)), st.data())
def test_swap_of_two_entries_of_a_chain_is_found(trail: Trail, data: st.DataObject) -> None:
    chains = [e.chain for e in trail.entries]
    chain = data.draw(st.sampled_from(sorted({c for c in chains if chains.count(c) > 1})))
    one, other = data.draw(
        st.permutations([i for i, c in enumerate(chains) if c == chain]).map(lambda found: found[:2])
    )
    entries = list(trail.entries)
    first, second = entries[one], entries[other]
    entries[one] = resealed(second, seq=first.seq, previous=first.previous)
    entries[other] = resealed(first, seq=second.seq, previous=second.previous)
    assert audit.verify(trail._replace(entries=entries))


@given(filled, st.data())
def test_chain_cut_or_dropped_with_its_head_contradicts_the_anchor(trail: Trail, data: st.DataObject) -> None:
    anchored = [(head.chain, head.seq) for one in trail.anchors for head in one.heads]
    if not anchored:
        return
    chain, seq = data.draw(st.sampled_from(anchored))
    keep = data.draw(st.integers(0, seq - 1), label="entries left")
    entries = [e for e in trail.entries if e.chain != chain or e.seq <= keep]
    heads = [h for h in trail.heads if h.chain != chain]
    heads += [audit.head_of(e) for e in entries if e.chain == chain and e.seq == keep]
    faults = audit.verify(trail._replace(entries=entries, heads=heads))
    assert any("is not the one that anchor" in fault for fault in faults)


def test_chain_rewritten_from_its_first_entry_contradicts_the_anchor() -> None:
    trail = written(["alarm:a", "anchor", "alarm:a"])
    first = resealed(trail.entries[0], user="u-ben")
    second = resealed(trail.entries[1], previous=first.hash)
    forged = trail._replace(entries=[first, second], heads=[audit.head_of(second)])
    assert audit.verify(forged) == ["alarm:a: entry 1 is not the one that anchor 1 saw"]


def test_everything_rewritten_contradicts_the_witness() -> None:
    trail, forged = written(["alarm:a", "anchor"]), written(["user:u", "alarm:a", "anchor"])
    seen = AnchoredHead(chain="anchors", seq=1, hash=trail.anchors[0].hash)
    assert audit.verify(trail, seen) == []
    assert audit.verify(forged) == []
    assert audit.verify(forged, seen) == ["anchors: 1 is not the one that was witnessed"]


def test_document_that_cannot_be_read_is_a_fault() -> None:
    trail = written(["alarm:a"])._replace(unreadable=["audit/x"])
    assert audit.verify(trail) == ["audit/x: cannot be read"]


@pytest.fixture
def alarm() -> Alarm:
    return make_alarm("home-0001", Code.SMOKE, NOW, 10)


def test_entry_names_who_what_when_before_and_after_without_personal_data(alarm: Alarm) -> None:
    anna = Actor("u-anna", "Anna Weber", "dispatcher")
    entry = audit.link(None, audit.of_step(alarm, anna, lifecycle.claim(alarm, anna, NOW, 90)))
    assert (entry.user, entry.role, entry.action, entry.at_us) == ("u-anna", "dispatcher", "claimed", NOW)
    assert (entry.before["state"], entry.after["state"]) == ("new", "claimed")
    assert entry.after["claim"] == {
        "claimed_us": NOW,
        "expires_us": NOW + 90_000_000,
        "fence": 1,
        "user": "u-anna",
    }
    noted = audit.of_step(alarm, anna, handling.note(alarm, anna, "Mr. Weber is deaf", NOW))
    assert noted.after == {"note": "17 characters"}
    assert "Weber" not in entry.model_dump_json()
