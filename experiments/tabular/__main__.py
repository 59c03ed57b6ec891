"""Does mixup help on tables?

scikit-learn's iris, wine and breast cancer; with --data, UCI's abalone (its classes are the rings,
counted, as in the paper), arrhythmia and HTRU2 as well, or any one CSV file whose last column is
the class. A random half of a table, at most 1,000 rows, is for training, and at most 1,000 others
are for testing: larger tables are subsampled. The network is the mixup paper's: two hidden layers
of 128 ReLUs, Adam, batches of 16. The paper trains for 10 epochs; here it goes on to 100. All seeds
train at once (vmap), each with the same split, initial weights and order under every method, so
that differences are paired.

Weight decay, label smoothing and mixup's α are chosen for each table on ten other splits by the
error at the last epoch, and so is, for every method, the epoch at which early stopping ends.

Pass rule, fixed before the run: on half of the tables or more, the interval of the paired gain of
mixup with its chosen α over plain training lies above 0 at the last epoch.
"""

import dataclasses
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray
from rich.console import Console

import jax_mixup as jm
from experiments.core import classify, loop
from experiments.core.classify import by_shape
from experiments.core.methods import Method
from experiments.core.seeds import epoch_trainer
from experiments.core.step import Recipe
from experiments.data import split, tables
from experiments.harness import choose, cli, plots
from experiments.harness import runs as report
from experiments.models.mlp import MLP

PAPER = 10  # epochs
METHODS = choose.BASELINES | {
    "mixup α=0.2": {"mixup α=0.2": Method(alpha=0.2)},
    "mixup α=1": {"mixup α=1": Method(alpha=1.0)},
    "mixup": {f"mixup α={a:g}": Method(alpha=a) for a in (0.1, 0.2, 0.5, 1.0, 2.0, 8.0)},
}
TABLE = report.Table(
    columns=(
        report.Column("at 10", "early_error"),
        report.Column("gain at 10", "early_error", gain=True),
        report.Column("last", "last_error"),
        report.Column("gain", "last_error", gain=True),
        report.Column("stopped", "stopped_error"),
        report.Column("stopped's gain", "stopped_error", gain=True),
        report.Column("NLL", "nll", digits=2),
    ),
    caption="at 10, last, stopped: test error in % after 10 epochs, as in the paper, at the end, "
    "and at the epoch that was best on other splits; so were the values of weight decay, label "
    "smoothing and mixup. Gains: points of each below plain training, paired by seed.",
    options="--data uci_tables.npz",
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train on tables, for as long as the paper does and to convergence."""

    out: Path = Path("results/tabular")
    """Where runs.jsonl, table.md and plot.png go. A run that was stopped goes on from there."""
    data: Path | None = None
    """An .npz file of UCI's tables, or a .csv file."""
    smoke: cli.Flag = False
    """10 epochs and two seeds, into OUT/smoke: shows that everything works, and nothing else."""
    seeds: int = 10
    """How many paired seeds, two or more."""
    epochs: int = 100
    """How long each network trains, 10 or more."""
    rows: int = 1000
    """For training, at most."""


def recipe_of(table: tables.Table, numbers: Method) -> Recipe:
    shape = table.x.shape[1], 128, table.num_classes
    return classify.recipe(
        make_model=lambda rngs: MLP(*shape, rngs=rngs),
        optimizer=optax.adamw(1e-3, weight_decay=numbers.weight_decay),
        draw=by_shape(partial(jm.sample_mixup, alpha=numbers.alpha)),
        smoothing=numbers.smoothing,
    )


def draw_data(key: PRNGKeyArray, x: Array, y: Array, *, rows: int) -> split.Split:
    """A random split, standardised."""
    data = split.split(key, x, y, train=min(len(y) // 2, rows))
    x, x_test = tables.standardise(data.x, data.x_test[:1000])
    return data._replace(x=x, x_test=x_test, y_test=data.y_test[:1000])


def make_work(config: Config, table: tables.Table) -> Callable[..., choose.Results]:
    """The function that trains all seeds of one candidate on a table."""
    study = epoch_trainer(partial(recipe_of, table), batch=min(16, len(table.y) // 2))
    drawn = jax.jit(jax.vmap(partial(draw_data, rows=config.rows), in_axes=(0, None, None)))

    def work(numbers: Method, first: int, tick: choose.Tick) -> choose.Results:
        keys = jax.vmap(jax.random.key)(first + jnp.arange(config.seeds))
        data = drawn(keys, table.x, table.y)
        _, scores = study.fit(numbers, data, epochs=config.epochs, tick=tick)
        return scores, {"early_error": scores["error"][:, PAPER - 1]}

    return work


def judge(names: list[str], runs: list[report.Run]) -> str:
    """On how many tables mixup helps, and the verdict."""

    def won(baseline: str) -> list[str]:
        gains = {name: report.paired(runs, name, baseline, "mixup") for name in names}
        return [name for name, (gain, half) in gains.items() if gain > half]

    mixed, others = won("plain"), won("weight decay")
    return (
        f"The interval of mixup's gain, with the chosen α, is above 0 on {len(mixed)} of "
        f"{len(names)} tables ({', '.join(mixed) or 'none'}); over chosen weight decay on "
        f"{len(others)} ({', '.join(others) or 'none'}). Pass rule (over plain training, on half "
        f"of the tables): {'PASS' if 2 * len(mixed) >= len(names) else 'FAIL'}."
    )


def main(config: Config) -> int:
    """Train what is missing, then print and write the comparison."""
    config = cli.smoke(config, epochs=PAPER, seeds=2) if config.smoke else config
    if config.epochs < PAPER:
        raise loop.Stop(
            f"tabular got --epochs {config.epochs}; it needs the paper's {PAPER} or more."
        )
    try:
        found = {table.name: table for table in tables.load(config.data)}
    except (OSError, ValueError) as error:
        raise loop.Stop(str(error)) from error
    found = dict(list(found.items())[:1]) if config.smoke else found
    console = Console()
    works = {name: make_work(config, table) for name, table in found.items()}
    sums = {name: f"{zlib.crc32(table.x.tobytes()):08x}" for name, table in found.items()}
    settings = {"experiment": "tabular", "epochs": config.epochs, "rows": config.rows, "data": sums}
    work = lambda group, *rest: works[group](*rest)
    sizes = {"seeds": config.seeds, "epochs": config.epochs, "work": work}
    runs = choose.run(console, config.out, settings, list(found), METHODS, **sizes)
    title = f"Tables, {config.seeds} paired seeds, {config.epochs} epochs"
    options = {"table": TABLE, "plot": plots.gains, "verdict": judge(list(found), runs)}
    report.write(config.out, console, title, runs, list(METHODS), **options)
    return 0


if __name__ == "__main__":
    cli.main("tabular", Config, main, __doc__)
