"""Acknowledgement against a model of what Flink does: which rule can lose messages, and which cannot.

The model is the runner's bytecode in few words (docs/decisions/021-finalization.md): a task runs one bundle
after the other; a barrier falls between two bundles, and its checkpoint contains what was finished by then;
when a checkpoint completes, *every* finished bundle that is not finalized yet is finalized. A message may
be acknowledged only if a completed checkpoint contains it: after a crash nothing else remembers it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from transforms.held_bundles import HeldBundles

Step = Literal["start", "finish", "barrier", "complete"]
# (bundles, token, start of the bundle, now) → ack ids
Rule = Callable[[HeldBundles, object, float, float], list[str]]
STEPS = st.lists(st.sampled_from(("start", "finish", "barrier", "complete")), max_size=60)


def own(bundles: HeldBundles, token: object, started: float, now: float) -> list[str]:  # noqa: ARG001
    """A bundle's messages in its own finalization: what Beam's documentation suggests."""
    return bundles.abandon(token)


def later(bundles: HeldBundles, token: object, started: float, now: float) -> list[str]:
    """Ours."""
    return bundles.finalize(token, started, now)


def exposed(steps: Sequence[Step], rule: Rule, concurrent: int = 1) -> set[str]:
    """Play steps (those that make no sense are left out) → acknowledged, and in no completed checkpoint.

    Args:
        concurrent: How many checkpoints may be under way.
    """
    bundles = HeldBundles()
    running: int | None = None
    finished: list[int] = []  # by the moment that the bundle started, which is also its message
    outstanding: list[int] = []
    under_way: list[set[str]] = []
    safe: set[str] = set()
    ever: set[str] = set()
    for now, step in enumerate(steps):
        if step == "start" and running is None:
            running = now
        elif step == "finish" and running is not None:
            bundles.finished(running, [(float(running), str(running))])
            finished.append(running)
            outstanding.append(running)
            running = None
        elif step == "barrier" and running is None and len(under_way) < concurrent:
            under_way.append({str(bundle) for bundle in finished})
        elif step == "complete" and under_way:
            safe |= under_way.pop(0)
            for bundle in outstanding:
                ever |= set(rule(bundles, bundle, bundle, now)) - safe
            outstanding = []
    return ever


@given(STEPS)
@settings(max_examples=1_000)
def test_what_we_acknowledge_is_in_a_completed_checkpoint(steps: list[Step]) -> None:
    assert exposed(steps, later) == set()


def test_acknowledging_in_a_bundles_own_finalization_exposes_messages() -> None:
    """The shortest way: a bundle that runs between a checkpoint's barrier and its completion."""
    shortest = find(STEPS, lambda steps: bool(exposed(steps, own)))
    assert shortest == ["barrier", "start", "finish", "complete"]


def test_our_rule_needs_checkpoints_one_after_the_other() -> None:
    """Two under way at once would break it: hence the option in local/engine.py."""
    assert find(STEPS, lambda steps: bool(exposed(steps, later, concurrent=2)))
    with pytest.raises(NoSuchExample):
        find(STEPS, lambda steps: bool(exposed(steps, later, concurrent=1)))
