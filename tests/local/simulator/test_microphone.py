"""Where a microphone's sounds come from."""

import numpy as np
import pytest
import soundfile

from local.simulator.fire import Fire, recorded_fire, smoke_alarm_s
from local.simulator.life import Heard
from local.simulator.microphone import SYNTHESIS, Sounds
from schemas.features import SAMPLE_HZ
from schemas.readings import log_mel, sound_levels

TONE_HZ = 1_000.0


@pytest.fixture
def recordings(tmp_path):
    """A folder as HEARTHWATCH_RECORDINGS names it: one bark (a tone, to be told apart), one fire."""
    audio = tmp_path / "esc10" / "audio"
    audio.mkdir(parents=True)
    t = np.arange(2 * 44_100) / 44_100
    soundfile.write(audio / "bark.ogg", 0.5 * np.sin(2 * np.pi * TONE_HZ * t), 44_100)
    (tmp_path / "esc10" / "meta.csv").write_text(
        "filename,fold,category,clip_licence\nbark.ogg,1,dog,CC-BY\n"
    )
    nist = tmp_path / "nist_fires" / "NIST_Smoke_Alarms"
    nist.mkdir(parents=True)
    rows = "".join(f"{second},{20 + second / 2}\n" for second in range(0, 200, 2))
    (nist / "NIST_Smoke_Alarms_SDC99.csv").write_text(f"TIME,TCB_3\n{rows}")
    (nist / "Activation_Times.csv").write_text("SDC99-Pho1B,SDC99-Ion1B\n52,31\n")
    return tmp_path


def _peak_hz(audio):
    spectrum = np.abs(np.fft.rfft(audio))
    return np.fft.rfftfreq(audio.size, 1 / SAMPLE_HZ)[spectrum.argmax()]


def test_recordings_play_where_there_are_some_and_synthesis_elsewhere(recordings):
    rng = np.random.default_rng(1)
    sounds = Sounds(recordings)
    assert _peak_hz(sounds.audio(rng, "dog_bark")) == pytest.approx(TONE_HZ, abs=2)
    assert _peak_hz(Sounds().audio(rng, "dog_bark")) != pytest.approx(TONE_HZ, abs=2)
    assert sounds.audio(np.random.default_rng(2), "glass_break").size > SAMPLE_HZ // 2


@pytest.mark.parametrize("name", sorted(SYNTHESIS))
def test_every_sound_renders_at_its_level(name):
    heard = [Heard(20.0, 0.0, name, 80.0)]
    payload = Sounds().render(np.random.default_rng(3), heard)
    levels = sound_levels(payload)
    assert levels[18] < 50
    assert 74 <= levels[20:26].max() <= 84
    assert 18_000 <= payload.loudest_ms <= 26_000
    assert log_mel(payload).max() > 100


def test_real_fire_brings_its_real_alarm_time(recordings):
    curve = recorded_fire(recordings, np.random.default_rng(1))
    assert (curve.test, curve.room) == ("SDC99", "B")
    assert Fire(10.0, curve).alarm == 10 + 31
    assert recorded_fire(None, np.random.default_rng(1)) is None
    assert Fire(10.0).alarm == 10 + int(smoke_alarm_s())


def test_smoke_alarm_of_the_growing_fire_answers_when_those_of_nist_did():
    # NIST's flaming fires: 22 to 43 s (ion) and 42 to 108 s (photo) after ignition.
    assert 22 <= smoke_alarm_s() <= 43
