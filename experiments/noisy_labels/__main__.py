"""Wrong labels told by their losses: does DivideMix need its mixture, or only its two networks?

The setting is that of `experiments.label_noise`: an MLP on half of scikit-learn's digits, with a
share of the training labels replaced by random ones. DivideMix and M-correction
(dividemix.py, next to this file) meet plain training, weight decay, dropout, mixup, and mixup with
dropout, one network each, and pairs of networks, plain or mixed, whose predictions are averaged, as
DivideMix's two are. Nothing is augmented. All train for the same number of steps; DivideMix and
M-correction also look at the whole training set once an epoch. All seeds train at once (vmap), each
with the same split and wrong labels under every method, and the first network starts from the same
weights, so that differences are paired. Numbers are chosen for each rate on three other splits, by
the error at the last epoch, among three candidates for each method that has any.

With --data, pictures, as CIFAR-10's: a small CNN, crops and flips, 5,000 of them for training.

Pass rule, fixed before the run: at 40 % and at 80 % noise the interval of DivideMix's paired gain
over two mixup networks lies above 0 at the last epoch.
"""

import dataclasses
from functools import partial
from pathlib import Path

from rich.console import Console

from experiments.core import loop
from experiments.harness import choose, cli, digits_mlp, plots
from experiments.harness import jobs as sweep
from experiments.harness import runs as report
from experiments.noisy_labels import dividemix
from experiments.noisy_labels.dividemix import Kind, Method

ONE, TWO = Kind(), Kind(nets=2)
DROPOUT, CORRECTED = Kind(dropout=True), Kind(correct="bootstrap")
DIVIDED = Kind(nets=2, correct="divide")
RIVAL = "two, mixup"
METHODS: dict[str, tuple[Kind, dict[str, Method]]] = {
    "plain": (ONE, {"plain": Method()}),
    "weight decay": (ONE, {f"weight decay {d:g}": Method(weight_decay=d) for d in (1, 3, 10)}),
    "dropout": (DROPOUT, {f"dropout {p}": Method(dropout=p) for p in (0.3, 0.5, 0.7)}),
    "mixup α=8": (ONE, {"mixup α=8": Method(alpha=8)}),
    "mixup": (ONE, {f"mixup α={a:g}": Method(alpha=a) for a in (8, 32, float("inf"))}),
    "mixup, dropout": (
        DROPOUT,
        {f"mixup α={a}, dropout {p}": Method(a, 0, p) for a, p in ((8, 0.3), (32, 0.3), (8, 0.5))},
    ),
    "two, plain": (TWO, {"two, plain": Method()}),
    RIVAL: (TWO, {f"two, mixup α={a:g}": Method(alpha=a) for a in (8, 32, float("inf"))}),
    "M-correction": (
        CORRECTED,
        {
            f"M-correction α={a}, from epoch {w}": Method(alpha=a, warmup=w)
            for a, w in ((8, 10), (32, 10), (32, 20))
        },
    ),
    "DivideMix": (
        DIVIDED,
        {
            f"DivideMix λᵤ={u}, from epoch {w}": Method(alpha=4, warmup=w, guessed=u)
            for u, w in ((0, 10), (25, 10), (25, 5))
        },
    ),
}
TABLE = report.Table(
    columns=(
        *report.ERRORS,
        report.Column("one net", "one_error"),
        report.Column("right", "train_right"),
        report.Column("wrong", "train_wrong"),
        report.Column("NLL", "nll", digits=2),
    ),
    caption=f"{report.ERRORS_CAPTION} one net: error at the last epoch of the first network alone. "
    "right, wrong: training error in % on right and on wrong labels; high on wrong ones means not "
    "memorised.",
)


@dataclasses.dataclass(frozen=True)
class Config(digits_mlp.Config):
    """Train with wrong labels, and correct them or not."""

    out: Path = Path("results/noisy_labels")
    """Where runs.jsonl, table.md and plot.png go. A run that was stopped goes on from there."""
    data: str | None = None
    """Pictures in place of digits: what `experiments.data.images` reads, as cifar10; for a GPU."""
    epochs: int = 60
    """How long each network trains."""
    train: int = 5000
    """Of the pictures, for training; 2,000 others are for testing."""


def judge(groups: dict[str, float], runs: list[report.Run]) -> str:
    gains = {group: report.paired(runs, group, RIVAL, "DivideMix") for group in groups}
    shown = [f"{group}: {gain:+.1f} ± {half:.1f}" for group, (gain, half) in gains.items()]
    return (
        f"Gain of DivideMix over two mixup networks, {'; '.join(shown)}. Pass rule (intervals "
        f"above 0): {'PASS' if all(gain > half for gain, half in gains.values()) else 'FAIL'}."
    )


def described(runs: list[report.Run]) -> str:
    """What was chosen, where there was a choice."""
    open_runs = [run for run in runs if run["chosen"] != run["method"]]
    chosen = dict.fromkeys(f"{run['group']}, {run['chosen']}" for run in open_runs)
    return f"Chosen on other splits: {'; '.join(chosen)}."


def main(config: Config) -> int:
    """Choose, train what is missing, then print and write the comparison."""
    config = cli.smoke(config, epochs=2, seeds=2) if config.smoke else config
    names = [RIVAL, "DivideMix"] if config.smoke else list(METHODS)
    methods = {name: METHODS[name] for name in names}
    groups = {f"{rate} % noise": rate / 100 for rate in ((40,) if config.smoke else (40, 80))}
    try:
        data_name, draw, study_of = dividemix.sources(config.data, config.train)
    except (OSError, ValueError) as error:
        raise loop.Stop(str(error)) from error
    made = {name: (kind, m) for kind, ms in methods.values() for name, m in ms.items()}

    def work(first: int, seeds: int, job: sweep.Job, tick: choose.Tick) -> list[dict]:
        (group, name), (kind, method) = job, made[job[1]]
        data = draw(seeds, groups[group], first=first)
        scores = study_of(kind)(method, data, epochs=config.epochs, tick=tick)
        results = report.seed_results(scores, {})
        return [result | {"chosen": name} for result in results]

    console, few = Console(), min(3, config.seeds)
    settings = {"experiment": "noisy_labels", "data": data_name, "epochs": config.epochs}
    found = choose.choose(
        console,
        config.out / "choose.jsonl",
        settings,
        groups,
        {name: list(candidates) for name, (_, candidates) in methods.items()},
        seeds=few,
        ticks=config.epochs,
        work=partial(work, choose.FIRST_SEED, few),
    )

    def run(job: sweep.Job, tick: choose.Tick) -> list[dict]:
        return work(0, config.seeds, (job[0], found[job].name), tick)

    path, sizes = config.out / "runs.jsonl", (config.seeds, config.epochs)
    runs = sweep.run(console, path, settings, list(found), *sizes, run)
    title = f"{data_name}, wrong labels, {config.seeds} paired seeds, {config.epochs} epochs"
    shown = {"table": TABLE, "plot": partial(plots.curves, main_group=list(groups)[-1])}
    shown["verdict"] = "" if config.smoke else f"{judge(groups, runs)} {described(runs)}"
    report.write(config.out, console, title, runs, names, **shown)
    return 0


if __name__ == "__main__":
    cli.main("noisy_labels", Config, main, __doc__)
