"""Features: from networks that learn without labels, from others, and from none."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from experiments.contrastive import losses, probe
from experiments.contrastive.losses import Encoder
from experiments.core.seeds import SeedTrainer, batch_trainer
from experiments.core.step import Recipe, Task
from experiments.data import few, semi
from experiments.models.cnn import CNN
from experiments.models.mlp import MLP

FEATURES, BATCH = 128, 64


class Candidate(NamedTuple):
    """How features are made, and how they are used."""

    task: str = ""  # of contrastive_losses.METHODS, or "supervised", or none: the pixels
    temperature: float = 0.2
    rate: float = 2e-3
    decay: float = 1e-4
    penalty: float = 0.0  # of the probe


class Data(NamedTuple):
    """Indices into a pool, and how many of those with labels are used."""

    rows: semi.Rows
    labels: Int[Array, ""]


class Learned(NamedTuple):
    """Features of all seeds, with labels in the order in which they are used."""

    x: Float[np.ndarray, "s n d"]
    y: Int[np.ndarray, "s n"]
    x_test: Float[np.ndarray, "s m d"]
    y_test: Int[np.ndarray, "s m"]
    predicted: Int[np.ndarray, "s m"] | None  # the network's own classes of the tests


def batch(key: PRNGKeyArray, data: Data, *, pool: few.Pool) -> semi.Batch:
    """Examples with labels, of those that are used, and others, of all in the training half."""
    rows, (key_own, key_all) = data.rows, jax.random.split(key)
    own = rows.labelled[jax.random.randint(key_own, (BATCH,), 0, data.labels)]
    everything = jnp.concatenate([rows.labelled, rows.unlabelled])
    some = everything[jax.random.randint(key_all, (BATCH,), 0, len(everything))]
    return semi.Batch(semi.inputs(pool, own), pool.y[own], semi.inputs(pool, some))


def recipe_of(pool: few.Pool, task: str, numbers: Candidate) -> Recipe:
    """AdamW on an MLP for digits, on a small CNN for pictures."""
    pictures, supervised = pool.x.dtype == jnp.uint8, task == "supervised"
    views = losses.picture_views if pictures else losses.digit_views

    def make_model(rngs: Any) -> Encoder:
        cnn = partial(CNN, FEATURES, channels=pool.x.shape[-1])
        mlp = partial(MLP, int(np.prod(pool.x.shape[1:])), 128, FEATURES)
        outputs = pool.num_classes if supervised else 32
        body = cnn(rngs=rngs) if pictures else mlp(rngs=rngs)
        return Encoder(body, FEATURES, outputs, rngs=rngs)

    def loss(given: Task) -> Any:
        key_views, key_model = jax.random.split(given.key)
        if supervised:
            logits = given.student(views(key_views, given.batch.x), train=True, key=key_model)
            return losses.cross_entropy(logits, given.batch.y).mean(), {}
        method, given = (
            losses.METHODS[task],
            given._replace(batch=given.batch.unlabelled),
        )
        return losses.contrast(given, views=views, method=method, temperature=numbers.temperature)

    return Recipe(make_model, optax.adamw(numbers.rate, weight_decay=numbers.decay), loss)


def learner(pool: few.Pool, *, steps: int) -> Callable[[Candidate, int, range, bool], Learned]:
    """A function (candidate, number of labels, seeds, choosing) -> what they learned.

    What does not depend on the labels is learned once for all numbers of them. `choosing` tests on
    what the seeds' draws leave over.
    """

    @cache
    def study(task: str) -> SeedTrainer:
        look = lambda model, x: (model.body(x, train=False), model(x, train=False).argmax(-1))
        take, score = partial(batch, pool=pool), lambda model, data: {}
        small = pool.x.dtype != jnp.uint8  # otherwise one seed after the other, which saves memory
        recipe = partial(recipe_of, pool, task)
        return batch_trainer(recipe, take, score, look=look, at_once=small)

    @cache
    def learned(how: Candidate, labels: int, seeds: range, choosing: bool) -> Learned:
        keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
        draw = partial(semi.draw, pool=pool, labels=max(pool.sizes), choosing=choosing)
        rows = jax.vmap(draw)(keys)
        x, x_test = (semi.inputs(pool, part) for part in (rows.labelled, rows.test))
        predicted, y, y_test = None, pool.y[rows.labelled], pool.y[rows.test]
        if how.task:
            numbers = how._replace(task=0)  # a name is not a number, and the trainer knows the task
            data = Data(rows, jnp.full(len(seeds), labels))
            trained, times = study(how.task), {"steps": steps, "every": steps // 4}
            state, _ = trained.fit(numbers, data, seeds=seeds, **times, tick=lambda n: None)
            (x, _), (x_test, predicted) = (
                trained.apply(numbers, state, part) for part in (x, x_test)
            )
        flat = lambda x: np.asarray(x, np.float64).reshape(*x.shape[:2], -1)
        own = np.asarray(predicted) if how.task == "supervised" else None
        return Learned(flat(x), np.asarray(y), flat(x_test), np.asarray(y_test), own)

    def call(how: Candidate, labels: int, seeds: range, choosing: bool) -> Learned:
        used = labels if how.task == "supervised" else 0
        return learned(how._replace(penalty=0.0), used, seeds, choosing)

    return call


def probed(
    learned: Learned, labels: int, *, penalty: float
) -> tuple[Bool[np.ndarray, "s m"], Bool[np.ndarray, "s m"]]:
    """Which tests the linear probe (or the network itself) and the neighbour get right."""
    linear, near = [], []
    for seed, (x, y, x_test, y_test) in enumerate(zip(*learned[:4], strict=True)):
        x, y = x[:labels], y[:labels]
        if learned.predicted is None:
            predicted = probe.ridge(x, y, x_test, penalty=penalty)
        else:
            predicted = learned.predicted[seed]
        linear.append(predicted == y_test)
        near.append(probe.nearest(x, y, x_test) == y_test)
    return np.array(linear), np.array(near)
