"""The shipped models tell apart signals that they have not seen (a small seeded sample of synthesis).

A floor, not a figure of merit: figures with intervals, real ones among them, are on the model cards.
"""

import numpy as np
import pytest

from local.signals import room, sound
from local.signals.air import Activity, RoomAir
from local.training import examples, sounds
from schemas.features import air_features
from serving import cards
from serving.interpreter import LiteRtModel, open_card

SEED = 77_777_777  # neither the seed of training nor that of the cards' tests


def _model(family: str) -> LiteRtModel:
    return open_card(cards.find(family))


def _accuracy(model: LiteRtModel, made: examples.Examples) -> float:
    return float((model.probabilities(made.inputs).argmax(axis=1) == made.labels).mean())


@pytest.mark.parametrize(
    ("family", "make", "count", "floor"),
    [
        ("motion", examples.motion_examples, 40, 0.9),
        ("contact", examples.contact_examples, 40, 0.9),
        ("air", examples.air_examples, 3, 0.9),
        ("sound", sounds.synthetic_examples, 6, 0.8),
    ],
    ids=["motion", "contact", "air", "sound"],
)
def test_unseen_synthetic_signals_are_told_apart(family, make, count, floor):
    assert _accuracy(_model(family), make(np.random.default_rng(SEED), count)) >= floor


@pytest.mark.parametrize(
    ("family", "classes"),
    [
        ("motion", examples.MOTION_CLASSES),
        ("contact", examples.CONTACT_CLASSES),
        ("air", examples.AIR_CLASSES),
        ("sound", sounds.CLASSES),
    ],
    ids=["motion", "contact", "air", "sound"],
)
def test_a_card_names_the_classes_in_the_order_of_training(family, classes):
    assert cards.read_card(cards.find(family)).classes == classes


def test_glass_in_a_simulated_minute_is_heard_above_talk():
    rng = np.random.default_rng(SEED)
    model, heard = _model("sound"), []
    for _ in range(10):
        clips = [room.Clip(8, sound.speech(rng, 2.0), 55.0), room.Clip(30, sound.glass_break(rng), 85.0)]
        heard.append(room.minute_sound(rng, clips)[0])
    glass = model.card.classes.index("glass_break")
    assert (model.probabilities(np.array(heard)).argmax(axis=1) == glass).mean() >= 0.7


def test_a_fire_next_to_the_sensor_is_fire_and_an_empty_room_is_not():
    model = _model("air")
    fire = model.card.classes.index("fire")
    for seed in range(5):
        air = RoomAir(np.random.default_rng(SEED + seed))
        air.settle(Activity(people=1), 3600)
        calm = air_features(air.minute(Activity()))
        air.ignite("medium")
        air.minute(Activity())
        burning = air_features(air.minute(Activity()))
        scores = model.probabilities(np.stack([calm, burning]))
        assert scores[0, fire] < 0.5 < scores[1, fire]
