"""Does mixup help where targets are numbers, and does it matter who is mixed with whom?

scikit-learn's diabetes and two made tables: the angle along a spiral in the plane, and a wave of
one variable; with --data, UCI's airfoil self-noise and abalone (rings as a number). A random half
of a table, at most 1,000 rows, is for training, and at most 1,000 others are for testing. A small
MLP learns standardised targets by squared error, 600 steps of AdamW on batches of 32. Mixup
averages rows that were drawn at random; C-Mixup prefers partners with a near target; "nearest 5"
takes a partner among the nearest rows; manifold mixup averages a hidden layer; column CutMix swaps
whole columns. Targets are mixed in proportion. All seeds train at once (vmap), each with the same
split, initial weights and batches under every method, so that differences are paired. The numbers
of each method, three candidates for each, and the step at which early stopping ends are chosen for
each table on other splits.

Pass rule, fixed before the run: the interval of C-Mixup's paired gain over mixup lies above 0 at
the last step on the spiral, and on half or more of the other tables that are not made.
"""

import dataclasses
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console

from experiments.core import loop
from experiments.data import regression_tables as tables
from experiments.harness import choose, cli, plots
from experiments.harness import runs as report
from experiments.regression import train
from experiments.regression.train import KERNEL, NEAREST, SWAPPED, Method

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
TABLE = report.Table(
    columns=(
        report.Column("last", "last_error"),
        report.Column("gain", "last_error", gain=True),
        report.Column("stopped", "stopped_error"),
        report.Column("stopped's gain", "stopped_error", gain=True),
    ),
    caption="last, stopped: root mean squared error on test rows in % of the target's standard "
    "deviation on training rows, at the last step and at the one that was best on other splits. "
    "Gains: points of each below plain training, paired by seed.",
    options="--data uci_tables.npz",
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Learn numbers from tables, with partners of several kinds."""

    out: Path = Path("results/regression")
    """Where runs.jsonl, table.md and plot.png go. A run that was stopped goes on from there."""
    data: Path | None = None
    """An .npz file of UCI's tables, for airfoil and abalone."""
    smoke: cli.Flag = False
    """100 steps, two seeds and one table, into OUT/smoke: shows that everything works."""
    seeds: int = 10
    """How many paired seeds, two or more."""
    steps: int = 600
    """How long each network trains, a multiple of 50."""


def make_work(config: Config, table: tables.Table) -> Callable[..., choose.Results]:
    """The function that trains all seeds of one candidate on a table."""
    study = train.study_of(table)
    drawn = jax.jit(jax.vmap(tables.split, in_axes=(0, None, None)))

    def work(method: Method, first: int, tick: choose.Tick) -> choose.Results:
        data = drawn(jax.vmap(jax.random.key)(first + jnp.arange(config.seeds)), table.x, table.y)
        return study.fit(method, data, steps=config.steps, every=50, tick=tick)[1], {}

    return work


def judge(names: list[str], runs: list[report.Run]) -> str:
    gains = {name: report.paired(runs, name, "mixup", "C-Mixup") for name in names}
    won = [name for name, (gain, half) in gains.items() if gain > half]
    real = [name for name in names if name not in MADE]
    passed = "spiral" in won and 2 * len(set(won) & set(real)) >= len(real)
    shown = [f"{name} {gain:+.1f} ± {half:.1f}" for name, (gain, half) in gains.items()]
    return (
        f"Gain of C-Mixup over mixup at the last step: {', '.join(shown)}. Pass rule (above 0 on "
        f"the spiral and half of {', '.join(real)}): {'PASS' if passed else 'FAIL'}."
    )


def main(config: Config) -> int:
    """Choose, train what is missing, then print and write the comparison."""
    config = cli.smoke(config, steps=100, seeds=2) if config.smoke else config
    if config.steps < 50 or config.steps % 50:
        raise loop.Stop(f"regression got --steps {config.steps}; it needs a multiple of 50.")
    try:
        found = {table.name: table for table in tables.load(config.data)}
    except (OSError, ValueError) as error:
        raise loop.Stop(str(error)) from error
    found = {"spiral": found["spiral"]} if config.smoke else found
    works = {name: make_work(config, table) for name, table in found.items()}
    sums = {name: f"{zlib.crc32(table.x.tobytes()):08x}" for name, table in found.items()}
    settings = {"experiment": "regression", "steps": config.steps, "data": sums}
    sizes = {"seeds": config.seeds, "epochs": config.steps}
    console, work = Console(), lambda group, *rest: works[group](*rest)
    runs = choose.run(console, config.out, settings, list(found), METHODS, work=work, **sizes)
    title = f"Regression, {config.seeds} paired seeds, {config.steps} steps"
    plot = partial(plots.gains, xlabel="points of error in % of the target's deviation, paired")
    verdict = "" if config.smoke else judge(list(found), runs)
    shown = {"table": TABLE, "plot": plot, "verdict": verdict}
    report.write(config.out, console, title, runs, list(METHODS), **shown)
    return 0


if __name__ == "__main__":
    cli.main("regression", Config, main, __doc__)
