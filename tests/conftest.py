"""For all tests: the quick layer first, so that a plain mistake shows before anything is started."""

from __future__ import annotations

import pytest
from hypothesis import settings

# How long an example takes depends on what else the machine does.
settings.register_profile("hearthwatch", deadline=None)
settings.load_profile("hearthwatch")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that start parts of the system go last, otherwise in their order.

    `make test-unit` runs two processes (decision 027). Which tests share one, and in which order, is fixed
    and does not depend on how fast they are: what one leaves behind the next finds again in the next run.
    """
    items.sort(key=_is_system)
    for item in items:
        folder = item.path.relative_to(config.rootpath / "tests").parts[0]
        item.add_marker(pytest.mark.xdist_group("beam" if folder in ("transforms", "pipelines") else "unit"))


def _is_system(item: pytest.Item) -> bool:
    return item.get_closest_marker("system") is not None
