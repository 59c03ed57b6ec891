"""A head on frozen embeddings: its network, and the data of a seed."""

import functools
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jax_mixup as jm
from experiments.core import classify
from experiments.core.classify import by_shape
from experiments.core.methods import Method
from experiments.core.seeds import SeedTrainer, epoch_trainer
from experiments.core.step import Recipe
from experiments.data.embeddings import Corpus
from experiments.data.split import Split, corrupt
from experiments.data.tables import standardise
from experiments.models.mlp import MLP

LEARNING_RATE = 1e-3
HELD_OUT = 10  # one sentence in ten, where a corpus has no part of its own to choose by


class Kind(NamedTuple):
    """What needs a program of its own; numbers do not."""

    linear: bool = False  # no hidden layers
    dropout: bool = False


class Sizes(NamedTuple):
    """The head's widths, and the examples in a step."""

    inputs: int
    hidden: int
    outputs: int
    batch: int


class Linear(nnx.Module):
    """One linear layer: logistic regression."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        self.last = nnx.Linear(inputs, outputs, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "b f"],
        *,
        train: bool = False,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "b k"]:
        return self.last(x)


def recipe_of(kind: Kind, sizes: Sizes, method: Method) -> Recipe:
    """AdamW on a head."""
    inputs, hidden, outputs, _ = sizes
    rate = method.dropout if kind.dropout else 0.0

    def make_model(rngs: nnx.Rngs) -> nnx.Module:
        if kind.linear:
            return Linear(inputs, outputs, rngs=rngs)
        return MLP(inputs, hidden, outputs, dropout=rate, rngs=rngs)

    return classify.recipe(
        make_model,
        optax.adamw(LEARNING_RATE, weight_decay=method.weight_decay),
        by_shape(partial(jm.sample_mixup, alpha=method.alpha)),
        smoothing=method.smoothing,
    )


@functools.cache
def trainer_of(kind: Kind, sizes: Sizes) -> SeedTrainer:
    """Methods that differ in numbers share it."""
    return epoch_trainer(partial(recipe_of, kind, sizes), batch=sizes.batch)


def draw(corpus: Corpus, seeds: Sequence[int], noise: float, *, held_out: bool) -> Split:
    """The corpus with each seed's wrong labels; test labels are true.

    Features have mean 0 and deviation 1 over the training sentences.

    Args:
      corpus: embeddings and true classes.
      seeds: whose labels.
      noise: the probability that a training label is replaced by a random one.
      held_out: test on sentences to choose by, which are a random tenth of the training sentences,
        for each seed another, if the corpus has no such part.
    """
    classes, parts = int(corpus.y.max()) + 1, []
    for seed in seeds:
        # Training takes the last two of these four keys.
        key_part, key_wrong, _, _ = jax.random.split(jax.random.key(seed), 4)
        x, y, x_test, y_test = corpus.x, corpus.y, corpus.x_test, corpus.y_test
        if held_out and len(corpus.y_held):
            x_test, y_test = corpus.x_held, corpus.y_held
        elif held_out:
            order = np.asarray(jax.random.permutation(key_part, len(y)))
            rest, mine = np.split(order, [len(y) - len(y) // HELD_OUT])
            x, y, x_test, y_test = x[rest], y[rest], x[mine], y[mine]
        given = corrupt(key_wrong, jnp.asarray(y), noise, classes)
        x, x_test = standardise(jnp.asarray(x), jnp.asarray(x_test))
        parts.append(Split(x, given, given != y, x_test, jnp.asarray(y_test)))
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *parts)
