"""Finding wrong labels by their losses: does DivideMix need its mixture, or only its two networks?

The setting is that of `experiments.label_noise`: an MLP on half of scikit-learn's digits, with a
fraction of the training labels replaced by random ones. DivideMix and M-correction (dividemix.py,
next to this file) are compared with plain training, weight decay, dropout, mixup, and mixup with
dropout, one network each, and with pairs of networks, plain or mixed, whose predictions are
averaged, as those of DivideMix's two networks are. Nothing is augmented. All train for the same
number of steps; DivideMix and M-correction also look at the whole training set once an epoch. All
seeds train at once (vmap), each with the same examples and wrong labels under every method, and the
first network starts from the same weights, so that differences are paired. All seeds test on the
same 599 digits. Numbers are chosen for each rate by the error at the last epoch, by three other
seeds and the 300 digits that each of them leaves over, from three candidates for each method but
plain training, "mixup α=8" and "two, plain", which have one.

With --data, pictures are used, as CIFAR-10's: a small CNN, crops and flips, 5,000 of them for
training, 2,000 set aside for testing, and 2,000 left over to choose by.

Pass rule, fixed before the run: at 40 % and at 80 % noise the interval of DivideMix's paired gain
over two mixup networks lies above 0 at the last epoch.
"""

import dataclasses
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from experiments.harness import cli, digits_mlp, intervals, plots
from experiments.harness.choose import OUTSIDE, Choice, Search
from experiments.harness.jobs import Job, Task
from experiments.harness.rules import Claim, Rule
from experiments.harness.runs import seed_results
from experiments.harness.study import Study, run_study
from experiments.harness.tables import ERRORS, ERRORS_CAPTION, Column, Table
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
TABLE = Table(
    columns=(
        *ERRORS,
        Column("one net", "one_error"),
        Column("right", "train_right"),
        Column("wrong", "train_wrong"),
        Column("NLL", "nll", digits=2),
    ),
    caption=f"{ERRORS_CAPTION} one net: error at the last epoch of the first network alone. "
    "right, wrong: training error in % on right and on wrong labels; high on wrong ones means not "
    "memorised.",
    interval=intervals.SHARED,
)


@dataclasses.dataclass(frozen=True)
class Config(digits_mlp.Config):
    """Train with wrong labels, and correct them or not."""

    out: Path = Path("results/noisy_labels")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    data: str | None = None
    """Pictures in place of digits that `experiments.data.images` reads, as cifar10; for a GPU."""
    epochs: cli.Count = 60
    """How long each network trains."""
    train: cli.Count = 5000
    """Number of pictures for training; 4,000 others are for testing and choosing."""


def rule_of(groups: Iterable[str]) -> Rule:
    """The pass rule: a gain over two mixup networks in each group."""
    shown = [f"{group}: {{{i}}}" for i, group in enumerate(groups)]
    return Rule(
        f"Gain of DivideMix over two mixup networks, {'; '.join(shown)}. Pass rule (intervals "
        "above 0): {verdict}.",
        tuple(Claim(group, "DivideMix", over=RIVAL) for group in groups),
        interval=intervals.SHARED,
    )


def said(job: Job, best: Choice) -> str:
    """What was chosen, where there was a choice."""
    group, method = job
    return "" if best.name == method else f"{group}, {best.name}"


def main(config: Config) -> int:
    """Choose, train what is missing, then print and write the comparison."""
    config = cli.ready(config, epochs=2, seeds=2)
    methods = {name: METHODS[name] for name in ((RIVAL, "DivideMix") if config.smoke else METHODS)}
    groups = {f"{rate} % noise": rate / 100 for rate in ((40,) if config.smoke else (40, 80))}
    with cli.one_sentence():
        data_name, draw, study_of = dividemix.sources(config.data, config.train)
    made = {name: (kind, m) for kind, ms in methods.values() for name, m in ms.items()}

    def try_out(task: Task) -> list[dict]:
        kind, method = made[task.method]
        data = draw(task.seeds, groups[task.group], choosing=task.choosing)
        sizes = {"seeds": task.seeds, "epochs": config.epochs, "tick": task.tick}
        scores = study_of(kind)(method, data, **sizes)
        hits = scores.pop("hits")[:, -1]
        results = seed_results(scores, {}, seeds=task.seeds, hits=None if task.choosing else hits)
        return [result | {"chosen": task.method} for result in results]

    def work(task: Task) -> list[dict]:
        return try_out(task._replace(method=task.chosen[task.group, task.method].name))

    study = Study(
        out=config.out,
        title=f"{data_name}, wrong labels, {config.seeds} paired seeds, {config.epochs} epochs",
        name="noisy_labels",
        config=config,
        facts={"pictures": data_name},
        groups=groups,
        methods=methods,
        seeds=config.seeds,
        ticks=config.epochs,
        work=work,
        table=TABLE,
        plot=partial(plots.curves, main_group=list(groups)[-1], interval=intervals.SHARED),
        rule=None if config.smoke else rule_of(groups),
        search=Search(
            {name: candidates for name, (_, candidates) in methods.items()},
            try_out,
            seeds=min(3, config.seeds),
            said=None if config.smoke else said,
            other=OUTSIDE,
        ),
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("noisy_labels", Config, main, __doc__)
