"""Enrolment of the demo fleet: CA, identities, configurations, roster, and first documents.

In `<run>/fleet/`: `ca.pem`, `ca.key`, `roster.jsonl` (schemas.roster), and for each gateway a folder
with `key.pem`, `certificate.der`, `gateway.json` and its outbox. Run again it keeps what is there: a
gateway that changed its key or lost its outbox would be another one. Production keeps the CA's key in a
KMS.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_client.config import GatewayConfig
from edge_client.config_file import checked, file_content, load_config
from edge_client.policy import UplinkPolicy
from edge_client.users import hash_code
from local.simulator import devices, household
from local.simulator.neighbourhood import BACKDATED, roster_entry
from schemas import hearthwatch_v1_pb2 as pb
from schemas.homes import DIRECTORY, HOMES, SAFE_WORDS, DirectoryEntry, HomeStatus, SafeWord, SensorStatus
from schemas.identity import issue_certificate, issue_fleet_ca
from schemas.roster import roster_text
from webapp import safe_word

ROSTER_FILE: Final = "roster.jsonl"
CERTIFICATE: Final = "certificate.der"
PROVER_HOME, PROVER_GATEWAY = "synthetic", "path-prover"
EXIT_DELAY_S: Final = 45  # the shortest that CP-01 allows: a demo should not wait longer
SAFE_WORD: Final = "ember"  # of every home: who plays the resident has to know it
_CA_YEARS, _GATEWAY_YEARS = 10, 2
_DOCUMENTS_PER_WRITE: Final = 400  # Firestore takes 500

_KIND_NAMES: Final = {
    pb.SENSOR_KIND_MOTION: "motion",
    pb.SENSOR_KIND_SOUND: "sound",
    pb.SENSOR_KIND_AIR: "air",
    pb.SENSOR_KIND_CONTACT: "contact",
    pb.SENSOR_KIND_SMOKE: "smoke",
    pb.SENSOR_KIND_BUTTON: "button",
}
# Telephone numbers that Germany's regulator keeps free for film and print (Bundesnetzagentur,
# "Drama numbers"): city, region, postcode, prefix and number of digits that follow.
_CITIES: Final = (
    ("Berlin", "Berlin", "10997", "+49 30 23125", 3),
    ("Hamburg", "Hamburg", "22765", "+49 40 66969", 3),
    ("Köln", "Nordrhein-Westfalen", "50733", "+49 221 4710", 3),
    ("Frankfurt am Main", "Hessen", "60385", "+49 69 90009", 3),
    ("München", "Bayern", "81541", "+49 89 99998", 3),
)
_MOBILE: Final = ("+49 171 39200", 2)
# Invented, so that no real door is named.
_TIME_ZONE: Final = "Europe/Berlin"
_STREETS: Final = (
    "Ahornzeile", "Am Lindenhain", "Birkengang", "Drosselstieg", "Eschenwinkel", "Fährsteig",
    "Ginsterpfad", "Haselgrund", "Im Kirschfeld", "Kastanienbogen", "Lerchenzeile", "Mühlenkehre",
    "Quittenstieg", "Rotdornring", "Schlehenhof", "Weidenkamp",
)  # fmt: skip
_FIRST: Final = (
    "Amira", "Anton", "Clara", "Deniz", "Elif", "Emil", "Fatma", "Greta", "Hannes", "Ida", "Jonas",
    "Karim", "Lena", "Mara", "Milan", "Nele", "Oskar", "Paula", "Samuel", "Thea",
)  # fmt: skip
_LAST: Final = (
    "Aydın", "Berger", "Brandt", "Demir", "Ebert", "Fischbach", "Graf", "Hoffmann", "Jansen", "Kaya",
    "Lindner", "Marek", "Nowak", "Osterloh", "Petersen", "Rausch", "Seidel", "Thoma", "Vogt", "Winkler",
)  # fmt: skip


class Member(NamedTuple):
    """One gateway and its home."""

    home_id: str
    gateway_id: str
    config: str  # path of gateway.json, absolute


class Fleet(NamedTuple):
    """Who was enrolled.

    Attributes:
        ca: Path of the CA's certificate, PEM.
        prover: The synthetic gateway; its process is started elsewhere.
    """

    folder: Path
    ca: Path
    members: tuple[Member, ...]
    prover: Member


def enrol(
    run_dir: Path,
    homes: int,
    seed: int,
    *,
    project: str,
    broker_host: str,
    broker_port: int,
    now: dt.datetime,
    bucket: str = "hearthwatch",
    uplink: UplinkPolicy = UplinkPolicy.FULL,
) -> Fleet:
    """Make the fleet's files, keeping identities that exist.

    Args:
        bucket: For hourly objects. uplink: Of the homes' gateways.
        now: UTC; certificates are valid from an hour before.
    """
    folder = run_dir.resolve() / "fleet"
    folder.mkdir(parents=True, exist_ok=True)
    ca, ca_key = _fleet_ca(folder, now)

    def member(home: str, gateway: str, **config: Any) -> Member:
        place = folder / gateway
        place.mkdir(exist_ok=True)
        _identity(place, home, gateway, ca, ca_key, now)
        whole = checked(
            {
                "home_id": home,
                "gateway_id": gateway,
                "key_path": place / "key.pem",
                "certificate_path": place / CERTIFICATE,
                "pubsub": {"project": project},
                "outbox": {
                    "path": place / "outbox.db",
                    "witness_path": place / "outbox.witness",
                    "patience_s": 30,  # a street shares one disk
                },
                "broker": {"host": broker_host, "port": broker_port},
                "objects": {"bucket": bucket},
                **config,
            }
        )
        _write_private(place / "gateway.json", file_content(whole))
        return Member(home, gateway, str(place / "gateway.json"))

    members = tuple(
        member(
            devices.home_id(number),
            devices.gateway_id(number),
            sensors=gateway_sensors(),
            users=_users(seed, number),
            arming={"exit_delay_s": EXIT_DELAY_S},
            uplink={"policy": uplink},
        )
        for number in range(1, homes + 1)
    )
    prover = member(PROVER_HOME, PROVER_GATEWAY, synthetic=True)
    fleet = Fleet(folder, folder / "ca.pem", members, prover)
    roster = [roster_entry(m.home_id, m.gateway_id, folder / m.gateway_id / CERTIFICATE) for m in members]
    fresh = folder / "roster.tmp"
    fresh.write_text(roster_text(roster, int(now.timestamp() * 1e6)))
    os.replace(fresh, folder / ROSTER_FILE)  # a reader sees the old or the new one, never half
    return fleet


def configurations(fleet: Fleet) -> list[GatewayConfig]:
    """The homes' configurations, checked as a gateway process checks them."""
    return [load_config(Path(member.config)) for member in fleet.members]


def register(client: Any, fleet: Fleet, seed: int) -> None:
    """Write first documents of the homes: status and safe word, where there is none yet, and directory.

    Args:
        client: google.cloud.firestore.Client.
    """
    homes, words = (_known(client, name, fleet) for name in (HOMES, SAFE_WORDS))
    for first in range(0, len(fleet.members), _DOCUMENTS_PER_WRITE // 3):
        batch = client.batch()
        for member in fleet.members[first : first + _DOCUMENTS_PER_WRITE // 3]:
            if member.home_id not in homes:
                home = client.collection(HOMES).document(member.home_id)
                batch.set(home, home_status(member).document())
            if member.home_id not in words:
                word = client.collection(SAFE_WORDS).document(member.home_id)
                batch.set(word, home_safe_word(seed, member.home_id).document())
            entry = client.collection(DIRECTORY).document(member.home_id)
            batch.set(entry, directory_entry(seed, member.home_id).document())
        batch.commit(timeout=20)


def _known(client: Any, collection: str, fleet: Fleet) -> set[str]:
    references = [client.collection(collection).document(member.home_id) for member in fleet.members]
    return {snapshot.id for snapshot in client.get_all(references) if snapshot.exists}


def firestore_client(project: str) -> Any:
    """A Firestore client; on the emulator without looking for credentials."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import firestore

    if os.environ.get("FIRESTORE_EMULATOR_HOST"):
        nobody = AnonymousCredentials()
        return firestore.Client(project=project, credentials=nobody)
    return firestore.Client(project=project)


def home_status(member: Member) -> HomeStatus:
    """What is known of a home before its first batch."""
    sensors = {
        device.sensor_id: SensorStatus(kind=_kind_name(device), room=device.room)
        for device in devices.DEVICES
        if device.sensor_id not in (devices.KEYPAD, devices.MAINS)
    }
    return HomeStatus(home_id=member.home_id, gateway_id=member.gateway_id, sensors=sensors)


def directory_entry(seed: int, home: str) -> DirectoryEntry:
    """A household's name, address and telephones: invented, numbers from the ranges for fiction.

    >>> directory_entry(7, "home-0001") == directory_entry(7, "home-0001")
    True
    """
    rng = household.rng_of(seed, _number(home), household.NAMES)
    city, region, postcode, prefix, digits = _CITIES[int(rng.integers(len(_CITIES)))]
    family = _pick(rng, _LAST)
    names = [f"{_pick(rng, _FIRST)} {family}", f"{_pick(rng, _FIRST)} {_pick(rng, _LAST)} (neighbour)"]
    landline = f"{prefix} {int(rng.integers(10**digits)):0{digits}d}"
    mobile = f"{_MOBILE[0]} {int(rng.integers(10 ** _MOBILE[1])):0{_MOBILE[1]}d}"
    return DirectoryEntry(
        home_id=home,
        address=f"{_pick(rng, _STREETS)} {int(rng.integers(1, 120))}",
        place=f"{postcode} {city}",
        region=region,
        time_zone=_TIME_ZONE,
        phones=[landline, mobile],
        contacts=names,
    )


def home_safe_word(seed: int, home: str) -> SafeWord:
    """The word by which a home cancels an alarm, as it is stored: `SAFE_WORD`, each with its own salt."""
    salt = household.rng_of(seed, _number(home), household.CODE, 2).bytes(16)
    return safe_word.make(home, SAFE_WORD, salt)


def _number(home: str) -> int:
    return int(home.rsplit("-", 1)[1])


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _kind_name(device: devices.Device) -> str:
    names = {devices.KEYPAD: "keypad", devices.MAINS: "mains"}
    return names.get(device.sensor_id) or _KIND_NAMES[device.kind]


def gateway_sensors() -> list[dict[str, Any]]:
    """The devices of every simulated home, as a gateway's configuration lists them."""
    sensors: list[dict[str, Any]] = []
    for device in devices.DEVICES:
        kind = _kind_name(device)
        sensor: dict[str, Any] = {"id": device.sensor_id, "kind": kind, "room": device.room}
        sensor["model"] = f"simulated {kind}"
        if device.sensor_id == devices.FRONT_DOOR:
            sensor["role"] = "entry"
        if device in devices.AIR and device.room == devices.KITCHEN:
            sensor["near_cooking"] = True
        sensors.append(sensor)
    return sensors


def _users(seed: int, number: int) -> list[dict[str, Any]]:
    code = household.keypad_code(seed, number)
    salt = household.rng_of(seed, number, household.CODE, 1).bytes(16)
    return [{"id": "resident", "code_hash": hash_code(code, salt)}]


def _fleet_ca(folder: Path, now: dt.datetime) -> tuple[x509.Certificate, Ed25519PrivateKey]:
    key_file, certificate_file = folder / "ca.key", folder / "ca.pem"
    if key_file.exists() and certificate_file.exists():
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{key_file} holds {type(key).__name__}, limit: Ed25519")
        return x509.load_pem_x509_certificate(certificate_file.read_bytes()), key
    key = Ed25519PrivateKey.generate()
    ca = issue_fleet_ca(key, not_before=now - BACKDATED, not_after=now + dt.timedelta(days=365 * _CA_YEARS))
    _write_private(key_file, _pem(key))
    certificate_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    return ca, key


def _identity(
    place: Path, home: str, gateway: str, ca: x509.Certificate, ca_key: Ed25519PrivateKey, now: dt.datetime
) -> None:
    if (place / CERTIFICATE).exists():
        return
    key = Ed25519PrivateKey.generate()
    certificate = issue_certificate(
        ca,
        ca_key,
        key.public_key(),
        home_id=home,
        gateway_id=gateway,
        not_before=now - BACKDATED,
        not_after=now + dt.timedelta(days=365 * _GATEWAY_YEARS),
    )
    _write_private(place / "key.pem", _pem(key))
    (place / CERTIFICATE).write_bytes(certificate)


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_private(path: Path, data: bytes) -> None:
    """Readable by its owner only, from the first byte on."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
