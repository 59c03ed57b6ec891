"""Does mixup steady the discriminator of a GAN on pictures?

The data are scikit-learn's digits, 8 x 8: 1,197 to learn from, and 600 held out for comparison. A
small convolutional generator trains by Adam against the discriminators of `experiments.gan`: plain,
with label smoothing, noise or an R1 penalty, and mixup, which learns how much of a blend is real.
The scores come from a small classifier of the real digits: the Fréchet distance on its features
(not FID), the classes covered, and the KL divergence of the class frequencies. All seeds train at
once (vmap), each with the same initial weights, real samples and noise under every method, so that
differences are paired. The learning rate is the one that suits plain training better, and label
smoothing, noise and R1 have their better strength, by the Fréchet distance on seeds 1000 to 1002
(--choose --seeds 3 --steps 1000). Nothing was chosen for mixup.

Pass rule, fixed before the run: at the end the Fréchet distance is smaller with mixup α=0.2 than
with plain training, and the paired 95 % interval of the difference lies above 0.
"""

import dataclasses
import functools
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import optax

from experiments.gan import step
from experiments.gan.__main__ import FLOOR, Method
from experiments.gan_images import scores
from experiments.harness import cli, intervals
from experiments.harness.choose import FIRST_SEED
from experiments.harness.jobs import Task, Work
from experiments.harness.rules import Claim, Rule
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Table
from experiments.models import dcgan

GROUP, RATE = "digits", 1e-3
CHECKS, LATENT = 10, 16
SHOWN, DRAWN = np.array([1, 2, 3, 5, 10]), 64  # the picture's checks, and digits in each
SMALL = {"steps": 10, "seeds": 2, "batch": 16, "width": 2, "samples": 100}  # with --smoke
METHODS = {
    "plain": Method(),
    "smoothing 0.3": Method(smoothing=0.3),
    "noise σ=0.1": Method(noise=0.1),
    "R1 penalty 1": Method(penalty=1.0),
    "mixup α=0.2": Method(alpha=0.2),
    "mixup α=1": Method(alpha=1.0),
}
CANDIDATES = (  # with --choose
    {f"plain, rate {r}": Method(rate=r) for r in (1e-3, 2e-3)}
    | {f"label smoothing {s}": Method(smoothing=s) for s in (0.1, 0.3)}
    | {f"noise σ={s}": Method(noise=s) for s in (0.1, 0.3)}
    | {f"R1 penalty {w}": Method(penalty=w) for w in (0.1, 1.0)}
)
TABLE = Table(scores.COLUMNS, scores.CAPTION, interval=intervals.FIXED_TEST)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train generators of digits against several discriminators."""

    out: Path = Path("results/gan_images")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    choose: cli.Flag = False
    """Instead compare learning rates and strengths on seeds 1000 and up, into OUT/choose."""
    smoke: cli.Flag = False
    """Ten steps and two seeds, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 5
    """Number of paired seeds, at least two."""
    steps: Annotated[int, cli.Whole(CHECKS, CHECKS)] = 2_000
    """Steps of both networks; a multiple of 10."""
    batch: cli.Count = 64
    """Real samples, and generated ones, in a step."""
    width: cli.Count = 8
    """Channels of both networks at the full size; other layers have multiples of it."""
    samples: cli.Count = 600
    """Number of generated samples to measure at each check."""


RULE = Rule(
    "Fréchet distance of mixup α=0.2 below plain's: {0:.2f}. Pass rule (above 0): {verdict}.",
    (Claim(GROUP, "mixup α=0.2", key="distance"),),
)


def make_work(config: Config, methods: dict[str, Method]) -> Work:
    """A function that trains and measures all seeds of one method."""

    def recipe_of(method: Method) -> step.Recipe:
        *numbers, rate = method
        generator = lambda rngs: dcgan.Generator(LATENT, width=config.width, rngs=rngs)
        discriminator = lambda rngs: dcgan.Discriminator(width=config.width, rngs=rngs)
        adam = optax.adam(rate, b1=0.5)
        return step.Recipe(generator, discriminator, adam, LATENT, *numbers)

    fit = step.seeds(recipe_of)
    scorer = functools.cache(scores.scorer)

    def work(task: Task) -> list[dict]:
        x = np.asarray(scores.data().x)
        rngs = [np.random.default_rng(seed) for seed in task.seeds]

        def draw(*shape: int) -> np.ndarray:
            return np.stack([x[rng.integers(len(x), size=shape)] for rng in rngs])

        if task.method == FLOOR:
            task.tick(CHECKS)
            return scores.measure(scorer(), task.seeds, draw(1, config.samples))
        shape = config.steps // CHECKS, 1, config.batch
        real = (draw(*shape) for _ in range(CHECKS))
        method = methods[task.method]
        method = method._replace(rate=method.rate or RATE)
        samples = fit(method, task.keys, real, samples=config.samples, tick=task.tick)
        results = scores.measure(scorer(), task.seeds, samples)
        if not config.choose:  # what is drawn
            shown = samples[0, SHOWN - 1, :DRAWN, :, :, 0]
            results[0]["samples"] = (16 * shown).round().astype(int).tolist()
        return results

    return work


def main(config: Config) -> int:
    """Train what is missing, then print, write and draw the comparison."""
    config = cli.ready(config, **SMALL)
    methods = CANDIDATES if config.choose else METHODS
    times = [f"after {check * config.steps // CHECKS} steps" for check in SHOWN]
    study = Study(
        out=config.out / "choose" if config.choose else config.out,
        title=f"GANs on digits, {config.seeds} paired seeds, {config.steps} steps",
        name="gan_images",
        config=config,
        groups=[GROUP],
        methods=methods if config.choose else [*methods, FLOOR],
        seeds=config.seeds,
        first_seed=FIRST_SEED if config.choose else 0,
        ticks=CHECKS,
        work=make_work(config, methods),
        table=TABLE,
        plot=None if config.choose else partial(scores.picture, times=times),
        rule=None if config.choose else RULE,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("gan_images", Config, main, __doc__)
