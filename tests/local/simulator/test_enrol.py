"""The demo fleet's identities, configurations and first documents."""

import datetime as dt
import json
import re
import stat

import pytest
from cryptography import x509

from edge_client.identity import load_identity
from edge_client.users import matches
from local import parts
from local.config import isolated
from local.simulator import devices, household
from local.simulator.enrol import (
    ROSTER_FILE,
    SAFE_WORD,
    configurations,
    directory_entry,
    enrol,
    firestore_client,
    gateway_sensors,
    home_safe_word,
    home_status,
    register,
)
from schemas.identity import read_certificate
from transforms.roster import parse_roster
from webapp import safe_word

NOW = dt.datetime(2025, 11, 24, 12, 0, tzinfo=dt.UTC)


def _enrol(path, homes=3, now=NOW):
    return enrol(path, homes, 7, project="demo-test", broker_host="127.0.0.1", broker_port=18999, now=now)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return _enrol(tmp_path_factory.mktemp("run"))


def test_every_gateway_and_the_prover_has_a_certificate_of_this_fleet(fleet):
    ca = x509.load_pem_x509_certificate(fleet.ca.read_bytes())
    for member in (*fleet.members, fleet.prover):
        identity = read_certificate((fleet.folder / member.gateway_id / "certificate.der").read_bytes(), ca)
        assert (identity.home_id, identity.gateway_id) == (member.home_id, member.gateway_id)
        assert identity.not_before_us < NOW.timestamp() * 1e6 < identity.not_after_us
    assert (fleet.prover.home_id, fleet.prover.gateway_id) == ("synthetic", "path-prover")


def test_configurations_are_what_a_gateway_process_accepts(fleet):
    for number, config in enumerate(configurations(fleet), 1):
        load_identity(
            config.key_path, config.certificate_path, home_id=config.home_id, gateway_id=config.gateway_id
        )
        assert {sensor.id for sensor in config.sensors} == {device.sensor_id for device in devices.DEVICES}
        assert {s.id: s.arming_role for s in config.sensors}[devices.FRONT_DOOR] == "entry"
        assert matches(config.users[0].code_hash, household.keypad_code(7, number))
        assert config.pubsub.project == "demo-test"
        assert config.broker.port == 18999


def test_enrolling_again_keeps_identities_and_adds_homes(fleet):
    before = {m.gateway_id: (fleet.folder / m.gateway_id / "key.pem").read_bytes() for m in fleet.members}
    ca = fleet.ca.read_bytes()
    larger = _enrol(fleet.folder.parent, homes=4, now=NOW + dt.timedelta(days=1))
    assert larger.ca.read_bytes() == ca
    assert len(larger.members) == 4
    for gateway, key in before.items():
        assert (larger.folder / gateway / "key.pem").read_bytes() == key
    header, *lines = map(json.loads, (larger.folder / ROSTER_FILE).read_text().splitlines())
    assert header["homes"] == len(lines)
    assert [(row["home_id"], row["gateway_id"]) for row in lines] == [m[:2] for m in larger.members]
    enrolled = {row["home_id"]: row["enrolled_us"] for row in lines}
    day_us = 86_400_000_000
    assert enrolled["home-0001"] == NOW.timestamp() * 1e6 == enrolled["home-0004"] - day_us


def test_the_roster_is_what_supervision_reads_with_each_gateways_certificate(fleet):
    text = (_enrol(fleet.folder.parent, homes=8).folder / ROSTER_FILE).read_text()
    roster = parse_roster(text, shards=2)
    members = {member.home_id: member for shard in range(2) for member in roster.members(shard)}
    assert {home: member.region for home, member in members.items()} == {
        f"home-{number:04}": "Nord" if number <= 5 else "Ost" for number in range(1, 9)
    }
    line = json.loads(text.splitlines()[1])
    certificate = x509.load_der_x509_certificate((fleet.folder / "gw-0001" / "certificate.der").read_bytes())
    assert int(line["certificate_serial"], 16) == certificate.serial_number


def test_keys_are_readable_by_their_owner_only(fleet):
    for file in (fleet.folder / "ca.key", fleet.folder / "gw-0001" / "key.pem"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_directory_holds_invented_people_with_numbers_reserved_for_fiction():
    reserved = re.compile(
        r"\+49 (30 23125 \d{3}|40 66969 \d{3}|221 4710 \d{3}|69 90009 \d{3}|89 99998 \d{3}|171 39200 \d{2})"
    )
    entries = [directory_entry(7, devices.home_id(number)) for number in range(1, 60)]
    for entry in entries:
        assert entry.phones
        assert all(reserved.fullmatch(phone) for phone in entry.phones)
        assert entry.address
        assert entry.place
        assert entry.region
        assert entry.contacts
    assert len({entry.place for entry in entries}) == 5
    assert directory_entry(7, "home-0001") == entries[0]


def test_first_status_lists_the_sensors(fleet):
    status = home_status(fleet.members[0])
    assert status.sensors["sound-kitchen"].room == "kitchen"
    assert len(status.sensors) == 12  # ten that read, smoke alarm, panic button


def test_every_home_has_the_demos_safe_word_under_a_salt_of_its_own():
    one, other = (home_safe_word(7, home) for home in ("home-0001", "home-0002"))
    assert safe_word.matches(one, SAFE_WORD)
    assert not safe_word.matches(one, "amber")
    assert one.salt != other.salt
    assert home_safe_word(7, "home-0001") == one


@pytest.fixture
def firestore(tmp_path, monkeypatch):
    settings = isolated(tmp_path)
    [part] = [part for part in parts.stand_ins(settings) if part.name == "firestore"]
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", settings.address(settings.firestore_port))
    with parts.running(part, settings):
        client = firestore_client(settings.project)
        yield client
        client.close()


@pytest.mark.system
def test_registering_writes_homes_words_and_directory_and_keeps_a_living_status(fleet, firestore):
    register(firestore, fleet, 7)
    home = firestore.collection("homes").document("home-0001")
    home.update({"armed_mode": "away"})
    word = firestore.collection("safe_words").document("home-0001")
    changed = safe_word.make("home-0001", "bergamot").document()
    word.set(changed)
    register(firestore, fleet, 7)
    assert home.get().get("armed_mode") == "away"
    assert word.get().to_dict() == changed
    other = firestore.collection("safe_words").document("home-0002").get().to_dict()
    assert other == home_safe_word(7, "home-0002").document()
    entry = firestore.collection("directory").document("home-0001").get()
    assert entry.get("phones") == directory_entry(7, "home-0001").phones


def test_only_the_kitchens_air_sensor_is_near_cooking():
    near = {sensor["id"] for sensor in gateway_sensors() if sensor.get("near_cooking")}
    assert near == {"air-kitchen"}
