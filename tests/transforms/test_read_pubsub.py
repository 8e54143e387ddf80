"""What the runner is asked to do for the source."""

from __future__ import annotations

from apache_beam.runners.common import DoFnSignature

from transforms.read_pubsub import BundleBounds, _PullDoFn


def test_the_runner_is_asked_to_say_when_a_bundle_is_committed() -> None:
    """Else nothing is ever acknowledged, and everything comes again when the lease is given up."""
    pull = _PullDoFn("projects/p/subscriptions/s", "minutes", BundleBounds())
    assert DoFnSignature(pull).has_bundle_finalization()
