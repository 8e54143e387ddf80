"""A Firestore emulator with this repository's rules, and people with tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest

from tests.rules.database import Database
from tests.webapp import emulators

PROJECT: Final = "demo-rules-tests"
OWN, OTHER = "home-0001", "home-0002"


class Person(NamedTuple):
    """Somebody who asks. `token` is "" for nobody at all."""

    user: str
    token: str


@pytest.fixture(scope="package")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with emulators.firestore_emulator(tmp_path_factory.mktemp("rules")) as host:
        opened = Database(host, PROJECT)
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def people(database: Database) -> dict[str, Person]:
    """Everybody that the rules can tell apart. Homes are `OWN` and `OTHER`, seen from "owner"."""
    claims: dict[str, dict[str, object]] = {
        "owner": {"role": "owner", "homes": [OWN]},
        "second owner": {"role": "owner", "homes": [OWN]},
        "other owner": {"role": "owner", "homes": [OTHER]},
        "owner of nothing": {"role": "owner", "homes": []},
        "owner without homes": {"role": "owner"},
        "dispatcher": {"role": "dispatcher"},
        "dispatcher with homes": {"role": "dispatcher", "homes": [OWN, OTHER]},
        "supervisor": {"role": "supervisor"},
        "engineer": {"role": "engineer"},
        "anonymous": {"firebase": {"sign_in_provider": "anonymous"}},
    }
    users = {name: f"u-{name.replace(' ', '-')}" for name in claims}
    made = {name: Person(users[name], database.token(users[name], **said)) for name, said in claims.items()}
    return {**made, "nobody": Person("nobody", "")}
