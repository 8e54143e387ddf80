"""Fixtures: a signed-in Flask client on fakes, and the emulators for system tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Playwright, sync_playwright
from werkzeug.test import TestResponse

from local import install, tools
from local.config import Settings
from tests.webapp import browsing, emulators, stores
from tests.webapp.browsing import PASSWORD, PROJECT, Console, Served, launched, shots_folder
from tests.webapp.fakes import Clock, MemoryAccounts, MemoryAlarms, MemorySessions, MemoryWatched
from tests.webapp.owner_phone import HOME, OWNER, PHONE, App, KeepingSender, furnish
from webapp.accounts import Account, ensure_owner
from webapp.app import create_app, firestore_client, now_us
from webapp.config import WebConfig
from webapp.delivery import Delivery
from webapp.live import LiveQueue
from webapp.notifier import Notifier
from webapp.outbox import Outbox
from webapp.repository import AlarmRepository
from webapp.sessions import csrf_of


@dataclass
class Browser:
    """A Flask client that keeps its cookie and sends the CSRF token of its page."""

    client: FlaskClient

    @property
    def token(self) -> str:
        """The session id in the cookie."""
        cookie = self.client.get_cookie("hearthwatch")
        return cookie.value if cookie else ""

    def get(self, path: str) -> TestResponse:
        return self.client.get(path)

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> TestResponse:
        given = {"X-CSRF-Token": csrf_of(self.token), **(headers or {})}
        return self.client.post(path, json={} if body is None else body, headers=given)

    def sign_in(self, id_token: str) -> TestResponse:
        self.get("/sign-in")
        return self.post("/session", {"id_token": id_token})


@dataclass
class Desk:
    """An app on fakes, and what is behind it."""

    app: Any
    alarms: MemoryAlarms
    sessions: MemorySessions
    clock: Clock
    live: LiveQueue
    watched: MemoryWatched

    def browser(self, id_token: str = "") -> Browser:
        """A new browser, signed in if a token is given."""
        browser = Browser(self.app.test_client())
        if id_token:
            assert browser.sign_in(id_token).status_code == 200
        return browser


@pytest.fixture
def desk() -> Desk:
    """A dispatcher `anna`, a supervisor `ben`, an engineer `erik`, and an empty queue."""
    clock, alarms, sessions = Clock(), MemoryAlarms(), MemorySessions()
    accounts = MemoryAccounts(
        anna=Account("u-anna", "Anna", "dispatcher"),
        ben=Account("u-ben", "Ben", "supervisor"),
        erik=Account("u-erik", "Erik", "engineer"),
    )
    live = LiveQueue(alarms, clock, "boot")
    config = WebConfig(auth_emulator="127.0.0.1:9099")
    watched = MemoryWatched()
    app = create_app(
        config,
        alarms=alarms,
        clock=clock,
        auth=accounts,
        sessions=sessions,
        live=live,
        supervised=watched,
    )
    app.testing = True
    return Desk(app, alarms, sessions, clock, live, watched)


@pytest.fixture(scope="session")
def firestore_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a Firestore emulator."""
    with emulators.firestore_emulator(tmp_path_factory.mktemp("firestore")) as host:
        yield host


@pytest.fixture(scope="session")
def auth_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of an Auth emulator."""
    with emulators.auth_emulator(tmp_path_factory.mktemp("auth"), PROJECT) as host:
        yield host


@pytest.fixture(scope="package")
def stand_ins(firestore_host: str, auth_host: str) -> dict[str, str]:
    """The environment of a process that talks to the emulators."""
    return {
        "FIRESTORE_EMULATOR_HOST": firestore_host,
        "FIREBASE_AUTH_EMULATOR_HOST": auth_host,
        "HEARTHWATCH_WEB_PROJECT_ID": PROJECT,
    }


@pytest.fixture(scope="package")
def served(stand_ins: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The console as the supervisor starts it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stand_ins.items():
            patch.setenv(name, value)
        browsing.make_accounts()
        served = Served(emulators.free_port(), tmp_path_factory.mktemp("console") / "console.log")
    yield served
    served.stop()


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """One for all: a second beside it in the same process is refused."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def chromium(playwright: Playwright) -> Iterator[Chromium]:
    """One browser; each test has a context of its own."""
    browser = browsing.launched(playwright)
    yield browser
    browser.close()


@pytest.fixture
def console(
    served: Served,
    chromium: Chromium,
    stand_ins: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Console]:
    """A signed-in page on an empty queue."""
    for name, value in stand_ins.items():
        monkeypatch.setenv(name, value)
    client = browsing.emptied()
    context = chromium.new_context(viewport=browsing.SIZE, permissions=["clipboard-read", "clipboard-write"])
    desk = Console(served, client, context.new_page(), browsing.shots_folder(tmp_path))
    desk.sign_in()
    yield desk
    assert desk.faults == []
    context.close()
    client.close()


@pytest.fixture(params=["memory", pytest.param("firestore", marks=pytest.mark.system)])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A repository on the fake and on Firestore, with what a pipeline does."""
    if request.param == "memory":
        yield stores.MemoryStore()
        return
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", request.getfixturevalue("firestore_host"))
    client = firestore_client(stores.PROJECT)
    for name in stores.COLLECTIONS:
        client.recursive_delete(client.collection(name))
    yield stores.FirestoreStore(client)
    client.close()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="package")
def owner_served(stand_ins: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server with the Firebase SDK."""
    settings = Settings()
    install.ensure_firebase(settings, print)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**stand_ins, "HEARTHWATCH_WEB_SDK": str(tools.firebase_sdk(settings))}.items():
            patch.setenv(name, value)
        ensure_owner(PROJECT, OWNER, PASSWORD, [HOME])
        server = Served(emulators.free_port(), tmp_path_factory.mktemp("owner") / "server.log")
        yield server
        server.stop()


@pytest.fixture
def app(owner_served: Served, playwright: Playwright, tmp_path: Path) -> Iterator[App]:
    """A phone that nobody has signed in to, and a home in which all is well."""
    client = firestore_client(PROJECT)
    for collection in client.collections():
        client.recursive_delete(collection)
    furnish(client)
    sender = KeepingSender()
    outbox = Outbox(client)
    notifier = Notifier(
        AlarmRepository(client), outbox, Delivery(outbox, sender, now_us, lambda: 0.0), now_us
    )
    notifier.start()
    browser = launched(playwright)
    context = browser.new_context(
        viewport=PHONE, locale="en-GB", timezone_id="Europe/Berlin", permissions=["notifications"]
    )
    made = App(f"{owner_served.url}owner/", client, context, sender, shots_folder(tmp_path))
    yield made
    browser.close()
    notifier.stop()
    client.close()  # type: ignore[no-untyped-call]
    assert made.faults == []
