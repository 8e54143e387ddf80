"""The engine's jars: taken only if they are the ones that the lock file names."""

import hashlib
from pathlib import Path

import pytest

from local import classpath, tools
from local.config import Settings, isolated

JARS = {"first": b"one", "second": b"two"}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A lock file of two jars, and a Maven cache of the user that holds them."""
    lock, maven = tmp_path / "lock.toml", tmp_path / "m2"
    lines = []
    for name, content in JARS.items():
        sha256 = hashlib.sha256(content).hexdigest()
        lines.append(
            f'[[dependencies]]\ngroupId="a.b"\nartifactId="{name}"\nversion="1"\nsha256="{sha256}"\n'
        )
        jar = maven / "a" / "b" / name / "1" / f"{name}-1.jar"
        jar.parent.mkdir(parents=True)
        jar.write_bytes(content)
    lock.write_text("\n".join(lines))
    monkeypatch.setattr(tools, "ENGINE_LOCK", lock)
    monkeypatch.setenv("M2_REPO", str(maven))
    return isolated(tmp_path / "run", cache_dir=tmp_path / "cache")


def test_the_class_path_has_loopback_first_and_then_the_order_of_the_lock(settings: Settings) -> None:
    folder = classpath.fetch(settings, lambda _: None)
    text = (folder / "classpath.args").read_text()
    named = [Path(entry).name for entry in text.removeprefix('-cp "').removesuffix('"\n').split(":")]
    assert named == ["loopback.jar", "first-1.jar", "second-1.jar"]
    assert (folder / "first-1.jar").read_bytes() == JARS["first"]


def test_a_jar_with_another_hash_is_fetched_anew(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m2" / "a" / "b" / "first" / "1" / "first-1.jar").write_bytes(b"spoilt")
    good = tmp_path / "good.jar"
    good.write_bytes(JARS["first"])
    monkeypatch.setattr(classpath, "_download", lambda _artifact: good)
    folder = classpath.fetch(settings, lambda _: None)
    assert (folder / "first-1.jar").read_bytes() == JARS["first"]


def test_a_download_with_another_hash_is_refused_with_both_hashes(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt = tmp_path / "m2" / "a" / "b" / "first" / "1" / "first-1.jar"
    spoilt.write_bytes(b"spoilt")
    monkeypatch.setattr(classpath, "_download", lambda _artifact: spoilt)
    with pytest.raises(classpath.BadDownload) as caught:
        classpath.fetch(settings, lambda _: None)
    for content in (b"spoilt", JARS["first"]):
        assert hashlib.sha256(content).hexdigest() in str(caught.value)
    assert not (tools.engine_dir(settings) / "classpath.args").exists()


def test_every_jar_of_the_real_lock_has_a_hash() -> None:
    import tomllib

    locked = tomllib.loads(tools.ENGINE_LOCK.read_text())["dependencies"]
    assert len(locked) > 100
    assert all(len(one["sha256"]) == 64 for one in locked)
