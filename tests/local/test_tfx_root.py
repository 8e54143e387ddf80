"""Where TFX runs: on this system if its glibc is new enough, else in a Debian made for it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from local import tfx_root
from local.config import ROOT, Settings
from local.tools import MissingTool


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path)


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfx_root, "glibc", lambda: (2, 36))


@pytest.fixture
def new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfx_root, "glibc", lambda: (2, 39))


def never(line: str) -> None:
    pytest.fail(f"nothing is to be done, but it said {line!r}")


@pytest.mark.usefixtures("new")
def test_a_new_glibc_runs_it_in_an_environment_of_its_own(settings: Settings) -> None:
    line = tfx_root.command(settings, ["-m", "pipelines.train"])
    assert line[-3:] == [str(tfx_root.folder(settings) / "bin" / "python"), "-m", "pipelines.train"]
    assert "unshare" not in line


@pytest.mark.usefixtures("old")
def test_an_old_one_runs_it_in_the_root_with_only_what_is_bound(settings: Settings, tmp_path: Path) -> None:
    bound = tmp_path / "a folder"
    bound.mkdir()
    line = tfx_root.command(settings, ["-c", "print('it''s')"], binds=[bound])
    assert line[line.index("unshare") :][:3] == ["unshare", "--mount", "--propagation=private"]
    script = line[-1]
    assert f"mount --rbind '{bound}'" in script
    assert f"mount --rbind {ROOT} " in script
    assert script.splitlines()[-1].startswith(f"exec chroot {tfx_root.folder(settings)} /bin/sh -c ")


@pytest.mark.usefixtures("old")
def test_a_repeat_does_nothing_and_takes_no_time(settings: Settings) -> None:
    home = tfx_root.folder(settings)
    home.mkdir(parents=True)
    (home / ".complete").touch()
    began = time.monotonic()
    assert tfx_root.ensure(settings, never) == home
    assert time.monotonic() - began < 1


@pytest.mark.usefixtures("old")
def test_who_may_not_make_a_root_is_told_what_to_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfx_root.os, "geteuid", lambda: 1000)
    with pytest.raises(MissingTool, match=r"this system has 2\.36, and only root may make"):
        tfx_root.ensure(settings, lambda _: None)
