"""How `experiments.regression` trains: a small MLP, and the ways to mix rows of a table."""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int32, PRNGKeyArray

import jax_mixup as jm
from experiments.core.seeds import SeedTrainer, batch_trainer
from experiments.core.step import Metrics, Recipe, Task
from experiments.data.regression_tables import Data, Table
from experiments.models.mlp import MLP

RANDOM, KERNEL, NEAREST = range(3)
SWAPPED = -1.0  # in place of a layer


class Method(NamedTuple):
    """A way to train as numbers, all of which may be traced."""

    alpha: float = 0.0  # λ ~ Beta(α, α); 0 is off
    partners: float = RANDOM
    bandwidth: float = 1.0  # of the kernel, in standard deviations of the target
    layer: float = 0.0  # whose features are averaged, 0 the input's; or SWAPPED: columns
    weight_decay: float = 0.0


def loss(
    column: Int32[np.ndarray, "d"], method: Method, task: Task
) -> tuple[Float[Array, ""], Metrics]:
    """Squared error to the mixed targets."""
    (x, y), (key_pair, key_mix) = task.batch, jax.random.split(task.key)
    pairings = (  # in the order of RANDOM, KERNEL, NEAREST
        lambda: jm.partner_index(jm.reverse(), len(y)),
        lambda: jm.by_label_kernel(key_pair, y, method.bandwidth),
        lambda: jm.nearest(key_pair, x, k=5),
    )
    partner = jax.lax.switch(jnp.int32(method.partners), pairings)
    options: Any = {"alpha": method.alpha, "pairing": partner}
    mix = jm.sample_mixup(key_mix, y.shape, **options)
    cells = jm.sample_gridmix(key_mix, (len(y), int(column[-1]) + 1), per="example", **options)
    # A text's columns go together: a mixture of two texts' columns is not a text.
    cells = dataclasses.replace(cells, mask=cells.mask[:, column])
    swaps = method.layer == SWAPPED
    tap = lambda i, h: jnp.where(method.layer == i, jm.blend(mix, h), h)
    predicted = task.student(jnp.where(swaps, jm.blend(cells, x), x), train=True, tap=tap)[:, 0]
    target = jnp.where(swaps, jm.blend_labels(cells, y), jm.blend_labels(mix, y))
    return jnp.square(predicted - target).mean(), {}


def study_of(table: Table) -> SeedTrainer:
    """Trainer for all seeds of a method on a table's splits."""

    def recipe_of(method: Method) -> Recipe:
        return Recipe(
            make_model=lambda rngs: MLP(table.x.shape[1], 64, 1, rngs=rngs),
            optimizer=optax.adamw(2e-3, weight_decay=method.weight_decay),
            loss=partial(loss, table.column, method),
        )

    def batch_of(key: PRNGKeyArray, data: Data) -> tuple[Array, Array]:
        rows = jax.random.randint(key, (32,), 0, len(data.y))
        return data.x[rows], data.y[rows]

    def score(model: Any, data: Data) -> Metrics:
        missed = model(data.x_test, train=False)[:, 0] - data.y_test
        return {"error": jnp.sqrt(jnp.square(missed).mean())}

    return batch_trainer(recipe_of, batch_of, score)
