"""The registry: immutable, signed, and it refuses with a reason what it cannot prove."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local import credentials, emulators, parts
from local.config import isolated
from serving.cards import ModelRefused
from serving.channels import BadStep
from serving.objects import NEW, Conflict, FolderStore, Store, StoreFailed, open_store
from serving.signing import BadKey, Signer, TrustedKeys, make_key
from tests.serving.models import KeptRegistry, shipped, signer


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = isolated(tmp_path_factory.mktemp("registry") / "run")
    (gcs,) = [part for part in parts.stand_ins(settings) if part.name == "gcs"]
    with pytest.MonkeyPatch.context() as patch, parts.running(gcs, settings):
        credentials.write(settings)
        for name, value in emulators.client_environment(settings).items():
            patch.setenv(name, value)
        yield f"gs://{settings.bucket}"


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.system)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return FolderStore(tmp_path / "registry")
    return open_store(f"{request.getfixturevalue('bucket')}/{request.node.name}")


def test_what_was_published_is_loaded_as_it_was(store: Store) -> None:
    registry = KeptRegistry(store)
    card, weights = shipped()
    assert registry.publish(card, weights, registry.signer, by="anna", reason="seed") == "contact-1"
    assert registry.load("contact-1") == (card, weights)
    assert registry.resolve("contact") is None
    assert registry.channel("contact").states == {"contact-1": "candidate"}
    registry.move("contact-1", "fleet", registry.signer, by="anna")
    assert registry.resolve("contact") == "contact-1"
    assert registry.lines() == ["contact"]


def test_publishing_again_changes_nothing_and_another_content_is_refused(store: Store) -> None:
    registry = KeptRegistry(store)
    card, weights = shipped()
    for _ in range(2):
        registry.publish(card, weights, registry.signer, by="anna")
    assert registry.channel("contact").serial == 1
    with pytest.raises(ModelRefused, match=r"contact-1\.json is there already with other content"):
        registry.publish(card.model_copy(update={"title": "other"}), weights, registry.signer, by="anna")
    assert registry.load("contact-1").card == card


def test_rollback_brings_back_what_served(store: Store) -> None:
    registry = KeptRegistry(store)
    registry.add("1")
    registry.add("2")
    assert registry.resolve("contact") == "contact-2"
    registry.rollback("contact", registry.signer, by="bo", reason="misses doors")
    assert registry.resolve("contact") == "contact-1"
    with pytest.raises(BadStep, match="nothing served before it"):
        registry.rollback("contact", registry.signer, by="bo")


class _Unsure(FolderStore):
    """Writes, and says that it could not; `first` is what somebody else does before that is said."""

    failure: Exception | None = None

    def first(self) -> None:
        """Nothing."""

    def write(self, name: str, data: bytes, generation: int) -> None:
        super().write(name, data, generation)
        failure, self.failure = self.failure, None
        if failure:
            self.first()
            raise failure


@pytest.mark.parametrize("meanwhile", [False, True], ids=["alone", "while another publishes"])
@pytest.mark.parametrize("failure", [Conflict("not what was written"), StoreFailed("no answer")], ids=str)
def test_a_rollback_of_which_nobody_heard_is_not_done_twice(
    tmp_path: Path, failure: Exception, meanwhile: bool
) -> None:
    store = _Unsure(tmp_path)
    registry = KeptRegistry(store)
    for version in ("1", "2", "3"):
        registry.add(version)
    store.failure = failure
    if meanwhile:
        store.first = lambda: registry.add("4", to="candidate")  # type: ignore[method-assign]
    channel = registry.rollback("contact", registry.signer, by="bo")
    assert registry.resolve("contact") == "contact-2"
    assert channel == registry.channel("contact")


def test_a_change_that_was_not_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = KeptRegistry(tmp_path)
    registry.add("1")
    registry.add("2")

    def refuse(*_: object) -> None:
        raise StoreFailed("no answer")

    monkeypatch.setattr(FolderStore, "write", refuse)
    with pytest.raises(StoreFailed, match="no answer"):
        registry.rollback("contact", registry.signer, by="bo")
    assert registry.resolve("contact") == "contact-2"


def test_a_stale_generation_is_a_conflict_and_the_object_stays(store: Store) -> None:
    store.write("channels/x.json", b"one", NEW)
    first = store.read("channels/x.json")
    assert first
    store.write("channels/x.json", b"two", first.generation)
    for stale in (NEW, first.generation):
        with pytest.raises(Conflict):
            store.write("channels/x.json", b"three", stale)
    second = store.read("channels/x.json")
    assert second
    assert second.data == b"two"
    assert store.names("channels/") == ["channels/x.json"]
    assert store.read("channels/y.json") is None


def test_two_who_change_a_channel_at_once_both_succeed(tmp_path: Path) -> None:
    registry = KeptRegistry(tmp_path)
    names = [str(number) for number in range(1, 5)]
    threads = [threading.Thread(target=registry.add, args=(name, "contact", "candidate")) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    channel = registry.channel("contact")
    assert sorted(channel.states) == [f"contact-{name}" for name in names]
    assert channel.serial == 4


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _resign(path: Path) -> None:
    card = path.with_name("contact-1.json").read_bytes()
    path.write_text(signer().sign("model", card).model_dump_json())


@pytest.mark.parametrize(
    ("file", "harm", "said"),
    [
        ("contact-1.tflite", _flip, "has SHA-256 .*its card says"),
        ("contact-1.tflite", Path.unlink, "contact-1.tflite is missing"),
        ("contact-1.json", _flip, "contact-1 does not bear a signature"),
        ("contact-1.json", Path.unlink, "contact-1.json is missing"),
        ("signature.json", Path.unlink, "signature.json is missing"),
        ("signature.json", lambda path: path.write_text("{}"), "signature.json that is none"),
        ("signature.json", _resign, "is signed by key .*, known"),
    ],
    ids=[
        "corrupt weights",
        "no weights",
        "changed card",
        "no card",
        "unsigned",
        "no signature in it",
        "a stranger's key",
    ],
)
def test_a_version_that_cannot_be_proven_is_refused_and_not_promoted(
    tmp_path: Path, file: str, harm: Callable[[Path], object], said: str
) -> None:
    registry = KeptRegistry(tmp_path)
    registry.add("1", to="candidate")
    harm(tmp_path / "versions" / "contact-1" / file)
    with pytest.raises(ModelRefused, match=said):
        registry.load("contact-1")
    with pytest.raises(ModelRefused, match=said):
        registry.move("contact-1", "fleet", registry.signer, by="anna")
    assert registry.resolve("contact") is None


def test_a_signed_version_that_this_code_cannot_feed_is_refused(tmp_path: Path) -> None:
    registry = KeptRegistry(tmp_path)
    card, weights = shipped()
    with pytest.raises(ModelRefused, match="wants features 2"):
        registry.publish(card.model_copy(update={"feature_version": 2}), weights, registry.signer, by="anna")


@pytest.mark.parametrize("how", ["edited", "signed by a stranger", "signed as a model", "another line's"])
def test_a_forged_channel_is_refused(tmp_path: Path, how: str) -> None:
    registry = KeptRegistry(tmp_path)
    registry.add("1")
    path = tmp_path / "channels" / "contact.json"
    signed = json.loads(path.read_text())
    if how == "edited":
        signed["channel"] = signed["channel"].replace('"fleet"', '"retired"')
    elif how == "signed by a stranger":
        signed["signature"] = signer().sign("channel", signed["channel"].encode()).model_dump()
    elif how == "signed as a model":
        signed["signature"] = registry.signer.sign("model", signed["channel"].encode()).model_dump()
    else:
        path = tmp_path / "channels" / "air.json"
    path.write_text(json.dumps(signed))
    with pytest.raises(ModelRefused, match=r"signed by key|does not bear|holds the channel of contact"):
        registry.resolve(path.stem)


def test_who_is_not_trusted_cannot_publish(tmp_path: Path) -> None:
    registry = KeptRegistry(tmp_path)
    with pytest.raises(ModelRefused, match="is signed by key"):
        registry.publish(*shipped(), signer(), by="mallory")
    assert registry.lines() == []


def test_a_key_file_is_private_and_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "registry.pem"
    made = make_key(path)
    assert path.stat().st_mode & 0o077 == 0
    assert Signer.read(path).public_pem == made.public_pem == path.with_suffix(".pub").read_bytes()
    with pytest.raises(FileExistsError):
        make_key(path)
    trusted = TrustedKeys.read(path.with_suffix(".pub"))
    trusted.verify("x", "model", b"data", made.sign("model", b"data"))
    with pytest.raises(BadKey, match="no public key"):
        TrustedKeys.read(path)
    with pytest.raises(BadKey, match="no private key"):
        Signer.read(path.with_suffix(".pub"))
