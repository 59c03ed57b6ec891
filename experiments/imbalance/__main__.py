"""Do rare classes gain by mixing, and by which kind?

The data are long-tailed digits: scikit-learn's 8 x 8 pictures, 120 of one class and exponentially
fewer of the others down to 2 (imbalance 60) or 12 (imbalance 10). Each seed draws again which class
is how frequent. All seeds test on the same 40 others of each class; errors are means over classes.
An MLP trains for 600 steps of AdamW on batches of 50. Plain training is compared with weight decay;
with batches in which all classes are equally frequent (re-sampling); with losses weighted by 1 /
count from the start (re-weighting) or for the last fifth (deferred re-weighting, DRW); with mixup,
alone and with DRW; with Remix and MAMix, whose labels favour rare classes; and with Balanced-MixUp,
whose partners come from all classes equally. All seeds train at once (vmap), each with the same
examples, initial weights and batches under every method, so that differences are paired. The
numbers of each method but plain training, three candidates for each, are chosen for each imbalance
by the error at the last step, by ten other seeds and what each of them leaves over: about a
thousand digits, at least 14 of a class.

With --data, pictures are used, as CIFAR-10's: a small CNN, 500 examples of the most frequent class
and 100 of each for testing.

Pass rule, fixed before the run: at imbalance 60 the interval of the paired gain of mixup with DRW
over DRW alone lies above 0.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.data import longtail
from experiments.harness import cli, intervals, plots
from experiments.harness.choose import OUTSIDE, Scores, by_last_error
from experiments.harness.jobs import Task
from experiments.harness.rules import Claim, Rule
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table
from experiments.imbalance import train
from experiments.imbalance.train import DEFERRED, MAMIX, REMIX, Method

EVERY = 50  # steps between two scores
DECAYS = (0.0, 1.0, 3.0)
PAIRS = ((1.0, 0.0), (8.0, 0.0), (1.0, 1.0))  # α and weight decay


def decayed(name: str, **options: float) -> dict[str, Any]:
    """Candidates that do not mix."""
    return {f"{name}, decay {w:g}": Method(weight_decay=w, **options) for w in DECAYS}


def mixed(name: str, **options: float) -> dict[str, Any]:
    """Candidates that do."""
    return {f"{name} α={a:g}, decay {w:g}": Method(a, a, w, **options) for a, w in PAIRS}


LATER = {"weighed": DEFERRED}
METHODS: dict[str, dict[str, Any]] = {
    "plain": {"plain": Method()},
    "weight decay": {f"weight decay {w}": Method(weight_decay=w) for w in (0.3, 1.0, 3.0)},
    "re-sampling": decayed("re-sampling", even_rows=1.0),
    "re-weighting": decayed("re-weighting", weighed=0.0),
    "DRW": decayed("DRW", **LATER),
    "mixup": mixed("mixup"),
    "mixup, DRW": mixed("mixup, DRW", **LATER),
    "Remix": mixed("Remix", label=REMIX),
    "Remix, DRW": mixed("Remix, DRW", label=REMIX, **LATER),
    "MAMix, DRW": mixed("MAMix, DRW", label=MAMIX, **LATER),
    "Balanced-MixUp": {
        f"Balanced-MixUp α={a}": Method(1.0, a, even_partners=1.0) for a in (0.1, 0.3, 1.0)
    },
}
TABLE = Table(
    columns=(
        Column("last", "last_error"),
        Column("gain", "last_error", gain=True),
        Column("frequent", "frequent_error"),
        Column("medium", "medium_error"),
        Column("rare", "rare_error"),
        Column("rare's gain", "rare_error", gain=True),
        Column("best", "best_error"),
    ),
    caption="last: test error at the last step in %, mean over classes; frequent, medium, rare: "
    "over the first 3 classes, the next 4, and the last 3. best: at the best step, chosen on the "
    "test set. Gains: points below plain training, paired by seed.",
    interval=intervals.SHARED,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Learn from a long tail of classes."""

    out: Path = Path("results/imbalance")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    data: str | None = None
    """Pictures in place of digits that `experiments.data.images` reads, such as cifar10."""
    smoke: cli.Flag = False
    """50 steps, two seeds, one imbalance, into OUT/smoke: shows that everything works."""
    seeds: cli.Seeds = 10
    """Number of paired seeds, at least two."""
    steps: Annotated[int, cli.Whole(EVERY, EVERY)] = 600
    """How long each network trains, a multiple of 50."""


RULE = Rule(
    "Pass rule (imbalance 60: gain of mixup with DRW over DRW, interval above 0): {0}, {verdict}.",
    (Claim("imbalance 60", "mixup, DRW", over="DRW"),),
    interval=intervals.SHARED,
)


def make_fit(config: Config, pool: longtail.Pool, factors: dict[str, int]) -> Callable[..., Scores]:
    """A function that trains all seeds of one candidate at one imbalance."""

    @functools.cache
    def parts(group: str) -> tuple[Any, Callable[..., Any]]:
        counts = longtail.profile(pool.most, factors[group], pool.num_classes)
        x, y = jnp.asarray(pool.x), jnp.asarray(pool.y)

        @functools.partial(jax.jit, static_argnums=1)
        def drawn(keys: Any, choosing: bool) -> Any:
            sizes = {"test": pool.test, "choosing": choosing}
            return jax.vmap(lambda key: longtail.draw(key, x, y, counts, **sizes))(keys)

        return train.study_of(pool, counts, config.steps), drawn

    def fit(method: Method, task: Task) -> Scores:
        trainer, drawn = parts(task.group)
        sizes = {"seeds": task.seeds, "steps": config.steps, "every": EVERY}
        data = drawn(task.keys, task.choosing)
        state, scores = trainer.fit(method, data, **sizes, tick=task.tick)
        hits = trainer.apply(method, state, data.x_test).argmax(-1) == data.y_test
        return scores, {}, np.asarray(hits)

    return fit


def main(config: Config) -> int:
    """Choose, train what is missing, then print and write the comparison."""
    config = cli.ready(config, steps=EVERY, seeds=2)
    with cli.one_sentence():
        pool = longtail.pool(config.data)
        longtail.check(pool)
    factors = {f"imbalance {n}": n for n in ((60,) if config.smoke else (60, 10))}
    search, work = by_last_error(METHODS, make_fit(config, pool, factors), other=OUTSIDE)
    study = Study(
        out=config.out,
        title=f"{pool.title}, long-tailed, {config.seeds} paired seeds, {config.steps} steps",
        name="imbalance",
        config=config,
        facts={"pictures": pool.title},
        groups=factors,
        methods=METHODS,
        seeds=config.seeds,
        ticks=config.steps,
        work=work,
        table=TABLE,
        plot=functools.partial(plots.gains, interval=intervals.SHARED),
        rule=None if config.smoke else RULE,
        search=search,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("imbalance", Config, main, __doc__)
