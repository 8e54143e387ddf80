"""Fixtures of the fault matrix, and its two forms: short in `make test`, long in `make faults`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local import emulators
from tests.faults.form import LONG, seeds
from tests.faults.system import FaultSystem


@pytest.fixture(scope="module", params=seeds(), ids=lambda seed: f"seed{seed}")
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultSystem]:
    """Everything running and flowing, once a seed; BigQuery only in the long form."""
    made = FaultSystem(tmp_path_factory.mktemp("faults"), request.param, "on" if LONG else "off")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in emulators.client_environment(made.settings).items():
            patch.setenv(name, value)
        with made:
            yield made
