"""The owner's app as the server gives it, without a browser: what is open, what is sent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

import webapp
from tests.webapp.conftest import Desk
from tests.webapp.fakes import MemoryAccounts, MemoryWarehouse
from tests.webapp.test_static import LEAST_CONTRAST, contrast
from webapp.app import create_app
from webapp.config import WebConfig
from webapp.limits import HISTORIES_PER_MINUTE
from webapp.owner import HISTORIES
from webapp.push_words import dictionary
from webapp.warehouse import Minute

STATIC: Final = Path(webapp.__file__).parent / "static"
OWNER: Final = STATIC / "owner"
TEMPLATE: Final = STATIC.parent / "templates" / "owner.html"
SCRIPTS: Final = sorted(OWNER.glob("*.js"))


@pytest.fixture
def client(desk: Desk, tmp_path: Path) -> Any:
    """A browser that nobody has signed in to the console; the SDK is a folder with one file."""
    (tmp_path / "firebase-app.js").write_text(
        'import"https://www.gstatic.com/firebasejs/12.19.0/firebase-app.js";x\n//# sourceMappingURL=a.map\n'
    )
    config = WebConfig(auth_emulator="127.0.0.1:9099", firestore_emulator="127.0.0.1:8080", sdk=str(tmp_path))
    parts = {"alarms": desk.alarms, "clock": desk.clock, "sessions": desk.sessions, "live": desk.live}
    app = create_app(config, auth=MemoryAccounts(), supervised=desk.watched, **parts)
    return app.test_client()


def test_the_page_is_for_everybody_and_sets_no_cookie(client: Any) -> None:
    answer = client.get("/owner/")
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


def test_the_page_may_reach_firebase_and_nothing_else(client: Any) -> None:
    answer = client.get("/owner/")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    nonce = re.findall(r'nonce="([^"]+)"', answer.text)
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == f"'nonce-{nonce[0]}'"
    assert policy["worker-src"] == policy["manifest-src"] == "'self'"
    assert policy["connect-src"] == "'self' http://127.0.0.1:9099 http://127.0.0.1:8080"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_in_production_it_reaches_firebase_by_https_only() -> None:
    origins = WebConfig(tls=True, proxies=1).owner_origins
    assert len(origins) == 5
    assert all(re.fullmatch(r"https://[a-z]+\.googleapis\.com", origin) for origin in origins)


def test_no_other_page_of_the_server_may_reach_firestore(client: Any) -> None:
    policy = client.get("/sign-in").headers["Content-Security-Policy"]
    assert "8080" not in policy
    assert "worker-src" not in policy


def test_the_page_has_no_inline_script_style_or_handler(client: Any) -> None:
    text = client.get("/owner/").text
    scripts = re.findall(r"<script\b[^>]*>(.*?)</script>", text, re.S)
    assert scripts == [""]
    assert not re.search(r"\son\w+=|<style|\sstyle=|javascript:", text)


def test_the_sdk_comes_from_here_and_is_packed(client: Any) -> None:
    plain = client.get("/owner/sdk/firebase-app.js")
    assert plain.data == b'import"./firebase-app.js";x\n'
    packed = client.get("/owner/sdk/firebase-app.js", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert (
        client.get("/owner/sdk/firebase-app.js", headers={"Accept-Encoding": "gzip;q=0"}).data == plain.data
    )


@pytest.mark.parametrize("name", ["firebase-storage.js", "..%2fpackage.json", "package.json"])
def test_nothing_else_of_the_sdks_folder_is_served(name: str, client: Any) -> None:
    assert client.get(f"/owner/sdk/{name}").status_code == 404


def test_the_service_worker_keeps_all_that_the_page_needs(client: Any) -> None:
    text = client.get("/owner/service_worker.js").text
    kept = json.loads(text.split("const KEPT = ")[1].split(";\n")[0])
    page = client.get("/owner/").text
    needed = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page))
    for script in SCRIPTS:
        imported = re.findall(r'(?:^\}? ?(?:import .*)?from|import\() ?"([^"]+)"', script.read_text())
        needed |= {f"/static/owner/{name[2:]}" if name.startswith("./") else name for name in imported}
    assert needed <= set(kept)
    for path in kept:
        if "/sdk/" not in path:
            assert client.get(path).status_code == 200, path


def test_the_app_can_be_installed(client: Any) -> None:
    manifest = client.get("/owner/manifest.json").get_json()
    assert manifest["display"] == "standalone"
    assert manifest["start_url"] == manifest["scope"] == "/owner/"
    sizes = {icon["sizes"] for icon in manifest["icons"]}
    assert {"192x192", "512x512"} <= sizes
    assert all(client.get(icon["src"]).status_code == 200 for icon in manifest["icons"])


# -- history ---------------------------------------------------------------------------------------


@pytest.fixture
def history(desk: Desk) -> Any:
    desk.app.extensions["accounts"].homes = {"weber": frozenset({"home-0001"}), "anna": frozenset()}
    warehouse = MemoryWarehouse()
    warehouse.minutes["home-0001", "air-kitchen"] = [Minute(5, "normal", {"temperature_c": 20.5})]
    stores = desk.app.extensions["operations_stores"]
    desk.app.extensions["operations_stores"] = stores._replace(warehouse=warehouse)

    def ask(token: str, home: str = "home-0001", sensor: str = "air-kitchen") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return desk.app.test_client().get(f"/owner/history/{home}/{sensor}", headers=headers)

    return ask


def test_an_owner_gets_the_history_of_the_own_home(history: Any) -> None:
    minutes = history("weber").get_json()["minutes"]
    assert minutes == [{"minute_us": 5, "label": "normal", "quantities": {"temperature_c": 20.5}}]


@pytest.mark.parametrize(
    ("token", "home", "status"),
    [
        ("", "home-0001", 401),
        ("forged", "home-0001", 401),
        ("weber", "home-0002", 403),
        ("anna", "home-0001", 403),
    ],
    ids=["nobody", "forged", "another home", "a dispatcher"],
)
def test_history_is_for_owners_of_that_home(
    token: str, home: str, status: int, history: Any, desk: Desk
) -> None:
    assert history(token, home).status_code == status
    assert desk.app.extensions["operations_stores"].warehouse.asked == 0


def test_history_is_limited_by_account_and_not_by_address(history: Any, desk: Desk) -> None:
    desk.app.extensions["accounts"].homes["meyer"] = frozenset({"home-0001"})
    answers = [history("weber").status_code for _ in range(HISTORIES_PER_MINUTE + 1)]
    assert answers == [200] * HISTORIES_PER_MINUTE + [429]
    assert history("meyer").status_code == 200


def test_histories_that_wait_leave_the_servers_threads_to_dispatchers(history: Any, desk: Desk) -> None:
    places = desk.app.extensions["history_places"]
    for _ in range(HISTORIES):
        assert places.acquire(blocking=False)
    assert history("weber").status_code == 503
    assert desk.app.extensions["operations_stores"].warehouse.asked == 0
    places.release()
    assert history("weber").status_code == 200
    assert history("forged").status_code == 401
    assert history("weber").status_code == 200, "a refusal gives its place back"


def test_a_session_of_the_console_opens_no_history(desk: Desk) -> None:
    assert desk.browser("anna").get("/owner/history/home-0001/air-kitchen").status_code == 401


# -- files -----------------------------------------------------------------------------------------


def _tokens(dark: bool) -> dict[str, str]:
    css = (OWNER / "owner.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.S)
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[0]))
    return {**found, **dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[1]))} if dark else found


PAIRS: Final = [
    *[(text, ground) for text in ("text", "quiet", "bad", "good") for ground in ("ground", "surface")],
    *[(f"on-{name}", name) for name in ("alarm", "notice", "calm", "stale", "main")],
]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS, ids=[f"{t} on {g}" for t, g in PAIRS])
def test_text_stands_out_from_its_ground(text: str, ground: str, dark: bool) -> None:
    colours = _tokens(dark)
    assert contrast(colours[text], colours[ground]) >= LEAST_CONTRAST


def test_no_script_makes_html_of_data() -> None:
    assert len(SCRIPTS) >= 7
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|srcdoc"
    )
    assert [script.name for script in SCRIPTS if forbidden.search(script.read_text())] == []


GROUPS: Final = (
    "head|sub|stage|step|say|alarms|rooms|works|state|sensor|history|set|sign|battery|next|app|head"
)


def test_every_word_that_the_app_asks_for_is_in_the_dictionary() -> None:
    known = dictionary("en")
    asked: set[str] = set()
    for script in SCRIPTS:
        asked |= set(re.findall(rf'"((?:{GROUPS})\.[\w.]+)"', script.read_text()))
    assert len(asked) > 100
    assert asked - known.keys() == set()


def test_every_word_in_the_dictionary_is_asked_for_by_somebody() -> None:
    text = "\n".join(path.read_text() for path in [*SCRIPTS, TEMPLATE, STATIC.parent / "push_words.py"])
    made = ("what.", "kind.", "room.", "push.", "next.", "stay.", "outcome.", "service.", "say.", "step.")
    made += ("lang.", "sensor.", "sub.fine", "head.", "state.", "stage.")
    unused = [key for key in dictionary("en") if not key.startswith(made) and f'"{key}"' not in text]
    assert unused == []
