"""Is a network trained with mixup harder to fool, or steadier on bad images?

A small MLP learns half of scikit-learn's digits; the other half, attacked or corrupted, tests it.
Attacks move each pixel, in [0, 1], by at most ε: FGSM in one step, I-FGSM in 10 equal ones, PGD in
20 from a random start. White: on the network itself; black: crafted on a plain one of other initial
weights and order. White I-FGSM and PGD are the test: who resists FGSM alone hides its gradient.
Corruptions: nine kinds of `experiments.robustness.corruptions`, severity 3. All seeds train at
once, with the same split, weights and order under every method. Weight decay, and σ of the Gaussian
noise that a fair competitor trains with, are chosen by clean error on ten other splits.

Prediction, fixed before the run, for ε = 0.1; it passes if all three parts hold; intervals are of
paired differences. (1) Under white FGSM mixup α = 1 and α = 8 have more error than plain training,
both intervals above 0, unlike in the mixup paper. (2) Under white I-FGSM and PGD no mixup gains 5
points over plain training: it is no defence. (3) Under black FGSM and I-FGSM mixup α = 1 has less
error than plain training, both intervals above 0, as in the paper.
"""

import dataclasses
import functools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from rich.console import Console

from experiments.core import classify
from experiments.core.methods import Method
from experiments.harness import cli, diagrams, digits_mlp
from experiments.harness import jobs as sweep
from experiments.harness import runs as report
from experiments.robustness import attacks, corruptions
from experiments.robustness.attacks import LogitsFn

METHODS = digits_mlp.METHODS | {"Gaussian noise": Method()}  # σ is the one that `settle` finds
SIGMAS = {f"σ={sigma}": Method(noise=sigma) for sigma in (0.05, 0.1, 0.2, 0.4)}
OPEN = {"weight decay": digits_mlp.DECAYS, "Gaussian noise": SIGMAS}
ATTACKS = ("FGSM, white", "I-FGSM, white", "PGD, white", "FGSM, black", "I-FGSM, black")
EPSILONS = (0.025, 0.05, 0.1, 0.15, 0.2)
MAIN = EPSILONS.index(0.1)
TABLE = report.Table(
    columns=(report.Column("error", "last_error"), report.Column("gain", "last_error", gain=True)),
    caption="error: test error in %, under attack with ε = 0.1; under corruptions the mean of nine "
    "kinds, of which Gaussian noise is one. gain: points of it below the first method, paired.",
)


@dataclasses.dataclass(frozen=True)
class Config(digits_mlp.Config):
    """Compare methods under attacks and corruptions."""

    out: Path = Path("results/robustness")
    """Where runs.jsonl, table.md and plot.png go. A run that was stopped goes on from there."""


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
def errors(
    method: Method, key: PRNGKeyArray, state: Any, stranger: Any, x: Array, y: Array
) -> dict[str, Array]:
    """One seed's errors in each group: one, or for each ε, or for each kind of corruption."""
    recipe = digits_mlp.recipe_of(0.0, False, method)
    own, other = (partial(classify.logits, recipe, given) for given in (state, stranger))
    error = lambda x: (own(x).argmax(-1) != y).mean()
    moved = lambda epsilon: jax.tree.map(error, attacked(key, own, other, x, y, epsilon))
    spoil = partial(corruptions.corrupt, key, x, severity=3.0)
    spoilt = jnp.stack([error(spoil(kind=kind)) for kind in corruptions.KINDS])
    return {"clean": error(x), **jax.lax.map(moved, jnp.array(EPSILONS)), "corruptions": spoilt}


def make_work(config: Config, settled: dict) -> Callable[..., list[dict]]:
    """The function that gives one method's runs in one group."""
    data, study = digits_mlp.halves(config.seeds), digits_mlp.study_of()
    keys = jax.vmap(jax.random.key)(2000 + jnp.arange(config.seeds))  # none that trains
    fit = partial(study.fit, epochs=config.epochs, tick=lambda n: None)
    roll = jax.jit(lambda tree, by: jax.tree.map(lambda a: jnp.roll(a, by, axis=0), tree))
    # A network's stranger has learnt the same digits with the weights and order of the next seed.
    stranger = functools.cache(lambda: roll(fit(METHODS["plain"], roll(data, 1))[0], -1))

    @functools.lru_cache(maxsize=1)  # all groups of a method share its networks
    def measured(name: str) -> dict[str, Array]:
        method = settled["clean", name].method if name in OPEN else METHODS[name]
        return errors(method, keys, fit(method, data)[0], stranger(), data.x_test, data.y_test)

    def work(job: sweep.Job, tick: Callable[[int], None]) -> list[dict]:
        group, name = job
        values = 100 * np.asarray(measured(name)[group])
        tick(1)
        main = values[:, MAIN] if group in ATTACKS else values.reshape(len(values), -1).mean(1)
        return [
            {"seed": seed, "last_error": report.rounded(e), "errors": report.rounded(all_of_them)}
            for seed, (e, all_of_them) in enumerate(zip(main, values, strict=True))
        ]

    return work


def judge(runs: list[report.Run]) -> str:
    """The prediction, part by part."""
    gain = lambda group, name: report.paired(runs, group, "plain", name)
    one = [gain("FGSM, white", name) for name in ("mixup α=1", "mixup α=8")]
    more = [gain(g, m) for g in ("I-FGSM, white", "PGD, white") for m in digits_mlp.MIXUPS]
    black = [gain(group, "mixup α=1") for group in ("FGSM, black", "I-FGSM, black")]
    parts = [all(mean < -half for mean, half in one), all(mean < 5 for mean, _ in more)]
    parts += [all(mean > half for mean, half in black)]
    held = [("does not hold", "holds")[part] for part in parts]
    shown = lambda gains: ", ".join(f"{mean:+.1f} ± {half:.1f}" for mean, half in gains)
    return (
        f"Prediction, in points of error below plain training's: {'PASS' if all(parts) else 'FAIL'}"
        f". (1) {held[0]}: under white FGSM mixup α=1 and α=8 gain {shown(one)}. (2) {held[1]}: "
        f"under white I-FGSM and PGD mixup α=0.2, 1 and 8 gain {shown(more)}. (3) {held[2]}: under "
        f"black FGSM and I-FGSM mixup α=1 gains {shown(black)}."
    )


def main(config: Config) -> int:
    """Train what is missing, then print and write the comparison."""
    config = cli.smoke(config, epochs=2, seeds=2) if config.smoke else config
    console, sizes = Console(), {"seeds": config.seeds, "epochs": config.epochs}
    chosen = config.out / "choose.jsonl"
    settled = digits_mlp.settle(console, chosen, {"clean": 0.0}, OPEN, score="error", **sizes)
    jobs = [(group, name) for name in METHODS for group in ("clean", *ATTACKS, "corruptions")]
    path, settings = config.out / "runs.jsonl", {"experiment": "robustness"} | sizes
    work = make_work(config, settled)
    runs = sweep.run(console, path, settings, jobs, config.seeds, 1, work)
    title = f"Digits attacked and corrupted, {config.seeds} paired seeds, {config.epochs} epochs"
    verdict = f"{judge(runs)} {digits_mlp.described(settled)}"
    plot = partial(diagrams.under_attack, epsilons=EPSILONS, kinds=list(corruptions.KINDS))
    options = {"table": TABLE, "plot": plot, "verdict": verdict}
    report.write(config.out, console, title, runs, list(METHODS), **options)
    return 0


if __name__ == "__main__":
    cli.main("robustness", Config, main, __doc__)
