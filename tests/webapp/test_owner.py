"""The owner's app as the server gives it, without a browser: what is open, what is sent, what it says."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

import webapp
from local import tools
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


# -- what it says ----------------------------------------------------------------------------------

NOW: Final = 1_790_000_000_000_000
MINUTE: Final = 60_000_000


def headline(**changes: Any) -> dict[str, Any]:
    return story(
        "headline",
        {"home": home(), "told": [], "path": path(), "pathLimitUs": 150_000_000, "nowUs": NOW, **changes},
    )


def story(function: str, *arguments: Any) -> Any:
    """Run a function of story.js in Node."""
    script = (
        "const [url, name, given] = process.argv.slice(1); const m = await import(url);"
        "console.log(JSON.stringify(m[name](...JSON.parse(given))))"
    )
    command = [
        *tools.node(),
        "--input-type=module",
        "--eval",
        script,
        (OWNER / "story.js").as_uri(),
        function,
    ]
    done = subprocess.run([*command, json.dumps(arguments)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def home(**changes: Any) -> dict[str, Any]:
    sensors = {
        "contact-kitchen-window": {"kind": "contact", "room": "kitchen", "battery_percent": 80},
        "motion-hall": {"kind": "motion", "room": "hall", "battery_percent": None},
    }
    base = {"armed_mode": "away", "armed_phase": "set", "sensors": sensors, "last_seen_us": NOW - MINUTE}
    return {**base, "path_state": "PATH_OK", "path_since_us": 0, **changes}


def path(ago_us: int = 40_000_000) -> dict[str, Any]:
    return {"urgent": {"proven_us": NOW - ago_us, "sent_us": NOW - ago_us}}


def told(**changes: Any) -> dict[str, Any]:
    base = {
        **{"alarm_id": "fire-1", "kind": "fire", "category": "life", "code": 111, "room": "kitchen"},
        **{"state": "new", "occurred_us": NOW - MINUTE, "opened_us": NOW - MINUTE, "services": []},
        **dict.fromkeys(("restored_us", "cancelled_us", "seen_us", "dispatched_us", "on_scene_us")),
        **dict.fromkeys(("closed_us", "close_out")),
    }
    return {**base, **changes}


def test_rooms_and_their_sensors_stand_in_one_order_whatever_the_database_gives() -> None:
    sensors = home()["sensors"]
    known = [(room, [one["id"] for one in found]) for room, found in story("rooms", home())]
    assert known == [("hall", ["motion-hall"]), ("kitchen", ["contact-kitchen-window"])]
    turned = home(sensors=dict(reversed(sensors.items())))
    assert story("rooms", turned) == story("rooms", home())


def test_all_is_well_says_how_it_is_armed_and_counts_the_sensors() -> None:
    said = headline()
    assert (said["tone"], said["head"], said["sub"]) == (
        "calm",
        ["head.away"],
        ["sub.fine.away", {"count": 2}],
    )
    assert headline(home=home(armed_mode="stay"))["head"] == ["head.stay"]
    assert headline(home=home(armed_phase="exit_delay"))["head"] == ["head.exit"]


def test_we_are_on_it_is_said_only_when_somebody_is() -> None:
    waiting = headline(told=[told()])
    assert (waiting["head"][0], waiting["sub"]) == ("head.alarm", ["stage.new"])
    taken = headline(told=[told(state="claimed")])
    assert (taken["head"][0], taken["sub"]) == ("head.handled", ["stage.claimed"])
    sent = headline(told=[told(state="dispatched", services=["fire_brigade"])])
    assert sent["sub"] == ["stage.dispatched", {"service": "fire_brigade"}]


def test_life_comes_before_everything_else_and_the_rest_is_counted() -> None:
    newer = told(alarm_id="b", kind="burglary", category="intrusion", code=131, opened_us=NOW)
    said = headline(told=[newer, told()], home=home(path_state="PATH_FAIL"))
    assert said["head"][1]["alarm"]["kind"] == "fire"
    assert said["more"] == 1


def test_a_silent_home_is_never_well() -> None:
    since = NOW - 20 * MINUTE
    known = headline(home=home(path_state="PATH_FAIL", path_since_us=since))
    assert known["head"] == ["head.unheard", {"at": since}]
    unknown = headline(home=home(last_seen_us=since))
    assert (unknown["head"], unknown["sub"]) == (["head.silent", {"at": since}], ["sub.silent"])
    assert headline(home=home(last_seen_us=0))["head"] == ["head.never"]
    assert headline(home=None)["head"] == ["head.never"]


def test_a_disturbed_line_of_our_own_is_admitted() -> None:
    assert headline(path=path(400_000_000))["head"][0] == "head.line"
    assert headline(path=path(140_000_000))["tone"] == "calm"


def test_a_trouble_and_a_low_battery_are_named() -> None:
    power = told(kind="power", category="trouble", code=301, room="")
    assert headline(told=[power])["sub"] == ["next.power"]
    low = home()
    low["sensors"]["motion-hall"]["battery_percent"] = 12
    assert headline(home=low)["head"] == ["head.trouble", {"code": 384, "room": "hall"}]


def test_an_owner_can_ask_for_help_and_say_it_was_me_until_it_is_over() -> None:
    assert story("sayable", told()) == ["help", "it_was_me"]
    assert story("sayable", told(closed_us=5)) == []
    assert story("sayable", told(owner_words=[{"kind": "help", "at_us": 1}])) == ["it_was_me"]
    assert story("sayable", told(owner_words=[{"kind": "it_was_me", "at_us": 1}])) == ["help"]
    assert story("sayable", told(kind="path", category="trouble")) == []


def test_steps_are_in_order_and_end_with_the_wait_for_a_dispatcher() -> None:
    waiting = story("steps", told())
    assert [sentence[0] for _, sentence in waiting] == ["step.noticed", "step.waiting"]
    done = story(
        "steps",
        told(seen_us=NOW, dispatched_us=NOW + 2, services=["police"], closed_us=NOW + 9, close_out="real"),
    )
    both = [{"kind": "help", "at_us": NOW}, {"kind": "it_was_me", "at_us": NOW + 1}]
    said = story("steps", told(seen_us=NOW - 1, owner_words=both))
    assert [sentence[0] for _, sentence in said][2:] == ["step.help", "step.it_was_me"]
    assert [sentence[0] for _, sentence in done] == ["step.noticed", "step.taken", "step.sent", "step.closed"]


WARM: Final = {"temperature_c": 21.4}


@pytest.mark.parametrize(
    ("sensor", "label", "quantities", "words"),
    [
        ("contact", "rest", {"open": 1}, ["state.open"]),
        ("contact", "rest", {"open": 0}, ["state.closed"]),
        ("motion", "person", {}, ["state.moving"]),
        ("motion", "nobody", {}, ["state.still"]),
        ("sound", "", {"max_dba": 41}, ["state.quiet"]),
        ("sound", "", {"max_dba": 80}, ["state.loud"]),
        ("air", "", {**WARM, "co2_ppm": 640}, ["state.air.good", {"temperature": 21.4}]),
        ("air", "", {**WARM, "co2_ppm": 1600}, ["state.air.stuffy", {"temperature": 21.4}]),
        ("air", "", {**WARM, "co_ppm": 40}, ["state.air.co", {"temperature": 21.4, "co": 40}]),
        ("air", "", {}, ["state.unknown"]),
    ],
)
def test_a_sensor_says_what_it_means(
    sensor: str, label: str, quantities: dict[str, float], words: list[Any]
) -> None:
    of = {"id": "s", "kind": sensor, "room": "kitchen"}
    live = {"label": label, "quantities": quantities, "heard_us": NOW}
    state = story("sensorState", of, {"sensors": {"s": live}}, [])
    assert state["words"] == words
    assert story("sensorState", of, None, [])["words"] == ["state.unknown"]


def test_whether_it_works_is_told_row_by_row() -> None:
    given = {
        "home": home(),
        "path": path(),
        "pathLimitUs": 150_000_000,
        "connected": False,
        "asOfUs": NOW,
        "push": True,
        "nowUs": NOW,
    }
    rows = {subject: fine for subject, _, fine in story("works", given)}
    assert rows == {"works.home": True, "works.line": True, "works.phone": False, "works.push": True}
    silent = {**given, "home": home(path_state="PATH_FAIL"), "path": None}
    rows = {subject: fine for subject, _, fine in story("works", silent)}
    assert (rows["works.home"], rows["works.line"]) == (False, False)
