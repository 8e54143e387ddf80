"""Acknowledgement against a model of what Flink does: which rule can lose messages, and which cannot.

The model is the runner's bytecode in few words (docs/decisions/021-finalization.md): a task runs one bundle
after the other; a barrier falls between two bundles, and its checkpoint contains what was finished by then;
when a checkpoint completes, *every* finished bundle that asked and is not finalized yet is finalized. A
message may be acknowledged only if a completed checkpoint contains it: after a crash nothing else
remembers it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from hypothesis import find, given, settings
from hypothesis import strategies as st

from tests.faults.early_rule import at_first_finalization
from transforms.held_bundles import Bundle, HeldBundles

Step = Literal["start", "finish", "barrier", "complete", "crash", "elsewhere"]
# (bundles, token, now) → ack ids
Rule = Callable[[HeldBundles, object, float], list[str]]
STEPS = st.lists(
    st.sampled_from(("start", "finish", "barrier", "complete", "crash", "elsewhere")), max_size=60
)


def later(bundles: HeldBundles, token: object, now: float) -> list[str]:
    """Ours."""
    return bundles.finalize(token, now)


def exposed(steps: Sequence[Step], rule: Rule, concurrent: int = 1) -> set[str]:
    """Play steps (those that make no sense are left out) → acknowledged, and in no completed checkpoint.

    A crash takes the engine back to its last completed checkpoint and leaves this process alive, with
    all that it remembers. `elsewhere` is a bundle of the same source that another process runs.

    Args:
        concurrent: How many checkpoints may be under way.
    """
    bundles = HeldBundles()
    running: float | None = None
    place, contained = 0, frozenset[str]()  # of the source, and what is finished at that place
    outstanding: list[float] = []
    under_way: list[tuple[int, frozenset[str]]] = []
    checkpoint = (place, contained)
    ever: set[str] = set()
    for now, step in enumerate(map(str, steps), start=1):
        if step == "start" and running is None:
            running = float(now)
            bundles.begin(place)
        elif step == "finish" and running is not None:
            end = place + (1 << now)  # as in the source no other course of events leads there
            if bundles.finished(Bundle(running, place, end, running, [(running, str(running))]), now):
                outstanding.append(running)
            place, contained, running = end, contained | {str(running)}, None
        elif step == "elsewhere" and running is None:
            place, contained = place + (1 << now), contained | {f"elsewhere {now}"}
        elif step == "barrier" and running is None and len(under_way) < concurrent:
            under_way.append((place, contained))
        elif step == "complete" and under_way:
            checkpoint = under_way.pop(0)
            for token in outstanding:
                ever |= set(rule(bundles, token, now)) - checkpoint[1]
            outstanding = []
        elif step == "crash":
            place, contained = checkpoint
            running, outstanding, under_way = None, [], []
    return ever


@given(STEPS)
@settings(max_examples=1_000)
def test_what_we_acknowledge_is_in_a_completed_checkpoint(steps: list[Step]) -> None:
    assert exposed(steps, later) == set()


def test_acknowledging_by_the_first_finalization_exposes_messages() -> None:
    """The shortest way: a bundle that runs between a checkpoint's barrier and its completion."""
    shortest = find(STEPS, lambda steps: bool(exposed(steps, at_first_finalization)))
    assert shortest == ["barrier", "start", "finish", "complete"]


def test_our_rule_needs_checkpoints_one_after_the_other() -> None:
    """Two under way at once would break it: hence the option in local/engine.py."""
    steps: list[Step] = ["barrier", "barrier", "start", "finish", "complete", "start", "finish", "complete"]
    assert exposed(steps, later, concurrent=2)
    assert not exposed(steps, later, concurrent=1)


def test_what_was_undone_while_another_process_read_on_is_not_acknowledged() -> None:
    first = ["barrier", "start", "finish", "complete", "crash", "elsewhere"]
    steps = [*first, "barrier", "start", "finish", "complete"]
    assert not exposed(steps, later)
