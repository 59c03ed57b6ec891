"""Does mixup help a head on frozen sentence embeddings?

A frozen encoder (all-MiniLM-L6-v2) gives 384 numbers for a sentence, and a head learns classes from
them: 8,530 movie sentences with two sentiments, and 5,452 TREC questions in six classes, with their
labels as they are, or each replaced with probability 0.4 by a random one. The head is an MLP with
two hidden layers of 512 ReLUs, or linear, as many would take first. AdamW trains it for 30 epochs
in batches of 128. Each seed has the same wrong labels, weights and order under every method; all
are tested on the same sentences. Mixup blends embeddings and labels.

Each method but plain training has four candidates, from which one is chosen for each corpus and
rate of noise, by the last error on held-out sentences whose labels are right: the movies' own part
for this, or a tenth of TREC's training questions. "stopped" ends at the epoch that was best there.
Choosing uses other seeds. Results train on all training sentences.

    python -m experiments.embeddings --data sentence_embeddings.npz

Both archives come from `python -m experiments.data.fetch`; sentences.npz, with the labels, is
expected next to the other.

Gate, fixed before the run: plain training memorises, which is an error on its own wrong training
labels below 30 % at the end, on both corpora at 40 % noise. Pass rule, fixed before the run: at 40
% noise and on both corpora, the interval of mixup's gain over plain training in last error lies
above 0, with alpha chosen, and that of its gain over the chosen dropout does not lie below 0.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.core import loop
from experiments.core.methods import Method
from experiments.data import embeddings
from experiments.data.sentences import CORPORA
from experiments.embeddings import train
from experiments.embeddings.train import Kind, Sizes
from experiments.harness import cli, intervals, plots
from experiments.harness.choose import Choice, by_last_error
from experiments.harness.jobs import Job, Task
from experiments.harness.rules import Claim, Gate, Rule, mean_below, not_below
from experiments.harness.runs import checksum
from experiments.harness.study import Study, run_study
from experiments.harness.tables import SCORES, SCORES_CAPTION, Column, Table

Candidate = tuple[Kind, Method]
MLP, LINEAR, DROPOUT = Kind(), Kind(linear=True), Kind(dropout=True)
METHODS: dict[str, dict[str, Candidate]] = {
    "plain": {"plain": (MLP, Method())},
    "linear head": {
        f"linear head, weight decay {d:g}": (LINEAR, Method(weight_decay=d))
        for d in (0.0, 1.0, 10.0, 30.0)
    },
    "weight decay": {
        f"weight decay {d:g}": (MLP, Method(weight_decay=d)) for d in (1.0, 10.0, 20.0, 40.0)
    },
    "dropout": {
        f"dropout {p}": (DROPOUT, Method(dropout=p)) for p in (0.3, 0.5, 0.7, 0.8)
    },
    "label smoothing": {
        f"label smoothing {s}": (MLP, Method(smoothing=s)) for s in (0.05, 0.1, 0.3, 0.6)
    },
    "mixup": {f"mixup α={a:g}": (MLP, Method(alpha=a)) for a in (0.2, 1.0, 8.0, 32.0)},
    "mixup α=8": {"mixup α=8": (MLP, Method(alpha=8.0))},
}  # fmt: skip
NOISE = (0.4, 0.0)
TABLE = Table(
    columns=(
        Column("last", "last_error"),
        Column("gain", "last_error", gain=True),
        Column("stopped", "stopped_error"),
        Column("gain, stopped", "stopped_error", gain=True),
        Column("right", "train_right"),
        Column("wrong", "train_wrong"),
        *SCORES,
    ),
    caption="last, stopped: test error in %, at the last epoch and at the one that was best on "
    "held-out sentences, on other seeds. Gains: points of each below plain training, paired by "
    "seed. right, wrong: training error in % on right and on wrong labels; high on wrong ones "
    f"means not memorised. {SCORES_CAPTION}",
    options="--data sentence_embeddings.npz",
    interval=intervals.SHARED,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train heads on frozen embeddings, with right and with wrong labels."""

    out: Path = Path("results/embeddings")
    """Folder for choose.jsonl, runs.jsonl, table.md and plot.png. A stopped run goes on."""
    data: Path | None = None
    """The .npz file of embeddings; sentences.npz with the labels lies next to it."""
    smoke: cli.Flag = False
    """Two epochs on made-up embeddings and two seeds, into OUT/smoke: shows that all works."""
    seeds: cli.Seeds = 20
    """Number of paired seeds, at least two."""
    tries: cli.Count = 3
    """Number of other seeds for each candidate."""
    epochs: cli.Count = 30
    """How long each head trains."""
    hidden: cli.Count = 512
    """Width of both hidden layers."""
    batch: cli.Count = 128
    """Sentences in a step."""


class Group(NamedTuple):
    """A corpus, and how many of its labels are replaced."""

    corpus: embeddings.Corpus
    noise: float


Fit = Callable[[Candidate, Task], tuple[dict, dict, np.ndarray]]


def group_name(title: str, noise: float) -> str:
    return f"{title}, {noise:.0%} noise".replace("%", " %")


NOISY = tuple(group_name(title, NOISE[0]) for title in CORPORA.values())
RULE = Rule(
    "Points of last error that mixup, its alpha chosen, gains at 40 % noise over plain training: "
    f"{', '.join(f'{title} {{{i}}}' for i, title in enumerate(CORPORA.values()))}; over the chosen "
    f"dropout: {', '.join(f'{title} {{{i}}}' for i, title in enumerate(CORPORA.values(), start=2))}"
    ". Pass rule (both of the first above 0, neither of the others below 0): {verdict}.",
    (
        *(Claim(group, "mixup") for group in NOISY),
        *(Claim(group, "mixup", over="dropout", holds=not_below()) for group in NOISY),
    ),
    interval=intervals.SHARED,
    gate=Gate(
        "plain training's error on its wrong training labels below 30 %",
        tuple(
            Claim(group, "plain", over=None, key="train_wrong", holds=mean_below(30))
            for group in NOISY
        ),
    ),
)


def read(config: Config) -> dict[str, embeddings.Corpus]:
    if config.smoke:
        return embeddings.toy()
    if config.data is None:
        raise loop.Stop(
            "--data is missing: name the .npz file that `python -m experiments.data.fetch "
            "sentence_embeddings` writes, next to sentences.npz."
        )
    with cli.one_sentence():
        return embeddings.read(config.data)


def make_fit(config: Config, groups: dict[str, Group]) -> Fit:
    """A function that trains a candidate on a group.

    It gives the scores [seeds, epochs], what is measured once [seeds], and which test sentences are
    right at the end [seeds, sentences].
    """

    def fit(candidate: Candidate, task: Task) -> tuple[dict, dict, np.ndarray]:
        (kind, method), (corpus, noise) = candidate, groups[task.group]
        data = train.draw(corpus, task.seeds, noise, held_out=task.choosing)
        classes = int(corpus.y.max()) + 1
        sizes = Sizes(corpus.x.shape[1], config.hidden, classes, config.batch)
        trainer = train.trainer_of(kind, sizes)
        state, scores = trainer.fit(
            method, data, seeds=task.seeds, epochs=config.epochs, tick=task.tick
        )
        missed = trainer.apply(method, state, data.x).argmax(-1) != data.y
        right, wrong = (missed & ~data.wrong).sum(1), (missed & data.wrong).sum(1)
        final = {"train_right": right / (~data.wrong).sum(1)}
        final["train_wrong"] = wrong / data.wrong.sum(1)  # NaN where no label is wrong
        hits = trainer.apply(method, state, data.x_test).argmax(-1) == data.y_test
        return scores, final, np.asarray(hits)

    return fit


def said(job: Job, best: Choice) -> str:
    """What was chosen, where there was something to choose."""
    return f"{job[0]}: {best.name}" if len(METHODS[job[1]]) > 1 else ""


def main(config: Config) -> int:
    """Choose, train what is missing, then print, write and draw the comparison."""
    config = cli.ready(config, seeds=2, tries=2, epochs=2, hidden=16, batch=50)
    corpora = read(config)
    groups = {
        group_name(title, noise): Group(corpus, noise)
        for noise in (NOISE[:1] if config.smoke else NOISE)
        for title, corpus in corpora.items()
    }
    options = {"seeds": config.tries, "said": said, "other": "seeds, by held-out sentences"}
    search, work = by_last_error(METHODS, make_fit(config, groups), **options)
    study = Study(
        out=config.out,
        title=f"Heads on frozen embeddings, {config.seeds} paired seeds, {config.epochs} epochs",
        name="embeddings",
        config=config,
        facts={"data": {title: checksum(corpus.x) for title, corpus in corpora.items()}},
        groups=groups,
        methods=METHODS,
        seeds=config.seeds,
        ticks=config.epochs,
        work=work,
        table=TABLE,
        plot=partial(plots.gains, interval=intervals.SHARED),
        rule=None if config.smoke else RULE,
        search=search,
        one_by_one=True,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("embeddings", Config, main, __doc__)
