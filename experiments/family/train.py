"""How `experiments.family` trains: one network and optimizer for all methods."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray

from experiments.core import metrics
from experiments.core.seeds import batch_trainer
from experiments.core.step import Metrics, Recipe
from experiments.data import augment, digits, images, split
from experiments.family import methods
from experiments.family.methods import PLAIN
from experiments.harness.runs import seed_results
from experiments.models.family import Classifier, WithPolicy

STEPS, CHECKS = 600, 10
SIDE = 16  # of pictures
BATCH = 50
DECAYS = {"weight decay 0.3": 0.3, "weight decay 1": 1.0}


class Pool(NamedTuple):
    """Pictures, how many of them to learn from, and for how long."""

    x: Any
    y: Any
    train: int
    steps: int
    moved: bool  # crops and flips


def pools(data: str | None, *, smoke: bool) -> dict[str, Pool]:
    """The groups of the table: digits, and with `data` pictures."""
    x, y = digits.digits()
    groups = {"digits, 400": Pool(x, y, 400, 20 if smoke else STEPS, moved=False)}
    if data is not None:
        found = images.load(data, train=7000, test=1, resize=SIDE)
        name = f"{found.title} at {SIDE} x {SIDE}"
        steps = 20 if smoke else STEPS
        groups[name] = Pool(found.x, found.y, 5000, steps, moved=True)
    return groups


def make_work(pool: Pool, seeds: range) -> Callable[..., list[dict]]:
    """A function that trains all seeds of one method."""
    losses = methods.table(pool.steps)
    channels, kind = pool.x.shape[-1], pool.x.dtype
    drawn = jax.jit(jax.vmap(lambda key: split.split(key, pool.x, pool.y, train=pool.train)))
    data = drawn(jax.vmap(jax.random.key)(jnp.asarray(seeds)))
    scaled = lambda x: x.astype(jnp.float32) / (255 if kind == np.uint8 else 1)

    def batch_of(key: PRNGKeyArray, data: split.Split) -> Any:
        key_rows, key_move = jax.random.split(key)
        rows = jax.random.choice(key_rows, pool.train, (BATCH,), replace=False)
        x = scaled(data.x[rows])
        return augment.crop_flip(key_move, x) if pool.moved else x, data.y[rows]

    def score(model: Any, data: split.Split) -> Metrics:
        return metrics.classification(model(scaled(data.x_test), train=False), data.y_test)

    def work(name: str, tick: Callable[[int], None]) -> list[dict]:
        loss = losses[PLAIN if name in DECAYS else name]
        policy = WithPolicy if name == "AdaMixUp" else Classifier

        def recipe_of(weight_decay: Array) -> Recipe:
            rate = optax.cosine_decay_schedule(3e-3, pool.steps)
            return Recipe(
                lambda rngs: policy(channels, rngs=rngs),
                optax.adamw(rate, weight_decay=weight_decay),
                lambda task: (loss(task, *task.batch), {}),
                ema=0.99 if "Auto" in name else None,
            )

        # AutoMix and AdAutoMix need a teacher of averaged weights; all methods are scored without.
        study = batch_trainer(recipe_of, batch_of, score, averaged=False)
        decay, every = DECAYS.get(name, 1e-2), pool.steps // CHECKS
        sizes = {"seeds": seeds, "steps": pool.steps, "every": every}
        _, scores = study.fit(decay, data, **sizes, tick=lambda _: tick(1))
        return seed_results(scores, {}, seeds=seeds)

    return work
