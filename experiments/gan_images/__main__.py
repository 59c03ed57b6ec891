"""Does mixup steady the discriminator of a GAN on pictures?

scikit-learn's digits, 8 x 8: 1,197 to learn from, 600 held out to compare with. A small
convolutional generator, Adam, and the discriminators of `experiments.gan`: plain, with label
smoothing, noise or an R1 penalty, and mixup, which learns how much of a blend is real. The scores
come from a small classifier of the real digits: the Fréchet distance on its features (not FID), the
classes covered, the KL divergence of their shares. All seeds train at once (vmap), each with the
same initial weights, real samples and noise under every method, so that differences are paired. The
learning rate is the one that suits plain training better, and label smoothing, noise and R1 have
their better strength, by the Fréchet distance on seeds 1000 to 1002 (--choose --seeds 3 --steps
1000). Nothing was chosen for mixup.

Pass rule, fixed before the run: at the end the Fréchet distance is smaller with mixup α=0.2 than
with plain training, and the paired 95 % interval of the difference lies above 0.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
from rich.console import Console

from experiments.core import loop
from experiments.gan import step
from experiments.gan.__main__ import FLOOR, Method
from experiments.gan_images import scores
from experiments.harness import choose, cli
from experiments.harness import jobs as sweep
from experiments.harness import runs as report
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
TABLE = report.Table(scores.COLUMNS, scores.CAPTION)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train generators of digits against several discriminators."""

    out: Path = Path("results/gan_images")
    """Where runs.jsonl, table.md and plot.png go. A run that was stopped goes on from there."""
    choose: cli.Flag = False
    """Compare learning rates and strengths on seeds 1000 and up instead, into OUT/choose."""
    smoke: cli.Flag = False
    """Ten steps and two seeds, into OUT/smoke: shows that everything works, and nothing else."""
    seeds: int = 5
    """How many paired seeds, two or more."""
    steps: int = 2_000
    """Of both networks; a multiple of 10."""
    batch: int = 64
    """Real samples, and generated ones, in a step."""
    width: int = 8
    """Of both networks: channels at the full size, and their multiples."""
    samples: int = 600
    """Generated to be measured, at each check."""


def make_work(config: Config, methods: dict[str, Method]) -> Callable[..., list[dict]]:
    """The function that trains and measures all seeds of one method."""

    def recipe_of(method: Method) -> step.Recipe:
        *numbers, rate = method
        generator = lambda rngs: dcgan.Generator(LATENT, width=config.width, rngs=rngs)
        discriminator = lambda rngs: dcgan.Discriminator(width=config.width, rngs=rngs)
        adam = optax.adam(rate, b1=0.5)
        return step.Recipe(generator, discriminator, adam, LATENT, *numbers)

    fit, first = step.seeds(recipe_of), choose.FIRST_SEED if config.choose else 0
    seeds = range(first, first + config.seeds)
    x, scorer = np.asarray(scores.data().x), scores.scorer()

    def work(job: sweep.Job, tick: Callable[[int], None]) -> list[dict]:
        rngs = [np.random.default_rng(seed) for seed in seeds]
        draw = lambda *shape: np.stack([x[rng.integers(len(x), size=shape)] for rng in rngs])
        if job[1] == FLOOR:
            tick(CHECKS)
            return scores.measure(scorer, draw(1, config.samples))
        shape = config.steps // CHECKS, 1, config.batch
        real, keys = (draw(*shape) for _ in range(CHECKS)), np.array(seeds)
        method = methods[job[1]]._replace(rate=methods[job[1]].rate or RATE)
        samples = fit(
            method, jax.vmap(jax.random.key)(keys), real, samples=config.samples, tick=tick
        )
        results = scores.measure(scorer, samples)
        if not config.choose:  # what is drawn
            shown = samples[0, SHOWN - 1, :DRAWN, :, :, 0]
            results[0]["samples"] = (16 * shown).round().astype(int).tolist()
        return results

    return work


def judge(runs: list[report.Run]) -> str:
    """The verdict of the pass rule."""
    gain, half = report.paired(runs, GROUP, "plain", "mixup α=0.2", "distance")
    return (
        f"Fréchet distance of mixup α=0.2 below plain's: {gain:.2f} ± {half:.2f}. Pass rule "
        f"(above 0): {'PASS' if gain - half > 0 else 'FAIL'}."
    )


def main(config: Config) -> int:
    """Train what is missing, then print, write and draw the comparison."""
    config = cli.smoke(config, **SMALL) if config.smoke else config
    if config.steps < CHECKS or config.steps % CHECKS:
        raise loop.Stop(f"--steps got {config.steps}; it needs a multiple of {CHECKS}: take 2000.")
    out, methods = (config.out / "choose", CANDIDATES) if config.choose else (config.out, METHODS)
    names = [*methods] if config.choose else [*methods, FLOOR]
    sizes = {name: getattr(config, name) for name in ("steps", "batch", "width", "samples")}
    settings = {"experiment": "gan_images", "choose": config.choose} | sizes
    jobs = [(GROUP, name) for name in names]
    path, work, console = out / "runs.jsonl", make_work(config, methods), Console()
    runs = sweep.run(console, path, settings, jobs, config.seeds, CHECKS, work)
    times = [f"after {check * config.steps // CHECKS} steps" for check in SHOWN]
    title = f"GANs on digits, {config.seeds} paired seeds, {config.steps} steps"
    picture = partial(scores.picture, times=times)
    plot, verdict = (None, "") if config.choose else (picture, judge(runs))
    report.write(out, console, title, runs, names, table=TABLE, plot=plot, verdict=verdict)
    return 0


if __name__ == "__main__":
    cli.main("gan_images", Config, main, __doc__)
