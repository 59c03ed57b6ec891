"""How `experiments.imbalance` trains: each way to treat rare classes as numbers."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

import jax_mixup as jm
from experiments.core.seeds import SeedTrainer, batch_trainer
from experiments.core.step import Metrics, Recipe, Task
from experiments.data.longtail import Data, Pool
from experiments.models.cnn import CNN
from experiments.models.mlp import MLP

MIXUP, REMIX, MAMIX = range(3)
NEVER, DEFERRED = 2.0, 0.8
FREQUENT, MEDIUM = 0.3, 0.7  # the first 3 of 10 classes, the next 4, and the rare rest


class Method(NamedTuple):
    """A way to train as numbers, all of which may be traced."""

    a: float = 0.0  # λ ~ Beta(a, b); 0 is off
    b: float = 0.0
    weight_decay: float = 0.0
    weighed: float = NEVER  # after this fraction of all steps, classes weigh 1 / their counts
    label: float = MIXUP  # how the label's weight follows from λ
    even_rows: float = 0.0  # 1: the batch has all classes alike
    even_partners: float = 0.0  # 1: so have the partners, which are then not examples of the batch


def loss(
    counts: Int[np.ndarray, "k"], steps: int, method: Method, task: Task
) -> tuple[Float[Array, ""], Metrics]:
    """Cross-entropy to the mixed labels, in which each label weighs as its class does."""
    (x, y), (x_even, y_even) = task.batch
    x, y = (jnp.where(method.even_rows > 0, *pair) for pair in ((x_even, x), (y_even, y)))
    others = ((x_even, x[::-1]), (y_even, y[::-1]))
    x_other, y_other = (jnp.where(method.even_partners > 0, *pair) for pair in others)
    # Examples, then their partners: one pairing for partners from the batch and from another one.
    n, both = len(y), jnp.concatenate([y, y_other])
    key_mix, key_model = jax.random.split(task.key)
    law = jm.beta(method.a, method.b)
    mix = jm.sample_mixup(key_mix, both.shape, lam_law=law, pairing=jm.roll(n))
    rules = (lambda: mix, lambda: jm.remix(mix, both, counts), lambda: jm.mamix(mix, both, counts))
    target = jm.blend_labels(
        jax.lax.switch(jnp.int32(method.label), rules), both, num_classes=len(counts)
    )[:n]
    weights = jnp.where(task.step >= method.weighed * steps, 1 / jnp.float32(counts), 1.0)
    mixed = jm.blend(mix, jnp.concatenate([x, x_other]))[:n]
    logits = task.student(mixed, train=True, key=key_model)
    target = target * weights[None, :]
    return -(target * jax.nn.log_softmax(logits)).sum() / target.sum(), {}


def batch_of(counts: Int[np.ndarray, "k"], size: int, key: PRNGKeyArray, data: Data) -> Any:
    """Examples as frequent as they are, and others, equally many of each class."""
    key_rows, key_class, key_place = jax.random.split(key, 3)
    rows = jax.random.randint(key_rows, (size,), 0, len(data.y))
    label = jax.random.randint(key_class, (size,), 0, len(counts))
    place = jax.random.uniform(key_place, (size,)) * jnp.asarray(counts)[label]
    even = jnp.asarray(np.cumsum(counts) - counts)[label] + place.astype(jnp.int32)
    return (data.x[rows], data.y[rows]), (data.x[even], data.y[even])


def score(k: int, model: Any, data: Data) -> Metrics:
    """Means over classes, which need not have equally many tests: all, and by their frequency."""
    missed = model(data.x_test, train=False).argmax(-1) != data.y_test
    own = data.y_test[:, None] == jnp.arange(k)
    errors = (missed[:, None] & own).sum(axis=0) / own.sum(axis=0)
    ids = np.arange(k)
    first, second = ids < FREQUENT * k, ids < MEDIUM * k
    parts = {"frequent": first, "medium": second & ~first, "rare": ~second}
    return {"error": errors.mean(), **{f"{n}_error": errors[p].mean() for n, p in parts.items()}}


def study_of(pool: Pool, counts: Int[np.ndarray, "k"], steps: int) -> SeedTrainer:
    """Trainer for all seeds of a method: an MLP on digits, a small CNN on larger pictures."""
    small, k = pool.x.shape[1] < 16, pool.num_classes
    mlp, cnn = partial(MLP, pool.x[0].size, 128, k), partial(CNN, k, channels=pool.x.shape[-1])

    def recipe_of(method: Method) -> Recipe:
        return Recipe(
            make_model=lambda rngs: mlp(rngs=rngs) if small else cnn(rngs=rngs),
            optimizer=optax.adamw(2e-3, weight_decay=method.weight_decay),
            loss=partial(loss, counts, steps, method),
        )

    take, look = partial(batch_of, counts, 50), lambda model, x: model(x, train=False)
    return batch_trainer(recipe_of, take, partial(score, k), look=look, at_once=small)
