"""Keras 3 on its JAX backend: mix in `train_step`, then let Keras do the rest of the step.

- On JAX, `train_step` is a pure function of a state and a batch, which Keras compiles. Its state is
  the variables of model, layers, optimizer and metrics, in this order.
- The key is `fold_in(key, step)`. The step is the first variable of the optimizer, which is saved
  with the model. Take it from `state`: while `fit` runs, the variables themselves hold no value, so
  that `self.optimizer.iterations`, and a `keras.random.SeedGenerator` outside of a layer, fail.
- Labels are one-hot, as `CategoricalCrossentropy` needs them. The loss and accuracy that `fit`
  reports are those of mixed examples: compare models by `evaluate`.
"""

import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")  # Keras reads it when it is imported

import jax
import keras
import numpy as np

import jax_mixup as jm
from experiments.examples.data import CLASSES, pictures

QUIET: Any = 0  # Keras takes it, although its types name strings only


class Mixing(keras.Model):
    """A model that trains on mixed examples; all other methods are those of `keras.Model`."""

    def train_step(self, state, data):
        images, labels = data
        step = state[2][0]  # the optimizer's variables; the first counts the steps
        key = jax.random.fold_in(jax.random.key(0), step)  # mixing
        mixed = jm.mixup_or_cutmix(key, images, labels)  # mixing
        return super().train_step(state, mixed)  # mixing


def make_model():
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 60, offset=-110 / 60)(inputs)
    x = keras.layers.Conv2D(16, 3, strides=2, activation="relu")(x)
    x = keras.layers.Conv2D(32, 3, strides=2, activation="relu")(x)
    outputs = keras.layers.Dense(CLASSES)(keras.layers.GlobalMaxPooling2D()(x))
    return Mixing(inputs, outputs)  # mixing: it was keras.Model


def data(seed, count):
    images, ids = pictures(seed, count)
    return images.astype(np.float32), np.eye(CLASSES, dtype=np.float32)[ids]


def main():
    if keras.backend.backend() != "jax":
        raise RuntimeError("this example needs KERAS_BACKEND=jax, set before keras is imported")
    model = make_model()
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(5e-3), loss, metrics=["accuracy"])
    train, test = data(seed=1, count=2048), data(seed=2, count=512)
    before, _ = model.evaluate(*test, batch_size=256, verbose=QUIET)
    history = model.fit(*train, batch_size=64, epochs=5, verbose=QUIET).history
    for epoch, loss in enumerate(history["loss"]):
        print(f"epoch {epoch}: mixed loss {loss:.2f}, accuracy {history['accuracy'][epoch]:.2f}")
    after, accuracy = model.evaluate(*test, batch_size=256, verbose=QUIET)
    print(f"clean loss {before:.2f} to {after:.2f}, accuracy {accuracy:.2f}")
    return {"before": before, "after": after, "accuracy": accuracy}


if __name__ == "__main__":
    main()
