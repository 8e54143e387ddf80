"""A worker follows the registry, and what it cannot take never takes away what serves."""

from __future__ import annotations

import gc
import logging
import re
import shutil
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from google.api_core.exceptions import ServiceUnavailable
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud.storage.exceptions import DataCorruption

from serving import cards, live
from serving.cards import ModelCard
from serving.handlers import NOTHING, CloseModelHandler, CloseScores, ReadingModelHandler
from serving.live import LiveModel, ModelSource
from serving.objects import BucketStore
from tests.serving.models import KeptRegistry, shipped

BLOCK = np.zeros((3, 10), np.float32)


@pytest.fixture
def registry(tmp_path: Path) -> KeptRegistry:
    kept = KeptRegistry(tmp_path / "registry")
    kept.add("1")
    return kept


@pytest.fixture
def source(tmp_path: Path, registry: KeptRegistry, monkeypatch: pytest.MonkeyPatch) -> ModelSource:
    monkeypatch.setattr(live, "_OPEN", weakref.WeakValueDictionary())  # each test is a process of its own
    return ModelSource(
        registry=str(tmp_path / "registry"),
        trusted_pem=registry.signer.public_pem,
        cache=str(tmp_path / "cache"),
        refresh_s=0.05,
    )


def _live(source: ModelSource) -> LiveModel:
    return LiveModel(source, "contact", start=False)


def _version(model: LiveModel) -> str:
    assert model.current
    return model.current.card.model_version


def test_a_promotion_and_a_rollback_are_followed_by_the_next_batch(registry, source) -> None:
    handler = ReadingModelHandler("contact", source)
    model = handler.load_model()

    def said() -> str:
        ((first, *_),) = handler.run_inference([BLOCK], model)
        return first.model_version

    def wait_for(version: str) -> None:
        deadline = time.monotonic() + 20
        while said() != version:
            assert time.monotonic() < deadline, f"still {said()}"
            time.sleep(0.02)

    assert said() == "contact-1"
    registry.add("2")
    wait_for("contact-2")
    registry.rollback("contact", registry.signer, by="bo")
    wait_for("contact-1")


def test_the_shadow_is_a_model_of_its_own_and_mostly_there_is_none(registry, source) -> None:
    handler = ReadingModelHandler("contact", source, "shadow")
    shadow = LiveModel(source, "contact", state="shadow", start=False)
    assert list(handler.run_inference([BLOCK], shadow)) == [[NOTHING] * 3]
    registry.add("2", to="shadow")
    shadow.refresh()
    assert _version(shadow) == "contact-2"
    fleet = _live(source)
    assert _version(fleet) == "contact-1"
    registry.move("contact-2", "candidate", registry.signer, by="bo")
    shadow.refresh()
    assert shadow.current is None


def test_what_is_promoted_from_the_shadow_is_not_opened_a_second_time(registry, source) -> None:
    registry.add("2", to="shadow")
    shadow, fleet = LiveModel(source, "contact", state="shadow", start=False), _live(source)
    watched = shadow.current
    registry.move("contact-2", "fleet", registry.signer, by="bo")
    fleet.refresh()
    shadow.refresh()
    assert fleet.current is watched
    assert shadow.current is None


def _file(registry: Path, name: str) -> Path:
    return registry / "versions" / "contact-2" / name


def _corrupt(folder: Path, registry: KeptRegistry) -> None:
    registry.add("2")
    shutil.rmtree(folder.parent / "cache")  # a machine that has them needs no bucket
    path = _file(folder, "contact-2.tflite")
    path.write_bytes(path.read_bytes()[:-1] + b"\x00\x01")


def _missing(folder: Path, registry: KeptRegistry) -> None:
    registry.add("2")
    shutil.rmtree(folder.parent / "cache")
    _file(folder, "contact-2.tflite").unlink()


def _unsigned(folder: Path, registry: KeptRegistry) -> None:
    registry.add("2")
    _file(folder, "signature.json").unlink()


def _incompatible(_: Path, registry: KeptRegistry) -> None:
    card, weights = shipped("contact", "2")
    more = card.model_copy(update={"classes": (*card.classes, "ghost")})
    registry.publish(more, weights, registry.signer, by="test")
    registry.move("contact-2", "shadow", registry.signer, by="test")
    registry.move("contact-2", "fleet", registry.signer, by="test")


def _old_channel(folder: Path, registry: KeptRegistry) -> Callable[[], object]:
    path = folder / "channels" / "contact.json"
    registry.add("2", to="shadow")
    before = path.read_bytes()
    registry.move("contact-2", "candidate", registry.signer, by="test")
    return lambda: path.write_bytes(before)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_corrupt, "has SHA-256"),
        (_missing, "contact-2.tflite is missing"),
        (_unsigned, "signature.json is missing"),
        (_incompatible, "wanted 5 probabilities"),
        (_old_channel, r"has serial 4, this process has seen 5"),
    ],
    ids=["corrupt", "missing", "unsigned", "incompatible", "an old channel brought back"],
)
def test_what_cannot_be_taken_is_refused_with_its_reason_and_the_last_good_version_stays(
    tmp_path: Path, registry, source, caplog, harm, reason
) -> None:
    model = _live(source)
    model.take_counts()
    later = harm(tmp_path / "registry", registry)
    if later:
        model.refresh()
        later()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            model.refresh()
    assert _version(model) == "contact-1"
    assert model.take_counts() == {"models_refused": 3}
    (said,) = [record.getMessage() for record in caplog.records]  # three times refused, said once
    assert "contact-1 stays" in said
    assert re.search(reason, said)


@pytest.mark.usefixtures("registry")
def test_a_worker_that_starts_with_a_broken_registry_serves_what_came_with_the_code(
    tmp_path: Path, source
) -> None:
    (tmp_path / "registry" / "channels" / "contact.json").write_text("{}")
    model = _live(source)
    assert _version(model) == "contact-1"
    assert model.take_counts() == {"models_refused": 1}


def test_a_registry_that_does_not_answer_changes_nothing(registry, source, monkeypatch) -> None:
    registry.add("2")
    model = _live(source)
    monkeypatch.setattr(live.Registry, "channel", _raise_os_error)
    model.refresh()
    assert _version(model) == "contact-2"
    assert model.take_counts() == {"models_loaded": 1, "registry_failures": 1}


class _Client:
    """Cloud Storage's client, whose downloads fail so."""

    def __init__(self, failure: Exception) -> None:
        self._failure = failure

    def bucket(self, _: str) -> _Client:
        return self

    def blob(self, _: str) -> _Client:
        return self

    def download_as_bytes(self, **_: object) -> bytes:
        raise self._failure


@pytest.mark.parametrize(
    "failure",
    [
        GoogleAuthError("could not be renewed"),
        DataCorruption(None, "checksum mismatch"),
        ServiceUnavailable("503"),
        ConnectionError("refused"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_whatever_object_storage_answers_the_last_good_version_stays(
    registry, source, monkeypatch, caplog, failure
) -> None:
    registry.add("2")
    model = _live(source)
    monkeypatch.setattr(model._registry, "_store", BucketStore("gs://models", _Client(failure)))
    model.refresh()
    assert _version(model) == "contact-2"
    assert model.take_counts() == {"models_loaded": 1, "registry_failures": 1}
    assert f"contact-2 stays: channels/contact.json: {failure}" in caplog.text


def test_a_worker_without_credentials_serves_what_came_with_the_code(source, monkeypatch, caplog) -> None:
    def refuse() -> None:
        raise DefaultCredentialsError("no credentials were found")

    monkeypatch.setattr("google.cloud.storage.Client", refuse)
    model = _live(source._replace(registry="gs://models/registry"))
    assert _version(model) == "contact-1"
    assert "no credentials were found" in caplog.text


def test_a_packaged_large_model_stays_until_the_registry_has_one(registry, source) -> None:
    model = LiveModel(source, "sound", "large", start=False)
    packaged = _version(model)
    assert packaged.startswith("sound_large-")
    model.refresh()
    assert _version(model) == packaged
    registry.publish(*_large("9"), registry.signer, by="test")
    model.refresh()
    assert _version(model) == packaged, "a candidate serves nobody"
    registry.move("sound_large-9", "fleet", registry.signer, by="test")
    model.refresh()
    assert _version(model) == "sound_large-9"


def _raise_os_error(*_: object) -> None:
    raise OSError("connection refused")


def test_the_old_copy_is_gone_after_the_swap_and_a_batch_in_flight_keeps_its_model(registry, source) -> None:
    model = _live(source)
    held = model.current
    old = weakref.ref(held)
    registry.add("2")
    model.refresh()
    assert held
    assert held.probabilities(BLOCK).shape == (3, 4)
    del held
    gc.collect()
    assert old() is None
    assert _version(model) == "contact-2"


def test_batches_go_on_while_models_are_swapped(registry, source) -> None:
    model = _live(source)
    registry.add("2")
    wrong: list[object] = []
    stop = threading.Event()

    def score() -> None:
        expected = None
        while not stop.is_set():
            current = model.current
            rows = current.probabilities(BLOCK) if current else None
            expected = rows if expected is None else expected
            if rows is None or not np.array_equal(rows, expected):
                wrong.append(rows)

    threads = [threading.Thread(target=score) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        model.refresh()
        registry.rollback("contact", registry.signer, by="bo")
        model.refresh()
        for state in ("candidate", "shadow", "fleet"):
            registry.move("contact-2", state, registry.signer, by="bo")
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert model.take_counts()["models_loaded"] == 11


def test_the_refreshing_thread_ends_with_its_model(source) -> None:
    model = LiveModel(source, "contact")
    names = [t for t in threading.enumerate() if t.name == "models-contact"]
    assert names
    del model
    deadline = time.monotonic() + 10
    while any(thread.is_alive() for thread in names):
        gc.collect()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_processes_of_a_machine_share_one_file_of_weights_and_repair_it(tmp_path: Path) -> None:
    card, weights = shipped()
    fetched: list[bytes] = []

    def kept() -> Path:
        return live.kept_weights(str(tmp_path), card, lambda: fetched.append(weights) or weights)

    first = kept()
    inode = first.stat().st_ino
    assert kept().stat().st_ino == inode
    assert len(fetched) == 1, "once a machine"
    first.write_bytes(b"spoilt")
    assert kept().read_bytes() == weights
    assert tmp_path.joinpath(first.name).stat().st_mode & 0o022 == 0


@pytest.mark.usefixtures("registry")
def test_a_second_process_of_a_machine_fetches_no_weights(source, monkeypatch) -> None:
    first = _live(source)
    monkeypatch.setattr(live.Registry, "weights", _raise_os_error)
    second = _live(source)
    assert _version(second) == _version(first)
    assert second.take_counts() == {"models_loaded": 1}


def test_without_a_large_model_the_second_step_says_nothing() -> None:
    handler = CloseModelHandler("motion")
    model = handler.load_model()
    assert (model.fleet.current, model.shadow) == (None, None)
    said = list(handler.run_inference([np.zeros(4, np.float32)] * 2, model))
    assert said == [CloseScores(NOTHING, NOTHING)] * 2


def _large(version: str) -> tuple[ModelCard, bytes]:
    card, weights = cards.load(cards.find("sound", tier="large"))
    named = f"sound_large-{version}{Path(card.weights).suffix}"
    return card.model_copy(update={"version": version, "weights": named}), weights


def test_a_large_version_in_the_shadow_looks_at_the_same_readings_and_its_failure_costs_only_its_own(
    registry, source, monkeypatch
) -> None:
    registry.publish(*_large("9"), registry.signer, by="test")
    registry.move("sound_large-9", "shadow", registry.signer, by="test")
    handler = CloseModelHandler("sound", source)
    models = handler.load_model()
    batch = [np.zeros(models.fleet.current.card.input_shape, np.uint8)] * 2
    said = list(handler.run_inference(batch, models))
    assert [(one.fleet.model_version, one.shadow.model_version) for one in said] == [
        (_version(models.fleet), "sound_large-9")
    ] * 2
    assert {one.fleet.probabilities for one in said} == {one.shadow.probabilities for one in said}

    def fail(_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(models.shadow.current, "probabilities", fail)
    again = list(handler.run_inference(batch, models))
    assert again == [CloseScores(one.fleet, NOTHING) for one in said]
