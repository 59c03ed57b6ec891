"""Is a network trained with mixup harder to fool, or steadier on bad images?

A small MLP learns half of scikit-learn's 1,797 digits; 599 others, the same for all seeds, test it,
attacked or corrupted. Attacks move each pixel, in [0, 1], by at most ε: FGSM in one step, I-FGSM in
10 equal ones, PGD in 20 from a random start. White-box attacks use the network itself; black-box
ones are crafted on a plain network with other initial weights and order. White I-FGSM and PGD are
the test: a network that resists FGSM alone hides its gradient. The corruptions are the nine kinds
of `experiments.robustness.corruptions`, at severity 3. All seeds train at once, with the same
examples, weights and order under every method. PixMix mixes in several rounds with pictures of 1/f
noise and with views, AugMix averages views and asks for one answer to all of them; their views are
none of the nine corruptions (`experiments.robustness.views`). Weight decay, from five candidates,
and from four each σ of the Gaussian noise that a fair competitor trains with, PixMix's β and the
weight of AugMix's loss are chosen by clean error, by ten other seeds and the 300 digits that each
of them leaves over; the other methods are as their names say.

Prediction, fixed before the run, for ε = 0.1; it passes if all three parts hold; intervals are of
paired differences. (1) Under white FGSM mixup α = 1 and α = 8 have more error than plain training,
both intervals above 0, unlike in the mixup paper. (2) Under white I-FGSM and PGD no mixup gains 5
points over plain training: it is no defence. (3) Under black FGSM and I-FGSM mixup α = 1 has less
error than plain training, both intervals above 0, as in the paper.

Pass rule for PixMix, fixed before its runs: under the corruptions it has less error than plain
training, and the interval of its paired gain lies above 0; on clean digits it has at most 1 point
more. Its gain over the chosen Gaussian noise is reported next to it.
"""

import dataclasses
import functools
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from experiments.core import classify
from experiments.core.methods import Method
from experiments.core.seeds import SeedTrainer
from experiments.harness import cli, digits_mlp, intervals
from experiments.harness.choose import OUTSIDE, Search
from experiments.harness.intervals import packed
from experiments.harness.jobs import Task, Work
from experiments.harness.rules import (
    Claim,
    Rule,
    below,
    gains_less_than,
    loses_less_than,
    within,
)
from experiments.harness.runs import Run, rounded
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table
from experiments.robustness import attacks, corruptions, figures, views
from experiments.robustness.attacks import LogitsFn
from experiments.robustness.views import AugMix, PixMix

AnyMethod = Method | PixMix | AugMix
METHODS: dict[str, AnyMethod] = digits_mlp.METHODS | {  # with what `search_of` finds
    "Gaussian noise": Method(),
    "PixMix": PixMix(),
    "AugMix": AugMix(),
}
SIGMAS = {f"σ={sigma}": Method(noise=sigma) for sigma in (0.05, 0.1, 0.2, 0.4)}
OPEN: dict[str, dict[str, AnyMethod]] = {
    "weight decay": {**digits_mlp.DECAYS},
    "Gaussian noise": {**SIGMAS},
    "PixMix": {f"β={beta:g}": PixMix(beta) for beta in (1.0, 3.0, 10.0, 30.0)},
    "AugMix": {f"weight {weight:g}": AugMix(weight) for weight in (1.0, 4.0, 12.0, 36.0)},
}
ATTACKS = ("FGSM, white", "I-FGSM, white", "PGD, white", "FGSM, black", "I-FGSM, black")
EPSILONS = (0.025, 0.05, 0.1, 0.15, 0.2)
MAIN = EPSILONS.index(0.1)
TABLE = Table(
    columns=(Column("error", "last_error"), Column("gain", "last_error", gain=True)),
    caption="error: test error in %, under attack with ε = 0.1; under corruptions the mean of nine "
    "kinds, of which Gaussian noise is one, with ± over seeds alone. gain: points of it below the "
    "first method, paired.",
    interval=intervals.SHARED,
)


@dataclasses.dataclass(frozen=True)
class Config(digits_mlp.Config):
    """Compare methods under attacks and corruptions."""

    out: Path = Path("results/robustness")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""


CLAIMS = (
    *(Claim("FGSM, white", m, holds=below()) for m in ("mixup α=1", "mixup α=8")),
    *(
        Claim(attack, method, holds=gains_less_than(5), part=1)
        for attack in ("I-FGSM, white", "PGD, white")
        for method in digits_mlp.MIXUPS
    ),
    *(Claim(attack, "mixup α=1", part=2) for attack in ("FGSM, black", "I-FGSM, black")),
)
RULE = Rule(
    "Prediction, in points of error below plain training's: {verdict}. (1) {held[0]}: under white "
    "FGSM mixup α=1 and α=8 gain {0}, {1}. (2) {held[1]}: under white I-FGSM and PGD mixup α=0.2, "
    "1 and 8 gain {2}, {3}, {4}, {5}, {6}, {7}. (3) {held[2]}: under black FGSM and I-FGSM mixup "
    "α=1 gains {8}, {9}.",
    CLAIMS,
    interval=intervals.SHARED,
)
PIXMIX_RULE = Rule(
    "PixMix, in points of error below plain training's: {0} under corruptions, {1} on clean "
    "digits; below the chosen Gaussian noise's: {2} under corruptions. Pass rule (the first "
    "interval above 0, the second gain above -1): {verdict}.",
    (
        Claim("corruptions", "PixMix"),
        Claim("clean", "PixMix", holds=loses_less_than(1)),
        Claim("corruptions", "PixMix", over="Gaussian noise", holds=within(float("inf"))),
    ),
    interval=intervals.SHARED,
)


def verdicts(runs: list[Run]) -> str:
    return f"{RULE(runs)} {PIXMIX_RULE(runs)}"


def trainer_of(method: AnyMethod) -> SeedTrainer:
    return digits_mlp.study_of() if isinstance(method, Method) else views.study_of()


def search_of(config: Config) -> Search:
    """Choose each method's candidate by the last clean error outside the test set."""
    candidates = {name: m for methods in OPEN.values() for name, m in methods.items()}

    def work(task: Task) -> list[dict]:
        method, data = candidates[task.method], digits_mlp.drawn(task.seeds, choosing=True)
        sizes = {"seeds": task.seeds, "epochs": config.epochs, "tick": task.tick}
        _, scores = trainer_of(method).fit(method, data, **sizes)
        curves = zip(task.seeds, scores["error"].round(5).tolist(), strict=True)
        return [{"seed": seed, "curve": curve} for seed, curve in curves]

    said, ticks = digits_mlp.described, config.epochs
    return Search(OPEN, work, groups=("clean",), ticks=ticks, said=said, other=OUTSIDE)


def attacked(
    key: PRNGKeyArray, own: LogitsFn, stranger: LogitsFn, x: Array, y: Array, epsilon: Array
) -> dict[str, Array]:
    """The images of each attack."""
    ten = {"epsilon": epsilon, "steps": 10, "step_size": epsilon / 10}
    twenty = {"epsilon": epsilon, "steps": 20, "step_size": epsilon / 8}
    return {
        "FGSM, white": attacks.fgsm(own, x, y, epsilon=epsilon),
        "I-FGSM, white": attacks.iterative(own, x, y, **ten),
        "PGD, white": attacks.pgd(key, own, x, y, **twenty),
        "FGSM, black": attacks.fgsm(stranger, x, y, epsilon=epsilon),
        "I-FGSM, black": attacks.iterative(stranger, x, y, **ten),
    }


@jax.jit
@partial(jax.vmap, in_axes=(None, 0, 0, 0, 0, 0))
def hits(
    method: Method, key: PRNGKeyArray, state: Any, stranger: Any, x: Array, y: Array
) -> dict[str, Array]:
    """Which images a seed gets right in each group: once, for each ε, or each corruption."""
    recipe = digits_mlp.recipe_of(0.0, False, method)
    own, other = (partial(classify.logits, recipe, given) for given in (state, stranger))

    def right(x: Array) -> Array:
        return own(x).argmax(-1) == y

    def under_attacks(epsilon: Array) -> dict[str, Array]:
        return jax.tree.map(right, attacked(key, own, other, x, y, epsilon))

    spoil = partial(corruptions.corrupt, key, x, severity=3.0)
    spoilt = jnp.stack([right(spoil(kind=kind)) for kind in corruptions.KINDS])
    moved = jax.lax.map(under_attacks, jnp.array(EPSILONS))
    return {"clean": right(x), **moved, "corruptions": spoilt}


def result_of(group: str, seed: int, right: np.ndarray) -> dict:
    """One seed's errors in a group, from which images are right.

    Where the error is a mean over corruptions, images are not right or wrong.
    """
    errors = 100 * (1 - right.mean(axis=-1))
    main = errors[MAIN] if group in ATTACKS else errors.mean()
    result = {"seed": seed, "last_error": rounded(main), "errors": rounded(errors)}
    if group == "corruptions":
        return result
    return result | {"hits": packed(right[MAIN] if group in ATTACKS else right)}


def make_work(config: Config) -> Work:
    """A function that gives one method's runs in one group."""
    data = functools.cache(partial(digits_mlp.drawn, choosing=False))  # the search draws its own
    plain = Method()  # the network is the same under every method

    def fit(method: AnyMethod, data: Any, seeds: range) -> Any:
        sizes = {"seeds": seeds, "epochs": config.epochs}
        return trainer_of(method).fit(method, data, **sizes, tick=lambda n: None)[0]

    @functools.cache
    def strangers(seeds: range) -> Any:
        """For each network one that learned the same digits by the next seed's weights, order."""
        others = range(seeds.start + 1, seeds.stop + 1)
        return fit(plain, data(seeds), others)

    @functools.cache  # all groups of a method share its networks, in any order
    def measured(method: AnyMethod, seeds: range) -> dict[str, Array]:
        keys = jax.vmap(jax.random.key)(2000 + jnp.asarray(seeds))  # no seed that trains
        given = data(seeds)
        state = fit(method, given, seeds)
        return hits(plain, keys, state, strangers(seeds), given.x_test, given.y_test)

    def work(task: Task) -> list[dict]:
        best = task.chosen.get(("clean", task.method))
        method = METHODS[task.method] if best is None else best.numbers
        right = np.asarray(measured(method, task.seeds)[task.group])
        task.tick(1)
        return [
            result_of(task.group, seed, own) for seed, own in zip(task.seeds, right, strict=True)
        ]

    return work


def main(config: Config) -> int:
    """Train what is missing, then print and write the comparison."""
    config = cli.ready(config, epochs=2, seeds=2)
    groups = ("clean", *ATTACKS, "corruptions")
    study = Study(
        out=config.out,
        title=f"Digits attacked and corrupted, {config.seeds} paired seeds, {config.epochs} epochs",
        name="robustness",
        config=config,
        groups=groups,
        methods=METHODS,
        jobs=[(group, name) for name in METHODS for group in groups],
        seeds=config.seeds,
        ticks=1,
        work=make_work(config),
        table=TABLE,
        plot=partial(figures.under_attack, epsilons=EPSILONS, kinds=list(corruptions.KINDS)),
        rule=verdicts,
        search=search_of(config),
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("robustness", Config, main, __doc__)
