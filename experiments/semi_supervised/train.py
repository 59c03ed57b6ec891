"""Train on few labels: the data, the networks, and a picture of what they decide."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, PRNGKeyArray
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from experiments.core import loop, metrics
from experiments.core.seeds import SeedTrainer, batch_trainer
from experiments.core.step import Metrics, Recipe
from experiments.data import augment, few, semi
from experiments.models.cnn import CNN
from experiments.models.mlp import MLP
from experiments.semi_supervised.losses import Numbers

MOONS, DIGITS = "two moons, 6 labels", "digits, 50 labels"
Groups = Mapping[str, tuple[few.Pool, int]]  # what to learn from, and how many labels there are
X, Y = np.linspace(-2.0, 2.0, 121), np.linspace(-1.3, 1.3, 81)
COLOURS = {"cmap": ListedColormap(("#0072B2", "#E69F00")), "vmin": 0, "vmax": 1}


def recipe_of(pool: few.Pool, loss: Any, numbers: Numbers) -> Recipe:
    """An MLP for points and digits, a small CNN for pictures; the averaged weights are scored."""
    k, shape = pool.num_classes, pool.x.shape[1:]
    pictures = pool.x.dtype == jnp.uint8

    def augmented(key: PRNGKeyArray, x: Array) -> Array:
        if pictures:
            return augment.crop_flip(key, x)
        key_shift, key_noise = jax.random.split(key)
        moved = augment.shift(key_shift, x) if x.ndim == 4 else x
        noise = 0.1 * jax.random.normal(key_noise, x.shape)
        return jnp.where(numbers.augmented, moved + noise, x)

    mlp, cnn = partial(MLP, int(np.prod(shape)), 64, k), partial(CNN, k, channels=shape[-1])
    return Recipe(
        make_model=lambda rngs: cnn(rngs=rngs) if pictures else mlp(rngs=rngs),
        optimizer=optax.adamw(2e-3, weight_decay=numbers.weight_decay),
        loss=partial(loss, augment=augmented, numbers=numbers),
        ema=0.99,
    )


def groups_of(data: str | None) -> Groups:
    """Two moons and digits, or 250 pictures with labels."""
    try:
        pool = few.pool(data)
    except (OSError, ValueError) as error:
        raise loop.Stop(str(error)) from error
    if data is None:
        return {MOONS: (semi.two_moons(), 6), DIGITS: (pool, 50)}
    return {f"{pool.title}, 250 labels": (pool, 250)}


def study_of(pool: few.Pool, loss: Any) -> SeedTrainer:
    """Trainer for all seeds of one loss; `.apply` gives the logits anywhere."""

    def score(model: Any, rows: semi.Rows) -> Metrics:
        logits = model(semi.inputs(pool, rows.test), train=False)
        return metrics.classification(logits, pool.y[rows.test])

    look = lambda model, x: model(x, train=False)
    take = partial(semi.batch, pool=pool, size=50)
    small = pool.x.dtype != jnp.uint8  # otherwise one seed after the other, which saves memory
    return batch_trainer(partial(recipe_of, pool, loss), take, score, look=look, at_once=small)


class Fitted(NamedTuple):
    """All seeds of a method."""

    pool: few.Pool
    rows: semi.Rows
    scores: Mapping[str, np.ndarray]
    hits: Bool[np.ndarray, "seeds tests"]  # which tests are right at the end
    ask: Callable[[Array], Array]  # x [n, ...] -> the second class's probability [seeds, n]


class Fit:
    """Trains all seeds of a method; one program for all calls with the same group and loss."""

    def __init__(self, groups: Groups):
        self.groups = groups
        self.study = cache(lambda group, loss: study_of(groups[group][0], loss))

    def __call__(
        self,
        group: str,
        loss: Any,
        numbers: Numbers,
        *,
        seeds: Sequence[int],
        choosing: bool,
        checks: int,
        every: int,
        tick: Callable[[int], None] = lambda n: None,
    ) -> Fitted:
        """Train all seeds; score `checks` times, each a tick, after `every` steps.

        `choosing` tests on what the seeds' draws leave over.
        """
        (pool, labels), study = self.groups[group], self.study(group, loss)
        keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
        rows = jax.vmap(partial(semi.draw, pool=pool, labels=labels, choosing=choosing))(keys)
        times = {"steps": checks * every, "every": every, "tick": lambda n: tick(1)}
        state, scores = study.fit(numbers, rows, seeds=seeds, **times)
        hits = study.apply(numbers, state, semi.inputs(pool, rows.test)).argmax(-1)

        def ask(x: Array) -> Array:
            logits = study.apply(numbers, state, jnp.broadcast_to(x, (len(seeds), *x.shape)))
            return jax.nn.softmax(logits)[..., 1]

        return Fitted(pool, rows, scores, np.asarray(hits == pool.y[rows.test]), ask)


def draw_moons(path: Path, found: Mapping[str, Fitted]) -> None:
    """What each method's first seed decides between two moons; labelled points are large."""
    columns = -(-len(found) // 2)
    figure = Figure(figsize=(3.6 * columns, 5.3), layout="constrained")
    panes = figure.subplots(2, columns, squeeze=False).ravel()
    grid = jnp.asarray(np.stack(np.meshgrid(X, Y), axis=-1).reshape(-1, 2), jnp.float32)
    for axes, (name, fitted) in zip(panes, found.items(), strict=False):
        x, y = np.asarray(fitted.pool.x), np.asarray(fitted.pool.y)
        mine, others = (np.asarray(rows[0]) for rows in fitted.rows[:2])
        image = np.reshape(fitted.ask(grid)[0], (len(Y), len(X)))
        axes.pcolormesh(X, Y, image, cmap="PuOr_r", vmin=0, vmax=1, alpha=0.55, rasterized=True)
        axes.contour(X, Y, image, [0.5], colors="#333333", linewidths=1.2)
        axes.scatter(*x[others].T, s=1.5, lw=0, color="#555555")
        axes.scatter(*x[mine].T, c=y[mine], s=60, ec="black", lw=1, zorder=3, **COLOURS)
        axes.set(aspect="equal", xlim=X[[0, -1]], ylim=Y[[0, -1]], xticks=(), yticks=())
        axes.set_title(f"{name}: {100 * fitted.scores['error'][0, -1]:.1f} % error", size=10)
    figure.suptitle(f"{MOONS.capitalize()}: the first seed's decisions", size=11)
    figure.savefig(path, dpi=130)
