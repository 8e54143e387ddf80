"""`make train`: its exit codes tell apart what is to be done next."""

from __future__ import annotations

import pytest

from local import train
from local.tools import MissingTool
from pipelines.train import BAD_OPTIONS, DATA_REFUSED, MODEL_REFUSED, PUBLISHED


def test_a_missing_program_is_not_taken_for_a_refused_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> None:
        raise MissingTool("Java is missing")

    monkeypatch.setattr(train.install, "ensure_warehouse", missing)
    assert train.main([]) == train.NOT_HERE
    assert "Java is missing" in capsys.readouterr().err
    codes = [PUBLISHED, BAD_OPTIONS, DATA_REFUSED, MODEL_REFUSED, train.ARCHIVE_UNREADABLE, train.NOT_HERE]
    assert len(set(codes)) == len(codes)
