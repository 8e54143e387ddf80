"""Recordings are read by folder, and their licence decides what may shape weights."""

import csv
import logging

import numpy as np
import pytest
import soundfile

from local import recordings


def _write_csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def folder(tmp_path):
    """A miniature of the recordings' folder."""
    esc = [
        {"filename": "1-a.ogg", "fold": 1, "category": "dog", "clip_licence": "CC0"},
        {"filename": "2-b.ogg", "fold": 2, "category": "rooster", "clip_licence": "CC-Sampling+"},
        {"filename": "3-gone.ogg", "fold": 3, "category": "dog", "clip_licence": "CC0"},
    ]
    _write_csv(tmp_path / "esc10" / "meta.csv", esc)
    _write_csv(tmp_path / "sesa" / "meta.csv", [{"path": "train/siren_1.flac", "label": "siren"}])
    tone = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    for path in ("esc10/audio/1-a.ogg", "esc10/audio/2-b.ogg", "sesa/train/siren_1.flac"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / path, np.stack([tone, tone], axis=1), 44_100)
    seconds = range(0, 122, 2)
    fire = [
        {"TIME": s, "TCA_3": 20 + max(s - 60, 0), "GASA_1": 0.01, "GASA_3": 0.05 + max(s - 70, 0) / 100}
        for s in seconds
    ]
    base = tmp_path / "nist_fires" / "NIST_Smoke_Alarms"
    _write_csv(base / "NIST_Smoke_Alarms_SDC35.csv", fire)
    _write_csv(base / "Activation_Times.csv", [{"Act": -1, "SDC35-Ion1A": 90, "SDC35-Pho1A": 75}])
    return tmp_path


def test_without_the_variable_there_is_one_line_and_nothing_to_play(caplog):
    with caplog.at_level(logging.WARNING):
        folder = recordings.recordings_folder({})
    assert folder is None
    assert len(caplog.records) == 1
    assert "HEARTHWATCH_RECORDINGS" in caplog.records[0].getMessage()
    assert recordings.sounds(None) == recordings.fires(None) == recordings.rooms(None) == []


def test_a_folder_that_is_not_there_is_named(caplog):
    with caplog.at_level(logging.WARNING):
        assert recordings.recordings_folder({"HEARTHWATCH_RECORDINGS": "/nowhere"}) is None
    assert "/nowhere is no folder" in caplog.text


def test_licences_decide_what_may_be_trained_on(folder):
    found = {(r.corpus, r.path.name): r.trainable for r in recordings.sounds(folder)}
    assert found == {
        ("esc10", "1-a.ogg"): True,
        ("esc10", "2-b.ogg"): False,
        ("sesa", "siren_1.flac"): False,
    }


def test_audio_is_mono_at_16_khz_whatever_the_file(folder):
    audio = recordings.sounds(folder)[0].audio()
    assert audio.dtype == np.float32
    assert audio.size == pytest.approx(16_000, abs=2)
    assert np.abs(np.fft.rfft(audio)).argmax() == pytest.approx(440, abs=1)


def test_a_fire_is_read_by_place_at_one_hertz_with_its_first_alarm(folder):
    (curve,) = recordings.fires(folder)
    assert (curve.test, curve.room, curve.alarm_s) == ("SDC35", "A", 75.0)
    assert curve.air.shape == (121, 6)
    assert curve.air[100, 3] == pytest.approx(60)
    assert curve.air[50, 0] == pytest.approx(420)  # nothing above the analyser's noise yet
    assert curve.air[110, 0] > 3000
    assert np.isnan(curve.air[:, [2, 4, 5]]).all()
