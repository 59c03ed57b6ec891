"""Does mixup need fewer labels?

Networks learn scikit-learn's 1,797 digits from n of them, as many of each class as can be, with and
without shifts by a pixel; another half tests. All train for the same number of steps: fewer
examples come round more often. All seeds train at once (vmap), each with the same examples (those
of a smaller n are among those of a larger), initial weights and order under every method, so that
differences are paired. Weight decay, label smoothing and the epoch at which early stopping ends
are chosen for each n on ten other draws. --data takes pictures, as CIFAR-10's training part, in
place of the digits: a small CNN, crops and flips, and 2,000 others for testing.

"Labels saved" is how many labels plain training would need for the error that mixup has with n,
over n: between the sizes that were run, along the logarithm of n, and none beyond them, so that it
is given for those in between. Its interval is of 2,000 bootstraps of the seeds.

Pass rule, fixed before the run: with 100 labels (pictures: 1,000) the interval of the paired gain
of mixup α = 1 over plain training lies above 0, both with and without augmentation.
"""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array
from rich.console import Console

from experiments.alpha import rule
from experiments.core import classify, loop
from experiments.core.methods import Method
from experiments.core.seeds import epoch_trainer
from experiments.core.step import Recipe
from experiments.data import augment, few
from experiments.harness import choose, cli, plots
from experiments.harness import runs as report
from experiments.models.cnn import CNN
from experiments.models.mlp import MLP

CLAIM = "mixup α=1"
METHODS = choose.BASELINES | {
    "mixup α=0.2": {"mixup α=0.2": Method(alpha=0.2)},
    CLAIM: {CLAIM: Method(alpha=1.0)},
    "mixup α=8": {"mixup α=8": Method(alpha=8.0)},
    "CutMix α=1": {"CutMix α=1": Method(alpha=1.0, cutmix=1.0)},
}
SETTINGS = {"without augmentation": 0.0, "with augmentation": 1.0}
TABLE = report.Table(
    columns=(
        report.Column("last", "last_error"),
        report.Column("gain", "last_error", gain=True),
        report.Column("stopped", "stopped_error"),
        report.Column("stopped's gain", "stopped_error", gain=True),
        report.Column("NLL", "nll", digits=2),
        report.Column("ECE", "ece"),
    ),
    caption="last, stopped: test error in %, at the end, and at the epoch that was best on other "
    "draws. Gains: points of each below plain training, paired by seed. weight decay, label "
    "smoothing: the value that was best on other draws. ECE: points.",
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train on few labels, with and without augmentation."""

    out: Path = Path("results/few_labels")
    """Where runs.jsonl, table.md and plot.png go. A run that was stopped goes on from there."""
    data: str | None = None
    """Pictures, as cifar10, or what else `experiments.data.images` reads; for a GPU."""
    smoke: cli.Flag = False
    """Two epochs and two seeds, into OUT/smoke: shows that everything works, and nothing else."""
    seeds: int = 10
    """How many paired seeds, two or more."""
    epochs: int = 80
    """How long each network trains; an epoch has as many steps for each n, those of the largest."""


def recipe_of(pool: few.Pool, numbers: tuple[Method, Array]) -> Recipe:
    """An MLP for the digits; a small CNN, and bytes that are scaled after mixing, for pictures."""
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


def make_work(config: Config, pool: few.Pool, groups: dict[str, tuple[int, float]]) -> Any:
    """The function that trains all seeds of one candidate at one n."""
    study = epoch_trainer(partial(recipe_of, pool), batch=50)
    draw = jax.jit(jax.vmap(partial(few.draw, pool=pool), in_axes=(0, None)))

    def work(group: str, numbers: Method, first: int, tick: choose.Tick) -> Any:
        n, augmented = groups[group]
        keys = jax.vmap(jax.random.key)(first + jnp.arange(config.seeds))
        data = few.split(pool, *draw(keys, n))
        return study.fit((numbers, augmented), data, epochs=config.epochs, tick=tick)[1], {}

    return work


def judge(pool: few.Pool, runs: list[report.Run]) -> str:
    """The labels that mixup saves, and the verdict."""
    sizes, said, gains = np.array(pool.sizes), [], []
    for setting in SETTINGS:
        group = f"{{}} labels, {setting}".format
        errors = lambda of, method: [*report.by_seed(runs, of, method, "last_error").values()]
        plain, mixed = (
            np.array([errors(group(n), method) for n in sizes]).T for method in ("plain", CLAIM)
        )
        saved = list(zip(sizes, *rule.labels_saved(sizes, plain, mixed), strict=True))[1:-1]
        shown = [f"{n}: {x:.2f} ({low:.2f} to {high:.2f})" for n, x, low, high in saved]
        said.append(f"{setting}, {', '.join(shown)}")
        gains.append(report.paired(runs, group(pool.main), "plain", CLAIM))
    return (
        "Labels saved (those that plain training needs for the error of mixup α=1, over mixup's): "
        f"{'; '.join(said)}. Pass rule (gain with {pool.main} labels, intervals above 0): "
        f"{', '.join(f'{gain:+.1f} ± {half:.1f}' for gain, half in gains)}, "
        f"{'PASS' if all(gain > half for gain, half in gains) else 'FAIL'}."
    )


def main(config: Config) -> int:
    """Choose, train what is missing, then print and write the comparison."""
    config = cli.smoke(config, epochs=2, seeds=2) if config.smoke else config
    try:
        pool = few.pool(config.data)
    except (OSError, ValueError) as error:
        raise loop.Stop(str(error)) from error
    pool = pool._replace(sizes=(pool.sizes[0], pool.main)) if config.smoke else pool
    groups = {f"{n} labels, {name}": (n, on) for name, on in SETTINGS.items() for n in pool.sizes}
    settings = {"experiment": "few_labels", "data": pool.title, "epochs": config.epochs}
    sizes = {"seeds": config.seeds, "epochs": config.epochs}
    console, work = Console(), make_work(config, pool, groups)
    runs = choose.run(console, config.out, settings, groups, METHODS, work=work, **sizes)
    panels = {name: [group for group in groups if group.endswith(name)] for name in SETTINGS}
    axes = {"x": {group: n for group, (n, _) in groups.items()}, "xlabel": "labels", "log": True}
    plot = partial(plots.against, panels=panels, ylabel="test error at the end, %", **axes)
    title = f"{pool.title} with few labels, {config.seeds} paired seeds, {config.epochs} epochs"
    shown = {"table": TABLE, "plot": plot, "verdict": judge(pool, runs)}
    report.write(config.out, console, title, runs, list(METHODS), **shown)
    return 0


if __name__ == "__main__":
    cli.main("few_labels", Config, main, __doc__)
