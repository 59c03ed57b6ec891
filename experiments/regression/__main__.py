"""Does mixup help where targets are numbers, and does it matter who is mixed with whom?

The tables are scikit-learn's diabetes and two made ones, the angle along a spiral in the plane and
a wave of one variable; with --data, also UCI's airfoil self-noise and abalone (rings as a number).
A quarter of a table, at most 1,000 rows, is set aside for testing, the same for all seeds; each
seed trains on others, half of the table or 1,000 rows. A small MLP learns standardised targets by
squared error, in 600 steps of AdamW on batches of 32. Mixup averages examples that were drawn at
random; C-Mixup prefers partners with a near target; "nearest 5" takes a partner among the nearest
examples; manifold mixup averages a hidden layer; column CutMix swaps whole columns. Targets are
mixed in proportion. All seeds train at once (vmap), each with the same split, initial weights and
batches under every method, so that differences are paired. The numbers of each method, three
candidates for each but plain training, and the step at which early stopping ends are chosen for
each table by ten other seeds, on rows that are neither trained on nor set aside.

Pass rule, fixed before the run: the interval of C-Mixup's paired gain over mixup lies above 0 at
the last step on the spiral, and on half or more of the other tables that are not made.
"""

import dataclasses
import functools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax
from jaxtyping import Array, PRNGKeyArray

from experiments.data import regression_tables as tables
from experiments.harness import cli, intervals, plots
from experiments.harness.choose import Scores, by_last_error
from experiments.harness.jobs import Task
from experiments.harness.rules import Claim, above, passed
from experiments.harness.runs import Run, checksum
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table
from experiments.regression import train
from experiments.regression.train import KERNEL, NEAREST, SWAPPED, Method

EVERY = 50  # steps between two scores
ALPHAS = (0.2, 0.5, 2.0)
METHODS: dict[str, dict[str, Any]] = {
    "plain": {"plain": Method()},
    "weight decay": {f"weight decay {w}": Method(weight_decay=w) for w in (0.1, 1.0, 3.0)},
    "mixup": {f"mixup α={a}": Method(a) for a in ALPHAS},
    "C-Mixup": {f"C-Mixup h={h}": Method(2.0, KERNEL, h) for h in (0.03, 0.1, 0.3)},
    "nearest 5": {f"nearest 5 α={a}": Method(a, NEAREST) for a in ALPHAS},
    "manifold mixup": {f"manifold mixup α={a}": Method(a, layer=1.0) for a in ALPHAS},
    "column CutMix": {f"column CutMix α={a}": Method(a, layer=SWAPPED) for a in ALPHAS},
}
MADE = ("spiral", "wave")
TABLE = Table(
    columns=(
        Column("last", "last_error"),
        Column("gain", "last_error", gain=True),
        Column("stopped", "stopped_error"),
        Column("stopped's gain", "stopped_error", gain=True),
    ),
    caption="last, stopped: root mean squared error on test rows in % of the target's standard "
    "deviation on training rows, at the last step and at the one that was best on other rows. "
    "Gains: points of each below plain training, paired by seed.",
    options="--data uci_tables.npz",
    interval=intervals.FIXED_TEST,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Learn numbers from tables, with partners of several kinds."""

    out: Path = Path("results/regression")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    data: Path | None = None
    """An .npz file of UCI's tables, for airfoil and abalone."""
    smoke: cli.Flag = False
    """100 steps, two seeds and one table, into OUT/smoke: shows that everything works."""
    seeds: cli.Seeds = 10
    """Number of paired seeds, at least two."""
    steps: Annotated[int, cli.Whole(EVERY, EVERY)] = 600
    """How long each network trains, a multiple of 50."""


def make_fit(config: Config, found: dict[str, tables.Table]) -> Callable[..., Scores]:
    """A function that trains all seeds of one candidate on a table."""
    trainer_of = functools.cache(lambda group: train.study_of(found[group]))

    @partial(jax.jit, static_argnums=3)
    def drawn(keys: PRNGKeyArray, x: Array, y: Array, choosing: bool) -> tables.Data:
        return jax.vmap(lambda key: tables.draw(key, x, y, choosing=choosing))(keys)

    def fit(method: Method, task: Task) -> Scores:
        table = found[task.group]
        data = drawn(task.keys, table.x, table.y, task.choosing)
        sizes = {"seeds": task.seeds, "steps": config.steps, "every": EVERY}
        return trainer_of(task.group).fit(method, data, **sizes, tick=task.tick)[1], {}

    return fit


def verdict(names: list[str], runs: list[Run]) -> str:
    """On which tables C-Mixup gains, and the verdict."""
    claims = {name: Claim(name, "C-Mixup", over="mixup") for name in names}
    gains = {name: claim.gain(runs, TABLE.interval) for name, claim in claims.items()}
    won = [name for name, gain in gains.items() if above()(gain)]
    real = [name for name in names if name not in MADE]
    enough = "spiral" in won and 2 * len(set(won) & set(real)) >= len(real)
    return (
        "Gain of C-Mixup over mixup at the last step: "
        f"{', '.join(f'{name} {gain}' for name, gain in gains.items())}. Pass rule (above 0 on "
        f"the spiral and half of {', '.join(real)}): {passed(enough)}."
    )


def main(config: Config) -> int:
    """Choose, train what is missing, then print and write the comparison."""
    config = cli.ready(config, steps=2 * EVERY, seeds=2)
    with cli.one_sentence():
        found = {table.name: table for table in tables.load(config.data)}
    if config.smoke:
        found = {"spiral": found["spiral"]}
    sums = {name: checksum(table.x) for name, table in found.items()}
    search, work = by_last_error(METHODS, make_fit(config, found))
    study = Study(
        out=config.out,
        title=f"Regression, {config.seeds} paired seeds, {config.steps} steps",
        name="regression",
        config=config,
        facts={"tables": sums},
        groups=found,
        methods=METHODS,
        seeds=config.seeds,
        ticks=config.steps,
        work=work,
        table=TABLE,
        plot=partial(
            plots.gains,
            xlabel="points of error in % of the target's deviation, paired",
            interval=TABLE.interval,
        ),
        rule=None if config.smoke else partial(verdict, list(found)),
        search=search,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("regression", Config, main, __doc__)
