"""Does a network trained with mixup know how sure it may be?

A small MLP learns half of scikit-learn's 1,797 digits, with right labels and with 40 % of them
replaced by random ones. 599 digits are set aside for all seeds: they test calibration, before and
after the logits are divided by a temperature ("scaled"), and whether confidence distinguishes
digits from 8 x 8 patches of photographs and from digits whose pixels are shuffled. The other 300,
which a seed neither trains nor tests on, give the temperature, by their true labels. All seeds
train at once, each with the same examples, labels, initial weights and order under every method.
Weight decay, from five candidates, and when to stop early, from 80 epochs, are chosen by NLL, by
ten other seeds and the 300 digits that each of them leaves over; the other methods are as their
names say. RegMixup learns from each batch and from its mixup: in the same number of steps it sees
twice as many examples.

Prediction, fixed before the run; it passes if all three parts hold; intervals are paired. (1) With
right labels each mixup's ECE is above plain training's, the interval above 0, and the interval of
its gap is below 0. (2) At 40 % noise ECE is U-shaped in α: that of α = 0.2 is below plain
training's and below that of α = 8, both intervals above 0. (3) After scaling, of the six
differences in ECE between mixup and plain training (three α, two rates) at most one is over 2
points.
"""

import dataclasses
import functools
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.calibration import figures
from experiments.core import metrics
from experiments.core.methods import Method
from experiments.data import strange
from experiments.harness import cli, digits_mlp, intervals
from experiments.harness.choose import Choice
from experiments.harness.jobs import Task, Work
from experiments.harness.rules import Claim, Rule, below, within
from experiments.harness.runs import PLAIN, seed_results
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table

METHODS = digits_mlp.METHODS | {
    "stopped early": Method(),  # plain, for as many epochs as `digits_mlp.search` finds
    "dropout 0.5": Method(dropout=0.5),
    "RegMixup α=10": Method(alpha=10.0, regmixup=True),
}
OPEN = {"weight decay": digits_mlp.DECAYS, "stopped early": {"plain": Method()}}
RATES = {"0 % noise": 0.0, "40 % noise": 0.4}
SCALED = ", scaled"  # added to the name of a group
UNITLESS = ("temperature", "bins")
TABLE = Table(
    columns=(
        Column("error", "last_error"),
        Column("ECE", "ece"),
        Column("gain", "ece", gain=True),
        Column("gap", "gap"),
        Column("NLL", "nll", digits=2),
        Column("Brier", "brier", digits=3),
        Column("photos", "photos_softmax_auroc"),
        Column("energy", "photos_energy_auroc"),
        Column("pixels", "shuffled_softmax_auroc"),
    ),
    caption="error: of the test, %. ECE: expected calibration error in 15 bins, points. gain: "
    "points of ECE below the first method, paired by seed. gap: confidence - accuracy, points. "
    "photos, pixels: AUROC in % of the largest probability, test digits against patches of "
    "photographs and against shuffled digits; energy: of the logits' logsumexp, for photographs.",
    interval=intervals.SHARED,
)


@dataclasses.dataclass(frozen=True)
class Config(digits_mlp.Config):
    """Compare how methods are calibrated, and how sure they are of pictures that show no digit."""

    out: Path = Path("results/calibration")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""


def excess(group: str, over: str, less: str, **options: Any) -> Claim:
    """That one method's ECE lies above another's."""
    return Claim(group, less, over=over, key="ece", **options)


CLEAN, NOISY = RATES
RULE = Rule(
    "Prediction, in points of ECE: {verdict}. (1) {held[0]}: with right labels mixup α=0.2, mixup "
    "α=1, mixup α=8 have {0}, {1}, {2} more than plain training. (2) {held[1]}: at 40 % noise "
    "plain training has {6} and mixup α=8 {7} more than mixup α=0.2. (3) {held[2]}: after scaling "
    "mixup has {8.mean:+.1f}, {9.mean:+.1f}, {10.mean:+.1f}, {11.mean:+.1f}, {12.mean:+.1f}, "
    "{13.mean:+.1f} more than plain training.",
    (
        *(excess(CLEAN, name, "plain") for name in digits_mlp.MIXUPS),
        *(Claim(CLEAN, name, over=None, key="gap", holds=below()) for name in digits_mlp.MIXUPS),
        *(excess(NOISY, name, "mixup α=0.2", part=1) for name in ("plain", "mixup α=8")),
        *(
            excess(rate + SCALED, name, "plain", holds=within(2), part=2)
            for rate in RATES
            for name in digits_mlp.MIXUPS
        ),
    ),
    exceptions={2: 1},
    interval=intervals.SHARED,
)


class Labelled(NamedTuple):
    """Logits, and true labels."""

    logits: Array
    y: Array


@jax.jit
@partial(jax.vmap, in_axes=(0, 0, 0, None))
def measure(
    tested: Labelled, held: Labelled, odd: dict[str, Array], scaled: Array
) -> dict[str, Array]:
    """One seed's scores.

    Args:
      tested: the test digits.
      held: those that give the temperature.
      odd: logits of pictures that show no digit.
      scaled: whether logits are divided by the temperature.
    """
    t = jnp.where(scaled, metrics.temperature(*held), 1.0)
    inside, y = tested.logits / t, tested.y
    found = {"temperature": t, "bins": metrics.reliability(inside, y)}
    for name, outside in odd.items():
        scores = metrics.detection(inside, outside / t)
        found |= {f"{name}_{score}": value for score, value in scores.items()}
    return found | metrics.classification(inside, y)


def make_work(config: Config) -> Work:
    """A function that gives one method's runs in one group."""

    @functools.cache  # the groups before and after scaling share their networks, in any order
    def trained(
        name: str, rate: str, best: Choice | None, seeds: range
    ) -> tuple[Labelled, Labelled, dict[str, Array]]:
        method = METHODS[name] if best is None else best.numbers
        epochs = best.epoch + 1 if best and name == "stopped early" else config.epochs
        # The same training examples twice; the second has the digits that are left over.
        data, left = (digits_mlp.drawn(seeds, RATES[rate], choosing=c) for c in (False, True))
        trainer = digits_mlp.study_of(method.dropout, method.regmixup)
        state, _ = trainer.fit(method, data, seeds=seeds, epochs=epochs, tick=lambda n: None)
        logits = partial(trainer.apply, method, state)
        odd = {name: logits(jax.vmap(kind)(data.x_test)) for name, kind in strange.KINDS.items()}
        tested, held = (Labelled(logits(part.x_test), part.y_test) for part in (data, left))
        return tested, held, odd

    def work(task: Task) -> list[dict]:
        rate, name = task.group.removesuffix(SCALED), task.method
        networks = trained(name, rate, task.chosen.get((rate, name)), task.seeds)
        final = measure(*networks, task.group.endswith(SCALED))
        hits = np.asarray(networks[0].logits.argmax(-1) == networks[0].y)
        task.tick(1)
        scores = {"error": final.pop("error")[:, None]}
        plain = (*PLAIN, *UNITLESS)
        return seed_results(scores, final, seeds=task.seeds, plain=plain, hits=hits)

    return work


def main(config: Config) -> int:
    """Train what is missing, then print and write the comparison."""
    config = cli.ready(config, epochs=2, seeds=2)
    groups = [rate + suffix for rate in RATES for suffix in ("", SCALED)]
    study = Study(
        out=config.out,
        title=f"Calibration on digits, {config.seeds} paired seeds, {config.epochs} epochs",
        name="calibration",
        config=config,
        groups=groups,
        methods=METHODS,
        jobs=[(r + suffix, name) for r in RATES for name in METHODS for suffix in ("", SCALED)],
        seeds=config.seeds,
        ticks=1,
        work=make_work(config),
        table=TABLE,
        plot=figures.reliability,
        rule=RULE,
        search=digits_mlp.search(
            OPEN, RATES, score="nll", seeds=config.seeds, epochs=config.epochs
        ),
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("calibration", Config, main, __doc__)
