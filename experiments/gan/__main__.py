"""Does mixup steady the discriminator of a GAN?

The data are mixtures of Gaussians in the plane, σ = 0.05: 8 on a ring, and 25 on a grid, one unit
apart. Two small MLPs train by Adam. The mixup discriminator learns how much of a blend is real: λ ~
Beta(α, α), drawn for each example, is the target for λ x + (1 - λ) g(z). The generator's loss is
the usual non-saturating one in all methods, -log d(g(z)), on samples that are not blended. Each
step shows every discriminator the same number of examples. All seeds train at once (vmap), each
with the same initial weights, real samples and noise under every method, so that differences are
paired. On each mixture all methods have the learning rate that suits plain training best. Label
smoothing (of real examples), noise on the examples and R1 have their best strength, by the modes
covered and then by SW, on seeds 1000 to 1005 (--choose --seeds 6). Nothing was chosen for mixup.

Pass rule, fixed before the run, after trials on those other seeds: on the grid mixup α = 0.2 covers
more modes at the end than plain training, and the paired 95 % interval lies above 0; on the ring,
where plain training covered all modes in those trials, it covers no fewer: the interval is not all
below 0. Before the trials the rule asked for an interval above 0 on both; its verdict is shown,
too.
"""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import optax

from experiments.gan import mixtures, step
from experiments.harness import cli
from experiments.harness.choose import FIRST_SEED
from experiments.harness.jobs import Task, Work
from experiments.harness.rules import Claim, Rule, not_below
from experiments.harness.runs import Run, rounded
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Table
from experiments.models.mlp import MLP

MIXTURES = {"ring": mixtures.ring(), "grid": mixtures.grid()}
RATES = {"ring": 5e-4, "grid": 2e-3}
FLOOR = "real samples"  # a method that stands for a perfect generator
CHECKS, SAMPLES = 20, 2000  # how often the scores are measured, on how many samples
SHOWN, DOTS = np.array([1, 2, 4, 10, 20]), 250  # the picture's checks, and dots in each


class Method(NamedTuple):
    """Traced numbers, so that one compiled program trains every method."""

    alpha: float = 0.0
    smoothing: float = 0.0
    noise: float = 0.0
    penalty: float = 0.0
    rate: float = 0.0  # 0 takes the mixture's


METHODS = {
    "plain": Method(),
    "label smoothing 0.3": Method(smoothing=0.3),
    "noise σ=0.1": Method(noise=0.1),
    "R1 penalty 0.1": Method(penalty=0.1),
    "mixup α=0.2": Method(alpha=0.2),
    "mixup α=1": Method(alpha=1.0),
}
CANDIDATES = (  # with --choose
    {f"plain, rate {r}": Method(rate=r) for r in (3e-4, 5e-4, 1e-3, 2e-3, 4e-3)}
    | {f"label smoothing {s}": Method(smoothing=s) for s in (0.1, 0.3)}
    | {f"noise σ={s}": Method(noise=s) for s in (0.1, 0.3)}
    | {f"R1 penalty {w}": Method(penalty=w) for w in (0.1, 0.3, 1.0)}
)
TABLE = Table(mixtures.COLUMNS, mixtures.CAPTION)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train generators on mixtures in the plane against several discriminators."""

    out: Path = Path("results/gan")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    choose: cli.Flag = False
    """Instead compare learning rates and strengths on seeds 1000 and up, into OUT/choose."""
    smoke: cli.Flag = False
    """Forty steps and two seeds, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 10
    """Number of paired seeds, at least two."""
    steps: Annotated[int, cli.Whole(CHECKS, CHECKS)] = 10_000
    """Steps of the generator; a multiple of 20."""
    critic: cli.Count = 1
    """The discriminator's steps for each of the generator's."""
    batch: cli.Count = 64
    """Real samples, and generated ones, in a step."""
    hidden: cli.Count = 64
    """Width of both networks' two hidden layers."""


FIRST_RULE = Rule(  # before the trials
    "The rule as it was before the trials (above 0 on both): {verdict}.",
    tuple(Claim(group, "mixup α=0.2", key="missed") for group in MIXTURES),
)
RULE = Rule(
    "Modes that mixup α=0.2 covers above plain: ring {0}, grid {1}. Pass rule (ring not below 0, "
    "grid above 0): {verdict}.",
    (
        Claim("ring", "mixup α=0.2", key="missed", holds=not_below()),
        Claim("grid", "mixup α=0.2", key="missed"),
    ),
)


def verdicts(runs: list[Run]) -> str:
    """By the rule, and by the one that it replaced."""
    return f"{RULE(runs)} {FIRST_RULE(runs)}"


def make_work(config: Config, methods: dict[str, Method]) -> Work:
    """A function that trains and measures all seeds of one method on one mixture."""

    def recipe_of(method: Method) -> step.Recipe:
        *numbers, rate = method
        generator = lambda rngs: MLP(2, config.hidden, 2, rngs=rngs)
        discriminator = lambda rngs: MLP(2, config.hidden, 1, rngs=rngs)
        return step.Recipe(generator, discriminator, optax.adam(rate, b1=0.5), 2, *numbers)

    fit = step.seeds(recipe_of)

    def work(task: Task) -> list[dict]:
        mixture = MIXTURES[task.group]
        rngs, fresh = ([np.random.default_rng((i, n)) for n in task.seeds] for i in range(2))

        def draw(rngs: list[np.random.Generator], *shape: int) -> np.ndarray:
            return np.stack([mixtures.sample(rng, mixture, shape) for rng in rngs])

        if task.method == FLOOR:
            task.tick(CHECKS)
            return mixtures.measure(
                mixture, task.seeds, draw(rngs, 1, SAMPLES), draw(fresh, SAMPLES)
            )
        shape = config.steps // CHECKS, config.critic, config.batch
        real = (draw(rngs, *shape) for _ in range(CHECKS))
        method = methods[task.method]
        method = method._replace(rate=method.rate or RATES[task.group])
        samples = fit(method, task.keys, real, samples=SAMPLES, tick=task.tick)
        results = mixtures.measure(mixture, task.seeds, samples, draw(fresh, SAMPLES))
        if task.group == "grid" and not config.choose:  # what is drawn
            results[0]["samples"] = rounded(samples[0, SHOWN - 1, :DOTS], 2)
        return results

    return work


def main(config: Config) -> int:
    """Train what is missing, then print, write and draw the comparison."""
    config = cli.ready(config, steps=40, seeds=2)
    methods = CANDIDATES if config.choose else METHODS
    times = [f"after {check * config.steps // CHECKS} steps" for check in SHOWN]
    picture = partial(mixtures.picture, mixture=MIXTURES["grid"], group="grid", times=times)
    study = Study(
        out=config.out / "choose" if config.choose else config.out,
        title=f"GANs on mixtures, {config.seeds} paired seeds, {config.steps} steps",
        name="gan",
        config=config,
        groups=MIXTURES,
        methods=methods if config.choose else [*methods, FLOOR],
        seeds=config.seeds,
        first_seed=FIRST_SEED if config.choose else 0,
        ticks=CHECKS,
        work=make_work(config, methods),
        table=TABLE,
        plot=None if config.choose else picture,
        rule=None if config.choose else verdicts,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("gan", Config, main, __doc__)
