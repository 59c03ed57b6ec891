"""Does a network trained with mixup know how sure it may be?

A small MLP learns half of scikit-learn's digits, with right labels and with 40 % of them replaced
by random ones. 300 other images, with true labels, choose a temperature; the rest test calibration,
before and after the logits are divided by it ("scaled"), and whether confidence tells digits from
8 x 8 patches of photographs and from digits whose pixels are shuffled. All seeds train at once,
each with the same split, labels, initial weights and order under every method. Weight decay, and
when to stop early, are chosen by NLL on ten other splits. RegMixup learns from each batch and from
its mixup: in as many steps it sees twice the examples.

Prediction, fixed before the run; it passes if all three parts hold; intervals are paired.
(1) With right labels each mixup's ECE is above plain training's, the interval above 0, and the
interval of its gap is below 0. (2) At 40 % noise ECE is U-shaped in α: that of α = 0.2 is below
plain training's and below that of α = 8, both intervals above 0. (3) After scaling, of the six
differences in ECE between mixup and plain training (three α, two rates) at most one is over 2
points.
"""

import dataclasses
import functools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array
from rich.console import Console

from experiments.core import metrics
from experiments.core.methods import Method
from experiments.data import strange
from experiments.harness import cli, diagrams, digits_mlp
from experiments.harness import jobs as sweep
from experiments.harness import runs as report

METHODS = digits_mlp.METHODS | {
    "stopped early": Method(),  # plain, for as many epochs as `settle` finds
    "dropout 0.5": Method(dropout=0.5),
    "RegMixup α=10": Method(alpha=10.0, regmixup=True),
}
OPEN = {"weight decay": digits_mlp.DECAYS, "stopped early": {"plain": Method()}}
RATES = {"0 % noise": 0.0, "40 % noise": 0.4}
SCALED = ", scaled"  # behind the name of a group
HELD = 300  # images of those that are not trained on, for the temperature
UNITLESS = ("temperature", "bins")
TABLE = report.Table(
    columns=(
        report.Column("error", "last_error"),
        report.Column("ECE", "ece"),
        report.Column("gain", "ece", gain=True),
        report.Column("gap", "gap"),
        report.Column("NLL", "nll", digits=2),
        report.Column("Brier", "brier", digits=3),
        report.Column("photos", "photos_softmax_auroc"),
        report.Column("energy", "photos_energy_auroc"),
        report.Column("pixels", "shuffled_softmax_auroc"),
    ),
    caption="error: of the test, %. ECE: expected calibration error in 15 bins, points. gain: "
    "points of ECE below the first method, paired by seed. gap: confidence - accuracy, points. "
    "photos, pixels: AUROC in % of the largest probability, test digits against patches of "
    "photographs and against shuffled digits; energy: of the logits' logsumexp, for photographs.",
)


@dataclasses.dataclass(frozen=True)
class Config(digits_mlp.Config):
    """Compare how methods are calibrated, and how they take pictures of no digit."""

    out: Path = Path("results/calibration")
    """Where runs.jsonl, table.md and plot.png go. A run that was stopped goes on from there."""


@jax.jit
@partial(jax.vmap, in_axes=(0, 0, 0, None))
def measure(logits: Array, odd: dict[str, Array], y: Array, scaled: Array) -> dict[str, Array]:
    """What is to be known of one seed, from its logits on the test half and on strange pictures."""
    t = jnp.where(scaled, metrics.temperature(logits[:HELD], y[:HELD]), 1.0)
    inside, y = logits[HELD:] / t, y[HELD:]
    found = {"temperature": t, "bins": metrics.reliability(inside, y)}
    for name, outside in odd.items():
        scores = metrics.detection(inside, outside / t)
        found |= {f"{name}_{score}": value for score, value in scores.items()}
    return found | metrics.classification(inside, y)


def make_work(config: Config, settled: dict) -> Callable[..., list[dict]]:
    """The function that gives one method's runs in one group."""

    @functools.lru_cache(maxsize=1)  # the groups before and after scaling share their networks
    def trained(name: str, rate: str) -> tuple[Array, dict[str, Array], Array]:
        method = settled[rate, name].method if name in OPEN else METHODS[name]
        data = digits_mlp.halves(config.seeds, RATES[rate])
        study = digits_mlp.study_of(method.dropout, method.regmixup)
        epochs = settled[rate, name].epochs if name == "stopped early" else config.epochs
        state, _ = study.fit(method, data, epochs=epochs, tick=lambda n: None)
        logits = partial(study.apply, method, state)
        odd = {name: logits(jax.vmap(kind)(data.x_test)) for name, kind in strange.KINDS.items()}
        return logits(data.x_test), odd, data.y_test

    def work(job: sweep.Job, tick: Callable[[int], None]) -> list[dict]:
        group, name = job
        final = measure(*trained(name, group.removesuffix(SCALED)), group.endswith(SCALED))
        tick(1)
        scores, plain = {"error": final.pop("error")[:, None]}, (*report.PLAIN, *UNITLESS)
        return report.seed_results(scores, final, plain=plain)

    return work


def judge(runs: list[report.Run]) -> str:
    """The prediction, part by part."""
    more = lambda *names: report.paired(runs, *names, key="ece")  # ECE of one method over another's
    gap = lambda name: report.mean_interval([*report.by_seed(runs, clean, name, "gap").values()])
    mixups, (clean, noisy) = digits_mlp.MIXUPS, RATES
    excess = [more(clean, name, "plain") for name in mixups]
    first = all(d > h for d, h in excess) and all(g < -h for g, h in map(gap, mixups))
    dips = [more(noisy, name, "mixup α=0.2") for name in ("plain", "mixup α=8")]
    left = [more(rate + SCALED, name, "plain")[0] for rate in RATES for name in mixups]
    parts = first, all(d > h for d, h in dips), sum(abs(d) > 2 for d in left) <= 1
    shown = lambda pairs: ", ".join(f"{mean:+.1f} ± {half:.1f}" for mean, half in pairs)
    held = [("does not hold", "holds")[part] for part in parts]
    return (
        f"Prediction, in points of ECE: {'PASS' if all(parts) else 'FAIL'}. (1) {held[0]}: with "
        f"right labels {', '.join(mixups)} have {shown(excess)} more than plain training. (2) "
        f"{held[1]}: at 40 % noise plain training has {shown(dips[:1])} and mixup α=8 "
        f"{shown(dips[1:])} more than mixup α=0.2. (3) {held[2]}: after scaling mixup has "
        f"{', '.join(f'{mean:+.1f}' for mean in left)} more than plain training."
    )


def main(config: Config) -> int:
    """Train what is missing, then print and write the comparison."""
    config = cli.smoke(config, epochs=2, seeds=2) if config.smoke else config
    console, sizes = Console(), {"seeds": config.seeds, "epochs": config.epochs}
    chosen = config.out / "choose.jsonl"
    settled = digits_mlp.settle(console, chosen, RATES, OPEN, score="nll", **sizes)
    jobs = [(r + suffix, name) for r in RATES for name in METHODS for suffix in ("", SCALED)]
    path, settings = config.out / "runs.jsonl", {"experiment": "calibration"} | sizes
    work = make_work(config, settled)
    runs = sweep.run(console, path, settings, jobs, config.seeds, 1, work)
    title = f"Calibration on digits, {config.seeds} paired seeds, {config.epochs} epochs"
    verdict = f"{judge(runs)} {digits_mlp.described(settled)}"
    options = {"table": TABLE, "plot": diagrams.reliability, "verdict": verdict}
    report.write(config.out, console, title, runs, list(METHODS), **options)
    return 0


if __name__ == "__main__":
    cli.main("calibration", Config, main, __doc__)
