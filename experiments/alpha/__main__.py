"""How should α be chosen?

MLPs that are 8, 32 and 128 wide learn scikit-learn's 1,797 digits, half for training and half for
testing, with 0 to 60 % of the training labels replaced by random ones, at ten values of α; 0 is
plain training. All seeds train at once (vmap), and α is traced, so that each width is compiled
once. Each seed has the same split, wrong labels, initial weights and order at every α, so that
differences are paired.

The α with the lowest mean error at each width and noise gives a rule of thumb by least squares,

    log₂ α = a + b · noise + c · log₂ width,

where α = 0 counts as 0.05, and the result is rounded to the nearest α that was run. The regret of
the rule is the number of points by which its error exceeds that of the best α, each time at a width
and noise that the rule was not fitted to. The best α is known only in hindsight, so the regrets are
slightly too high.

Pass rule, fixed before the run: the rule's mean regret is below that of every constant α.
"""

import dataclasses
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray

import jax_mixup as jm
from experiments.alpha import rule
from experiments.core import classify
from experiments.core.classify import by_shape
from experiments.core.seeds import epoch_trainer
from experiments.core.step import Recipe
from experiments.data import digits, split
from experiments.harness import cli, intervals, plots
from experiments.harness.jobs import Task, Work
from experiments.harness.rules import passed
from experiments.harness.runs import Run, by_seed, seed_results
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table
from experiments.models.mlp import MLP

ALPHAS = (0, 0.1, 0.2, 0.5, 1, 2, 4, 8, 16, 32)
METHODS = {f"α={alpha}" if alpha else "plain": alpha for alpha in ALPHAS}
RATES = {f"{rate} % noise": rate / 100 for rate in (0, 20, 40, 60)}
TABLE = Table(
    columns=(
        Column("last", "last_error"),
        Column("best", "best_error"),
        Column("gain", "last_error", gain=True),
        Column("NLL", "nll", digits=2),
        Column("ECE", "ece"),
        Column("gap", "gap"),
    ),
    caption="last, best: test error in %, at the last epoch and at the best one, which is chosen "
    "on the test set. gain: points of last error below plain training, paired by seed. ECE, gap "
    "(confidence - accuracy): points.",
    interval=intervals.halves(),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train over α, width and noise, and fit a rule of thumb for α."""

    out: Path = Path("results/alpha")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    smoke: cli.Flag = False
    """Two epochs and two seeds, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 10
    """Number of paired seeds, at least two."""
    epochs: cli.Count = 80
    """How long each network trains."""
    widths: tuple[cli.Count, ...] = (8, 32, 128)
    """Widths of both hidden layers."""


def recipe_of(width: int, alpha: Array) -> Recipe:
    return classify.recipe(
        make_model=lambda rngs: MLP(64, width, digits.NUM_CLASSES, rngs=rngs),
        optimizer=optax.adamw(2e-3, weight_decay=0.0),
        draw=by_shape(partial(jm.sample_mixup, alpha=alpha)),
    )


def make_work(config: Config, cells: dict[str, tuple[int, str]]) -> Work:
    """A function that trains all seeds of one α in one cell."""
    trainers = {
        width: epoch_trainer(partial(recipe_of, width), batch=50) for width in config.widths
    }

    @jax.jit
    @partial(jax.vmap, in_axes=(0, None))
    def halves(key: PRNGKeyArray, noise: float) -> split.Split:
        x, y = digits.digits()
        return split.split(key, x, y, train=len(y) // 2, noise=noise)

    def work(task: Task) -> list[dict]:
        (width, rate), alpha = cells[task.group], METHODS[task.method]
        data = halves(task.keys, RATES[rate])
        sizes = {"seeds": task.seeds, "epochs": config.epochs}
        _, scores = trainers[width].fit(alpha, data, **sizes, tick=task.tick)
        return seed_results(scores, {}, seeds=task.seeds)

    return work


def verdict(cells: dict[str, tuple[int, str]], runs: list[Run]) -> str:
    """The rule, what it costs, what a constant α costs, and the verdict."""

    def error(group: str, method: str) -> float:
        return float(np.mean([*by_seed(runs, group, method, "last_error").values()]))

    errors = np.array([[error(cell, method) for method in METHODS] for cell in cells])
    offered = np.log2(np.maximum(ALPHAS, 0.05))
    features = np.array([[1, RATES[rate], np.log2(width)] for width, rate in cells.values()])
    a, b, c = fitted = rule.fit_rule(features, offered, errors)
    missed = np.sqrt(np.mean((offered[errors.argmin(axis=1)] - features @ fitted) ** 2))
    regret = rule.regrets(features, offered, errors)
    constant = (errors - errors.min(axis=1, keepdims=True)).mean(axis=0)
    costs = ", ".join(f"{name} {cost:.2f}" for name, cost in zip(METHODS, constant, strict=True))
    return (
        f"The rule, for these data only: log₂ α = {a:.1f} {b:+.1f} · noise {c:+.2f} · log₂ width; "
        f"it misses log₂ of the best α by {missed:.1f} (root mean square). Its mean regret for the "
        f"cell left out is {regret.mean():.2f} points, at most {regret.max():.1f}; that of a "
        f"constant: {costs}. Pass rule (mean regret below every constant's): "
        f"{passed(regret.mean() < constant.min())}."
    )


def plot(
    cells: dict[str, tuple[int, str]], path: Path, title: str, runs: list[Run], methods: list[str]
) -> None:
    """Error against α, with a panel for each width and a line for each noise."""
    turned, x, panels = [], {}, {}
    for run in runs:
        (width, rate), alpha = cells[run["group"]], METHODS[run["method"]]
        group = f"{width}, {alpha}"
        turned.append(run | {"group": group, "method": rate})
        x[group] = alpha
        panels.setdefault(f"width {width}", {})[group] = None
    panels = {name: list(groups) for name, groups in panels.items()}
    options = {"x": x, "panels": panels, "xlabel": "α, 0 is plain training", "log": True}
    options |= {"ylabel": "test error at the end, %", "interval": TABLE.interval}
    plots.against(path, title, turned, list(RATES), **options)


def main(config: Config) -> int:
    """Train what is missing, then print and write the comparison and the rule."""
    config = cli.ready(config, epochs=2, seeds=2, widths=(8,))
    cells = {f"width {w}, {rate}": (w, rate) for w in config.widths for rate in RATES}
    study = Study(
        out=config.out,
        title=f"Digits by α, width and noise, {config.seeds} paired seeds, {config.epochs} epochs",
        name="alpha",
        config=config,
        groups=cells,
        methods=METHODS,
        seeds=config.seeds,
        ticks=config.epochs,
        work=make_work(config, cells),
        table=TABLE,
        plot=partial(plot, cells),
        rule=partial(verdict, cells),
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("alpha", Config, main, __doc__)
