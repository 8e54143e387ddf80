"""For all tests: the quick layer first, so that a plain mistake shows before anything is started."""

from __future__ import annotations

import pytest
from hypothesis import settings

# How long an example takes depends on what else the machine does.
settings.register_profile("hearthwatch", deadline=None)
settings.load_profile("hearthwatch")


# Of the tests that start parts of the system, those that keep the engine waiting longest; beside the rest.
_LONG = {("faults", 2), ("test_demo.py", 1)}


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that start parts of the system go last, otherwise in their order.

    `make test` runs two processes. Which tests share one, and in which order, is fixed here and does not
    depend on how fast they are: what one test leaves behind the next finds again in the next run.
    """
    items.sort(key=_is_system)
    for item in items:
        place = item.path.relative_to(config.rootpath / "tests").parts
        if _is_system(item):
            group = "long" if (place[0], len(place)) in _LONG else "system"
        else:
            group = "beam" if place[0] in ("transforms", "pipelines") else "unit"
        item.add_marker(pytest.mark.xdist_group(group))


def _is_system(item: pytest.Item) -> bool:
    return item.get_closest_marker("system") is not None
