"""For all tests: the quick layer first, so that a plain mistake shows before anything is started."""

from __future__ import annotations

import pytest
from hypothesis import settings

# How long an example takes depends on what else the machine does.
settings.register_profile("hearthwatch", deadline=None)
settings.load_profile("hearthwatch")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that start parts of the system go last, otherwise in their order."""
    items.sort(key=lambda item: item.get_closest_marker("system") is not None)
