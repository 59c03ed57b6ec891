"""Does mixup help on tables?

scikit-learn's iris, wine and breast cancer; with --data, UCI's abalone (its classes are the rings,
counted, as in the paper), arrhythmia and HTRU2 as well, or any one CSV file whose last column is
the class. A quarter of a table, at most 1,000 rows, is set aside for testing, the same for all
seeds; each seed trains on others, half of the table or 1,000 rows. The network is the mixup
paper's: two hidden layers of 128 ReLUs, Adam, batches of 16. The paper trains for 10 epochs; here
it goes on to 100. All seeds train at once (vmap), each with the same split, initial weights and
order under every method, so that differences are paired.

Weight decay (4 values), label smoothing (3) and mixup's α (6) are chosen for each table by the
error at the last epoch, with ten other seeds, on rows that are neither trained on nor set aside. So
is, for every method, the epoch at which early stopping ends.

Pass rule, fixed before the run: on half of the tables or more, the interval of the paired gain of
mixup with its chosen α over plain training lies above 0 at the last epoch.
"""

import dataclasses
import functools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray

import jax_mixup as jm
from experiments.core import classify
from experiments.core.classify import by_shape
from experiments.core.methods import Method
from experiments.core.seeds import epoch_trainer
from experiments.core.step import Recipe
from experiments.data import split, tables
from experiments.harness import cli, intervals, plots
from experiments.harness.choose import BASELINES, Scores, by_last_error
from experiments.harness.jobs import Task
from experiments.harness.rules import Claim, above, passed
from experiments.harness.runs import Run, checksum
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table
from experiments.models.mlp import MLP

PAPER = 10  # epochs
METHODS = BASELINES | {
    "mixup α=0.2": {"mixup α=0.2": Method(alpha=0.2)},
    "mixup α=1": {"mixup α=1": Method(alpha=1.0)},
    "mixup": {f"mixup α={a:g}": Method(alpha=a) for a in (0.1, 0.2, 0.5, 1.0, 2.0, 8.0)},
}
TABLE = Table(
    columns=(
        Column("at 10", "early_error"),
        Column("gain at 10", "early_error", gain=True),
        Column("last", "last_error"),
        Column("gain", "last_error", gain=True),
        Column("stopped", "stopped_error"),
        Column("stopped's gain", "stopped_error", gain=True),
        Column("NLL", "nll", digits=2),
    ),
    caption="at 10, last, stopped: test error in % after 10 epochs, as in the paper, at the end, "
    "and at the epoch that was best on other rows; so were the values of weight decay, label "
    "smoothing and mixup. Gains: points of each below plain training, paired by seed.",
    options="--data uci_tables.npz",
    interval=intervals.SHARED,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train on tables, for as long as the paper does and to convergence."""

    out: Path = Path("results/tabular")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    data: Path | None = None
    """An .npz file of UCI's tables, or a .csv file."""
    smoke: cli.Flag = False
    """10 epochs and two seeds, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 10
    """Number of paired seeds, at least two."""
    epochs: Annotated[int, cli.Whole(PAPER)] = 100
    """How long each network trains, 10 or more."""
    rows: cli.Count = 1000
    """Largest number of rows for training."""


def recipe_of(table: tables.Table, numbers: Method) -> Recipe:
    shape = table.x.shape[1], 128, table.num_classes
    return classify.recipe(
        make_model=lambda rngs: MLP(*shape, rngs=rngs),
        optimizer=optax.adamw(1e-3, weight_decay=numbers.weight_decay),
        draw=by_shape(partial(jm.sample_mixup, alpha=numbers.alpha)),
        smoothing=numbers.smoothing,
    )


def draw_data(key: PRNGKeyArray, x: Array, y: Array, *, rows: int, choosing: bool) -> split.Split:
    """Rows of a seed, standardised."""
    data = split.draw(key, x, y, **tables.sizes(len(y), rows), choosing=choosing)
    x, x_test = tables.standardise(data.x, data.x_test[: tables.TESTS])
    return data._replace(x=x, x_test=x_test, y_test=data.y_test[: tables.TESTS])


def make_fit(config: Config, found: dict[str, tables.Table]) -> Callable[[Method, Task], Scores]:
    """A function that trains all seeds of one candidate on a table."""

    @partial(jax.jit, static_argnums=3)
    def drawn(keys: PRNGKeyArray, x: Array, y: Array, choosing: bool) -> split.Split:
        return jax.vmap(lambda key: draw_data(key, x, y, rows=config.rows, choosing=choosing))(keys)

    @functools.cache
    def trainer_of(group: str) -> Any:
        table = found[group]
        return epoch_trainer(partial(recipe_of, table), batch=min(16, len(table.y) // 2))

    def fit(numbers: Method, task: Task) -> Scores:
        table = found[task.group]
        data, trainer = drawn(task.keys, table.x, table.y, task.choosing), trainer_of(task.group)
        sizes = {"seeds": task.seeds, "epochs": config.epochs}
        state, scores = trainer.fit(numbers, data, **sizes, tick=task.tick)
        hits = trainer.apply(numbers, state, data.x_test).argmax(-1) == data.y_test
        return scores, {"early_error": scores["error"][:, PAPER - 1]}, np.asarray(hits)

    return fit


def verdict(names: list[str], runs: list[Run]) -> str:
    """On how many tables mixup helps, and the verdict."""

    def won(baseline: str) -> list[str]:
        claims = [Claim(name, "mixup", over=baseline) for name in names]
        return [c.group for c in claims if above()(c.gain(runs, TABLE.interval))]

    mixed, others = won("plain"), won("weight decay")
    return (
        f"The interval of mixup's gain, with the chosen α, is above 0 on {len(mixed)} of "
        f"{len(names)} tables ({', '.join(mixed) or 'none'}); over chosen weight decay on "
        f"{len(others)} ({', '.join(others) or 'none'}). Pass rule (over plain training, on half "
        f"of the tables): {passed(2 * len(mixed) >= len(names))}."
    )


def main(config: Config) -> int:
    """Train what is missing, then print and write the comparison."""
    config = cli.ready(config, epochs=PAPER, seeds=2)
    with cli.one_sentence():
        found = {table.name: table for table in tables.load(config.data)}
    if config.smoke:
        found = dict(list(found.items())[:1])
    sums = {name: checksum(table.x) for name, table in found.items()}
    search, work = by_last_error(METHODS, make_fit(config, found))
    study = Study(
        out=config.out,
        title=f"Tables, {config.seeds} paired seeds, {config.epochs} epochs",
        name="tabular",
        config=config,
        facts={"tables": sums},
        groups=found,
        methods=METHODS,
        seeds=config.seeds,
        ticks=config.epochs,
        work=work,
        table=TABLE,
        plot=partial(plots.gains, interval=TABLE.interval),
        rule=partial(verdict, list(found)),
        search=search,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("tabular", Config, main, __doc__)
