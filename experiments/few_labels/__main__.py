"""Does mixup need fewer labels?

Networks learn scikit-learn's 1,797 digits from n of them, with the classes as balanced as possible,
with and without shifts by a pixel. All train for the same number of steps, so that fewer examples
are seen more often. All seeds train at once (vmap), each with the same examples (those of a smaller
n are among those of a larger), initial weights and order under every method, so that differences
are paired. All seeds test on the same 599 digits, and draw theirs from half of all, which each of
them draws from the others. For each n, weight decay is chosen from four candidates, label smoothing
from three, and for each method the epoch at which early stopping ends, by ten other seeds and the
300 digits that each of them leaves over; each α is a method of its own. --data takes pictures, as
CIFAR-10's training part, in place of the digits: a small CNN, crops and flips, 2,000 others for
testing and 2,000 to choose by.

"Labels saved" is the number of labels that plain training would need for the error that mixup has
with n, divided by n. It is interpolated between the sizes that were run, along the logarithm of n,
and not beyond them, so that it is given only for the sizes in between. Its interval comes from
2,000 bootstraps of the seeds, and does not cover other test examples.

Pass rule, fixed before the run: with 100 labels (pictures: 1,000) the interval of the paired gain
of mixup α = 1 over plain training lies above 0, both with and without augmentation.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from experiments.alpha.rule import labels_saved
from experiments.core import classify
from experiments.core.methods import Method
from experiments.core.seeds import epoch_trainer
from experiments.core.step import Recipe
from experiments.data import augment, few
from experiments.harness import cli, intervals, plots
from experiments.harness.choose import BASELINES, OUTSIDE, Scores, by_last_error
from experiments.harness.jobs import Task
from experiments.harness.rules import Claim, Rule
from experiments.harness.runs import Run
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table
from experiments.models.cnn import CNN
from experiments.models.mlp import MLP

CLAIM = "mixup α=1"
METHODS = BASELINES | {
    "mixup α=0.2": {"mixup α=0.2": Method(alpha=0.2)},
    CLAIM: {CLAIM: Method(alpha=1.0)},
    "mixup α=8": {"mixup α=8": Method(alpha=8.0)},
    "CutMix α=1": {"CutMix α=1": Method(alpha=1.0, cutmix=1.0)},
}
SETTINGS = {"without augmentation": 0.0, "with augmentation": 1.0}
TABLE = Table(
    columns=(
        Column("last", "last_error"),
        Column("gain", "last_error", gain=True),
        Column("stopped", "stopped_error"),
        Column("stopped's gain", "stopped_error", gain=True),
        Column("NLL", "nll", digits=2),
        Column("ECE", "ece"),
    ),
    caption="last, stopped: test error in %, at the end, and at the epoch that was best on other "
    "draws. Gains: points of each below plain training, paired by seed. weight decay, label "
    "smoothing: the value that was best on other draws. ECE: points.",
    interval=intervals.SHARED,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train on few labels, with and without augmentation."""

    out: Path = Path("results/few_labels")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    data: str | None = None
    """Pictures that `experiments.data.images` reads, such as cifar10; for a GPU."""
    smoke: cli.Flag = False
    """Two epochs and two seeds, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 10
    """Number of paired seeds, at least two."""
    epochs: cli.Count = 80
    """How long each network trains; for each n an epoch has the steps of the largest n."""


def recipe_of(pool: few.Pool, numbers: tuple[Method, Array]) -> Recipe:
    """An MLP for the digits; for pictures a small CNN, and bytes that are scaled after mixing."""
    (method, augmented), k, channels = numbers, pool.num_classes, pool.x.shape[-1]
    pictures = pool.x.dtype == jnp.uint8
    move = augment.crop_flip if pictures else augment.shift
    mlp, cnn = partial(MLP, 64, 64, k), partial(CNN, k, channels=channels)
    return classify.recipe(
        make_model=lambda rngs: cnn(rngs=rngs) if pictures else mlp(rngs=rngs),
        optimizer=optax.adamw(2e-3, weight_decay=method.weight_decay),
        draw=method.draw,
        prepare=lambda key, x, y: (jnp.where(augmented, move(key, x), x), y),
        normalise=lambda x: x / 255 if pictures else x,
        smoothing=method.smoothing,
    )


def make_fit(
    config: Config, pool: few.Pool, groups: dict[str, tuple[int, float]]
) -> Callable[[Method, Task], Scores]:
    """A function that trains all seeds of one candidate at one n."""
    trainer = epoch_trainer(partial(recipe_of, pool), batch=50)

    @partial(jax.jit, static_argnums=2)
    def drawn(keys: Any, n: Any, choosing: bool) -> Any:
        return jax.vmap(lambda key: few.draw(key, n, pool=pool, choosing=choosing))(keys)

    def fit(numbers: Method, task: Task) -> Scores:
        n, augmented = groups[task.group]
        data = few.split(pool, *drawn(task.keys, n, task.choosing))
        sizes = {"seeds": task.seeds, "epochs": config.epochs, "tick": task.tick}
        state, scores = trainer.fit((numbers, augmented), data, **sizes)
        hits = trainer.apply((numbers, augmented), state, data.x_test).argmax(-1) == data.y_test
        return scores, {}, np.asarray(hits)

    return fit


def saved(pool: few.Pool, runs: list[Run], setting: str) -> str:
    """The labels that mixup saves at each size but the first and the last."""

    def errors(method: str) -> np.ndarray:
        """Of all seeds and sizes, and of each test example where the runs say it."""
        groups = [f"{n} labels, {setting}" for n in pool.sizes]
        mine = [[r for r in runs if (r["group"], r["method"]) == (g, method)] for g in groups]
        hits = [[intervals.unpacked(run.get("hits")) for run in row] for row in mine]
        if all(own is not None for row in hits for own in row):
            return 100.0 - 100.0 * np.array(hits).swapaxes(0, 1)
        return np.array([[run["last_error"] for run in row] for row in mine]).T

    sizes = np.array(pool.sizes)
    found = zip(sizes, *labels_saved(sizes, errors("plain"), errors(CLAIM)), strict=True)
    shown = [f"{n}: {x:.2f} ({low:.2f} to {high:.2f})" for n, x, low, high in [*found][1:-1]]
    return f"{setting}, {', '.join(shown)}"


def verdict(pool: few.Pool, runs: list[Run]) -> str:
    """The labels that mixup saves, and the verdict."""
    rule = Rule(
        f"Pass rule (gain with {pool.main} labels, intervals above 0): {{0}}, {{1}}, {{verdict}}.",
        tuple(Claim(f"{pool.main} labels, {setting}", CLAIM) for setting in SETTINGS),
        interval=intervals.SHARED,
    )
    return (
        "Labels saved (those that plain training needs for the error of mixup α=1, over mixup's): "
        f"{'; '.join(saved(pool, runs, setting) for setting in SETTINGS)}. {rule(runs)}"
    )


def main(config: Config) -> int:
    """Choose, train what is missing, then print and write the comparison."""
    config = cli.ready(config, epochs=2, seeds=2)
    with cli.one_sentence():
        pool = few.pool(config.data)
    if config.smoke:
        pool = pool._replace(sizes=(pool.sizes[0], pool.main))
    groups = {f"{n} labels, {name}": (n, on) for name, on in SETTINGS.items() for n in pool.sizes}
    search, work = by_last_error(METHODS, make_fit(config, pool, groups), other=OUTSIDE)
    plot = partial(
        plots.against,
        x={group: n for group, (n, _) in groups.items()},
        panels={name: [group for group in groups if group.endswith(name)] for name in SETTINGS},
        xlabel="labels",
        ylabel="test error at the end, %",
        log=True,
        interval=intervals.SHARED,
    )
    study = Study(
        out=config.out,
        title=f"{pool.title} with few labels, {config.seeds} paired seeds, {config.epochs} epochs",
        name="few_labels",
        config=config,
        facts={"pictures": pool.title},
        groups=groups,
        methods=METHODS,
        seeds=config.seeds,
        ticks=config.epochs,
        work=work,
        table=TABLE,
        plot=plot,
        rule=partial(verdict, pool),
        search=search,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("few_labels", Config, main, __doc__)
