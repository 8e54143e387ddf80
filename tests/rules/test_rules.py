"""deploy/firestore.rules, role × own or other home × collection × operation × field, on the emulator."""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest

from schemas import alarms, audit, homes, incidents, labels, owners
from tests.rules.conftest import OTHER, OWN, Person
from tests.rules.database import NOW, Database
from webapp import sessions

pytestmark = pytest.mark.system
NOBODYS: Final = frozenset[str]()
ALARM: Final = "fire-0123"
DEVICE: Final = "device-0123456789"


class Place(NamedTuple):
    """A document and who may do what with it. Who is not named may do nothing.

    Attributes:
        path: With {home} and {user}.
        fields: What is created there and written again.
        own: What an owner of the home may do.
        any_owner: What any owner may do.
    """

    path: str
    fields: dict[str, Any]
    own: frozenset[str] = NOBODYS
    any_owner: frozenset[str] = NOBODYS


def said(home: str, by: str, **changes: Any) -> dict[str, Any]:
    fields = {"schema_version": 1, "home_id": home, "alarm_id": ALARM, "user": by, "kind": "help"}
    return {**fields, "note": "", "said_at": NOW, "taken": False, **changes}


def device(home: str, by: str, **changes: Any) -> dict[str, Any]:
    fields = {"schema_version": 1, "home_id": home, "user": by, "token": "t", "language": "de"}
    return {**fields, "consent_version": 1, "updated_at": NOW, **changes}


def choices(home: str, by: str, **changes: Any) -> dict[str, Any]:
    fields = {"schema_version": 1, "home_id": home, "user": by, "quiet_from": "22:00", "quiet_to": "07:30"}
    more = {"troubles": True, "handling": False, "zone": "Europe/Berlin", "updated_at": NOW}
    return {**fields, **more, **changes}


def watching(home: str, _by: str, **changes: Any) -> dict[str, Any]:
    return {"schema_version": 1, "home_id": home, "renewed_at": NOW, **changes}


def places(home: str, user: str) -> dict[str, Place]:
    """Every collection there is, by its path without ids."""
    plain = {"home_id": home}
    shut = {
        "alarms": ALARM,
        "open": f"{home}~fire",
        "evidence": "e-1",
        "safe_words": home,
        "on_test": home,
        "labels": ALARM,
        "incidents": "incident-1",
        "losses": home,
        "audit": "alarm:fire-0123~00000001",
        "audit_heads": "alarm:fire-0123",
        "audit_anchors": "00000001",
        "console_sessions": "key",
        "outbox": "fire-0123~opened~u",
        "nothing_we_know": "x",
        "homes/{home}/nothing_we_know": "x",
        "alarms/fire-0123/evidence": "e-1",
        "alarms/fire-0123/history": "00000001",
        "incidents/incident-1/homes": "0",
    }
    found = {name: Place(f"{name.format(home=home)}/{key}", plain) for name, key in shut.items()}
    below = f"homes/{home}"
    of_user = frozenset({"get", "create", "update"})
    return {
        **found,
        "operations": Place("operations/path", {"urgent": 1}, any_owner=frozenset({"get"})),
        "operations (other documents)": Place("operations/supervision", {"homes": 1}),
        "homes": Place(below, plain, own=frozenset({"get"})),
        "directory": Place(f"directory/{home}", plain, own=frozenset({"get"})),
        "told": Place(f"{below}/told/{ALARM}", {"closed_us": None}, own=frozenset({"get", "list"})),
        "live": Place(f"{below}/live/sensors", plain, own=frozenset({"get"})),
        "live (other documents)": Place(f"{below}/live/other", plain),
        "said": Place(f"{below}/said/{ALARM}~help~{user}", said(home, user), own=frozenset({"create"})),
        "devices": Place(f"{below}/devices/{DEVICE}", device(home, user), own=of_user | {"delete"}),
        "choices": Place(f"{below}/choices/{user}", choices(home, user), own=of_user),
        "watching": Place(f"watching/{home}", watching(home, user), own=frozenset({"create", "update"})),
    }


NAMES: Final = sorted(places(OWN, "u"))
OWNS: Final = {"owner": {OWN}, "second owner": {OWN}, "other owner": {OTHER}, "owner of nothing": set()}
OWNERS: Final = {*OWNS, "owner without homes"}
ROLES: Final = (
    *("owner", "second owner", "other owner", "owner of nothing", "owner without homes", "dispatcher"),
    *("dispatcher with homes", "supervisor", "engineer", "anonymous", "nobody"),
)


OPEN: Final = [name for name in NAMES if places(OWN, "u")[name].own or places(OWN, "u")[name].any_owner]
SHUT: Final = sorted(set(NAMES) - set(OPEN))


@pytest.fixture(scope="module", autouse=True)
def told(database: Database) -> None:
    """An alarm of each home that is open: something can be said about it."""
    for home in (OWN, OTHER):
        database.put(f"homes/{home}/told/{ALARM}", {"closed_us": None})


@pytest.mark.parametrize("name", OPEN)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_with_an_open_collection_what_is_listed_and_nothing_else(
    role: str, name: str, database: Database, people: dict[str, Person]
) -> None:
    person = people[role]
    for home in (OWN, OTHER):
        place = places(home, person.user)[name]
        expected = set(place.own) if home in OWNS.get(role, ()) else set()
        if role in OWNERS:
            expected |= place.any_owner
        allowed = set()
        database.remove(place.path)
        for operation in ("create", "get", "list", "update", "delete"):
            if _tried(operation, database, person.token, place):
                allowed.add(operation)
            elif operation == "create":
                database.put(place.path, place.fields)
        assert allowed == expected, home


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_nothing_with_what_is_the_servers(
    role: str, database: Database, people: dict[str, Person]
) -> None:
    person = people[role]
    for name in SHUT:
        place = places(OWN, person.user)[name]
        database.put(place.path, place.fields)
        for operation in ("get", "list", "update", "delete"):
            assert not _tried(operation, database, person.token, place), (name, operation)
        fresh = place._replace(path=f"{place.path}-fresh")
        assert not _tried("create", database, person.token, fresh), name


def _tried(operation: str, database: Database, token: str, place: Place) -> bool:
    if operation == "list":
        return database.list(token, place.path.rpartition("/")[0])
    if operation in ("create", "update"):
        write = database.create if operation == "create" else database.update
        return write(token, place.path, place.fields)
    return (database.get if operation == "get" else database.delete)(token, place.path)


def test_every_collection_that_the_schemas_name_is_in_the_table() -> None:
    modules = (alarms, audit, homes, incidents, labels, owners)
    constants = (
        (name, value)
        for module in modules
        for name, value in inspect.getmembers(module)
        if name.isupper() and isinstance(value, str) and not name.endswith(("_DOCUMENT", "LETTERS"))
    )
    not_collections = {"UNEXPLAINED"}
    named = {value for name, value in constants if name not in not_collections} | {sessions.COLLECTION}
    tabled = {part for name in NAMES for part in name.partition(" ")[0].split("/")}
    assert named <= tabled


WRITERS: Final = {"said": said, "devices": device, "choices": choices, "watching": watching}
WRONG: Final[dict[str, dict[str, list[Any]]]] = {
    "said": {
        "schema_version": [2, "1"],
        "home_id": [OTHER, 1],
        "alarm_id": ["fire-9999", 1],
        "user": ["u-second-owner", ""],
        "kind": ["close", "", 1],
        "note": ["x" * 201, 1, None],
        "said_at": [dt.datetime(2026, 1, 1, tzinfo=dt.UTC), 1],
        "taken": [True, 0],
    },
    "devices": {
        "schema_version": [2],
        "home_id": [OTHER],
        "user": ["u-second-owner"],
        "token": ["", "x" * 4097, 1],
        "language": ["fr", "EN"],
        "consent_version": [0, "1", 1.5],
        "updated_at": [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)],
    },
    "choices": {
        "schema_version": [2],
        "home_id": [OTHER],
        "user": ["u-second-owner"],
        "quiet_from": ["24:00", "7:00", "always", 7],
        "quiet_to": ["12:60", None],
        "troubles": [1, "yes"],
        "handling": [0, None],
        "zone": ["x" * 65, 1],
        "updated_at": [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)],
    },
    "watching": {
        "schema_version": [2],
        "home_id": [OTHER],
        "renewed_at": [dt.datetime(2099, 1, 1, tzinfo=dt.UTC)],
    },
}
FIELDS: Final = [
    (name, field, value)
    for name, fields in WRONG.items()
    for field, values in fields.items()
    for value in values
]


@pytest.mark.parametrize(("name", "field", "value"), FIELDS, ids=[f"{n}.{f}={v!r:.20}" for n, f, v in FIELDS])
def test_a_field_with_a_wrong_value_is_refused(
    name: str, field: str, value: Any, database: Database, people: dict[str, Person]
) -> None:
    owner = people["owner"]
    place = places(OWN, owner.user)[name]
    wrong = WRITERS[name](OWN, owner.user, **{field: value})
    database.remove(place.path)
    assert not database.create(owner.token, place.path, wrong)
    assert database.create(owner.token, place.path, place.fields), "and only that field was wrong"
    assert not database.update(owner.token, place.path, wrong)


@pytest.mark.parametrize("name", WRITERS)
def test_every_field_is_wanted_and_no_other(name: str, database: Database, people: dict[str, Person]) -> None:
    owner = people["owner"]
    place = places(OWN, owner.user)[name]
    assert WRONG[name].keys() == place.fields.keys()
    for field in place.fields:
        fewer = {key: value for key, value in place.fields.items() if key != field}
        database.remove(place.path)
        assert not database.create(owner.token, place.path, fewer), field
    assert not database.create(owner.token, place.path, {**place.fields, "state": "closed"})


def test_an_owner_may_choose_either_way_and_no_quiet_hours(
    database: Database, people: dict[str, Person]
) -> None:
    owner = people["owner"]
    path = places(OWN, owner.user)["choices"].path
    for troubles, handling in ((True, False), (False, True)):
        wanted = choices(OWN, owner.user, troubles=troubles, handling=handling, quiet_from="", quiet_to="")
        database.remove(path)
        assert database.create(owner.token, path, wanted)


def test_what_the_schemas_say_of_documents_of_the_app_is_what_the_rules_let_it_write() -> None:
    models = {
        "said": owners.Said,
        "devices": owners.Device,
        "choices": owners.Choices,
        "watching": owners.Watching,
    }
    for name, model in models.items():
        assert model.model_fields.keys() == WRONG[name].keys()


def test_of_a_closed_alarm_nothing_can_be_said_any_more(
    database: Database, people: dict[str, Person]
) -> None:
    owner = people["owner"]
    path = f"homes/{OWN}/said/fire-closed~help~{owner.user}"
    database.put(f"homes/{OWN}/told/fire-closed", {"closed_us": 5})
    assert not database.create(owner.token, path, said(OWN, owner.user, alarm_id="fire-closed"))


def test_nothing_can_be_said_of_an_alarm_that_is_not_this_homes(
    database: Database, people: dict[str, Person]
) -> None:
    owner = people["owner"]
    database.put(f"homes/{OTHER}/told/fire-other", {"closed_us": None})
    path = f"homes/{OWN}/said/fire-other~help~{owner.user}"
    assert not database.create(owner.token, path, said(OWN, owner.user, alarm_id="fire-other"))


@pytest.mark.parametrize("key", ["short", "x" * 65, "device.0123456789", "device~0123456789"])
def test_a_device_has_an_id_of_the_apps_making(
    key: str, database: Database, people: dict[str, Person]
) -> None:
    owner = people["owner"]
    assert not database.create(owner.token, f"homes/{OWN}/devices/{key}", device(OWN, owner.user))


@pytest.mark.parametrize("name", ["devices", "choices"])
def test_one_owner_reaches_nothing_that_is_anothers_of_the_same_home(
    name: str, database: Database, people: dict[str, Person]
) -> None:
    first, second = people["owner"], people["second owner"]
    place = places(OWN, first.user)[name]
    database.remove(place.path)
    assert database.create(first.token, place.path, place.fields)
    taken_over = WRITERS[name](OWN, second.user)
    assert not database.get(second.token, place.path)
    assert not database.update(second.token, place.path, taken_over)
    assert not database.update(second.token, place.path, place.fields)
    assert not database.delete(second.token, place.path)


GROUPS: Final = ("told", "live", "said", "devices", "choices", "homes", "alarms", "evidence", "history")


@pytest.mark.parametrize("role", ["owner", "dispatcher with homes", "engineer", "nobody"])
def test_no_query_over_all_homes_runs_whatever_it_asks_for(
    role: str, database: Database, people: dict[str, Person]
) -> None:
    token = people[role].token
    for name in GROUPS:
        assert not database.list(token, name, group=True), name
        assert not database.list(token, name, {"home_id": OWN}, group=True), name
        assert not database.list(token, name, {"home_id": OTHER}), name


def test_a_token_of_another_project_or_none_opens_nothing(database: Database) -> None:
    stranger = database.token("u", role="owner", homes="home-0001")  # a text holds every text of its parts
    assert not database.get(stranger, f"homes/{OTHER}")


@pytest.fixture(scope="module", autouse=True)
def _every_expression_was_evaluated_both_ways(database: Database) -> Iterator[None]:
    """The emulator's own report, read after the last test: nothing in the rules is left untried."""
    yield
    assert uncovered(database.coverage()) == set()


def uncovered(coverage: dict[str, Any]) -> set[str]:
    """The emulator's report → conditions that were not seen both true and false."""
    source = coverage["rules"]["files"][0]["content"]
    seen: dict[str, set[bool]] = {}

    def walk(node: dict[str, Any]) -> None:
        place = node["sourcePosition"]
        text = " ".join(source[place.get("currentOffset", 0) : place["endOffset"] + 1].split())
        values = [value["value"] for value in node.get("values", [])]
        answers = {value["boolValue"] for value in values if "boolValue" in value}
        if answers or not any(values):
            seen.setdefault(text, set()).update(answers)
        for child in node.get("children", []):
            walk(child)

    for node in coverage["report"]:
        walk(node)
    return {
        f"{text} was never {'evaluated' if not answers else 'true' if answers == {False} else 'false'}"
        for text, answers in seen.items()
        if answers != {True, False}
    }
