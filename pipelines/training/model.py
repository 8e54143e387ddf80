"""What Transform and Trainer run: scaling by the data's mean and spread, and a small net in Keras 3.

The features are those of schemas.features, made when the training table was written; nothing here computes
one. The saved model holds the scaling, so that what it is served is what the table holds.
"""

from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl.public import tfxio

from schemas.features import FEATURE_NAMES
from schemas.labels import CLASSES

INPUTS = "features"  # of the signature that is served
PROBABILITIES = "probabilities"
BATCH = 64


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Named features [n, 1] each → x float32[n, f] of mean 0 and spread 1, label and weight as they are."""
    raw = tf.concat([inputs[name] for name in FEATURE_NAMES[custom_config["family"]]], axis=1)
    return {
        "x": tft.scale_to_z_score(raw, elementwise=True),
        "label_id": inputs["label_id"],
        "weight": inputs["weight"],
    }


def net(inputs: int, classes: int) -> keras.Model:
    """float32[n, inputs], scaled → probabilities float32[n, classes]."""
    seen = keras.Input((inputs,), name="x")
    x = keras.layers.Dense(32, activation="relu")(seen)
    x = keras.layers.Dropout(0.1)(x)
    x = keras.layers.Dense(24, activation="relu")(x)
    return keras.Model(seen, keras.layers.Dense(classes, activation="softmax", name=PROBABILITIES)(x))


def run_fn(arguments: Any) -> None:
    """Train for a fixed number of steps and save with three signatures: see `_Served`."""
    config = arguments.custom_config
    family = config["family"]
    keras.utils.set_random_seed(config["seed"])
    transformed = tft.TFTransformOutput(arguments.transform_output)
    steps = arguments.train_steps
    made = net(len(FEATURE_NAMES[family]), len(CLASSES[family]))
    made.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        "sparse_categorical_crossentropy",
    )
    examples = _examples(arguments.train_files, arguments.data_accessor, transformed, config["seed"])
    made.fit(examples, steps_per_epoch=steps, epochs=1, verbose=0)
    served = _Served(made, transformed, family)
    tf.saved_model.save(served, arguments.serving_model_dir, signatures=served.signatures())


def _examples(files: list[str], accessor: Any, transformed: Any, seed: int) -> Any:
    options = tfxio.TensorFlowDatasetOptions(
        batch_size=BATCH, shuffle=True, shuffle_buffer_size=20_000, shuffle_seed=seed, num_epochs=None
    )
    dataset = accessor.tf_dataset_factory(files, options, transformed.transformed_metadata.schema)
    return dataset.map(lambda read: (read["x"], read["label_id"], read["weight"][:, 0]))


class _Served(tf.Module):
    """The net behind its scaling.

    `served`: features float32[n, f] → probabilities, for LiteRT. `serving_default`: serialized tf.Examples
    → the same, for the Evaluator.
    """

    def __init__(self, made: keras.Model, transformed: Any, family: str) -> None:
        super().__init__()
        self.net = made
        self.scale = transformed.transform_features_layer()
        self._names = FEATURE_NAMES[family]
        self._spec = {name: transformed.raw_feature_spec()[name] for name in self._names}

    def _probabilities(self, raw: dict[str, Any]) -> dict[str, Any]:
        return {PROBABILITIES: self.net(self.scale(raw)["x"], training=False)}

    def signatures(self) -> dict[str, Any]:
        """Name → concrete function."""
        count = len(self._names)

        @tf.function(input_signature=[tf.TensorSpec([None, count], tf.float32, name=INPUTS)])
        def served(features: Any) -> dict[str, Any]:
            return self._probabilities({name: features[:, i : i + 1] for i, name in enumerate(self._names)})

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serving_default(examples: Any) -> dict[str, Any]:
            return self._probabilities(tf.io.parse_example(examples, self._spec))

        return {"served": served, "serving_default": serving_default}
