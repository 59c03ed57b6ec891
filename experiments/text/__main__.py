"""Does mixing help a small text classifier?

Words cannot be averaged. What is mixed instead: their embeddings, the features after a random block
(as in TMix), the pooled sentence, or spans of words that change places (as in SSMix, without its
saliency). Sentences differ in length: where features are mixed, the text of both examples is
attended to, the union of their masks. Two variants are also tried: partners of similar length, and,
as a mistake, the example's own mask.

Each seed draws 2,000 movie sentences with two sentiments and 1,000 TREC questions in six classes;
the vocabulary holds the words that occur at least twice in them, and all test sentences are used.
The network has two blocks of attention, 32 wide, reads 24 words, and trains for 360 steps of 32
examples. All methods have dropout 0.3 and weight decay 0.3, fixed after short trials of plain
training on other seeds (dropout 0, 0.3, 0.5; decay 0.01, 0.3). Nothing was chosen for mixing: α =
1. Seeds are paired: the same sentences, weights and order under every method.

    python -m experiments.text --data sentences.npz

Pass rule, fixed before the run: mixing after a random block has less last error than plain training
on both corpora, and the paired 95 % intervals lie above 0.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import jax
import numpy as np

from experiments.core import loop
from experiments.data import sentences
from experiments.harness import cli, plots
from experiments.harness.jobs import Task, Work
from experiments.harness.rules import Claim, Rule
from experiments.harness.runs import seed_results
from experiments.harness.study import Study, run_study
from experiments.harness.tables import ERRORS, SCORES, SCORES_CAPTION, Table
from experiments.text import train
from experiments.text.train import DEPTH, SENTENCE, Method

METHODS = {
    "plain": Method(),
    "word dropout 0.2": Method(word_dropout=0.2),
    "embeddings": Method(alpha=1.0),
    "embeddings, like lengths": Method(alpha=1.0, matched=1.0),
    "embeddings, own mask": Method(alpha=1.0, own_mask=1.0),
    "after a random block": Method(alpha=1.0, first=1.0, last=DEPTH),
    "sentences": Method(alpha=1.0, first=SENTENCE, last=SENTENCE),
    "spans": Method(alpha=1.0, span=1.0),
}
MAIN = "after a random block"
TRAIN = dict(zip(sentences.CORPORA.values(), (2000, 1000), strict=True))  # sentences to learn from
CHECKS = 6  # how often the scores are measured
TABLE = Table(
    columns=(*ERRORS, *SCORES),
    caption="last, best: test error in %, at the end and at the best of six checks, chosen on the "
    "test set. gain: points of last error below the first method, paired by seed. "
    f"{SCORES_CAPTION}",
    options="--data sentences.npz",
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train small transformers on sentences, and compare what is mixed."""

    out: Path = Path("results/text")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    data: Path | None = None
    """An .npz file with the arrays {movie,trec}_{train,test} (texts) and those with _labels."""
    smoke: cli.Flag = False
    """A few steps on made-up sentences and two seeds, into OUT/smoke: shows that all works."""
    seeds: cli.Seeds = 8
    """Number of paired seeds, at least two."""
    steps: Annotated[int, cli.Whole(CHECKS, CHECKS)] = 360
    """How long each network trains; a multiple of 6."""
    batch: cli.Count = 32
    """Sentences in a step."""
    vocabulary: cli.Count = 2000
    """Largest number of words in the vocabulary."""
    length: cli.Count = 24
    """Words of a sentence; longer sentences are cut."""


RULE = Rule(
    f"Points that mixing {MAIN} gains over plain: "
    f"{', '.join(f'{group} {{{i}}}' for i, group in enumerate(TRAIN))}. Pass rule (both intervals "
    "above 0): {verdict}.",
    tuple(Claim(group, MAIN) for group in TRAIN),
)


def read(config: Config) -> dict[str, sentences.Corpus]:
    if config.smoke:
        return sentences.toy()
    if config.data is None:
        raise loop.Stop(
            "--data is missing: name an .npz file of movie sentences (Pang and Lee 2005) and TREC "
            "questions (Li and Roth 2002), arrays {movie,trec}_{train,test} with texts and "
            "{movie,trec}_{train,test}_labels with class numbers."
        )
    with cli.one_sentence():
        return sentences.read(config.data)


def make_work(config: Config) -> Work:
    """A function that trains all seeds of one method on one corpus."""
    corpora, sizes = read(config), {"size": config.vocabulary, "length": config.length}

    def work(task: Task) -> list[dict]:
        corpus = corpora[task.group]
        count = min(TRAIN[task.group], len(corpus.train))
        drawn = [sentences.draw(corpus, seed, train=count, **sizes) for seed in task.seeds]
        data = jax.tree.map(lambda *parts: np.stack(parts), *drawn)
        classes = int(corpus.train_labels.max()) + 1
        setting = train.Setting(config.vocabulary, config.length, classes, config.batch)
        trainer, method = train.study_of(setting), METHODS[task.method]
        length = {"steps": config.steps, "every": config.steps // CHECKS}
        _, scores = trainer.fit(method, data, **length, tick=task.tick)
        return seed_results(scores, {})

    return work


def main(config: Config) -> int:
    """Train what is missing, then print, write and draw the comparison."""
    config = cli.ready(config, steps=12, seeds=2, batch=8, vocabulary=50, length=8)
    sizes = {name: getattr(config, name) for name in ("steps", "batch", "vocabulary", "length")}
    study = Study(
        out=config.out,
        title=f"Sentences, {config.seeds} paired seeds, {config.steps} steps",
        settings={"experiment": "text"} | sizes,
        groups=TRAIN,
        methods=METHODS,
        seeds=config.seeds,
        ticks=config.steps,
        work=make_work(config),
        table=TABLE,
        plot=plots.gains,
        rule=None if config.smoke else RULE,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("text", Config, main, __doc__)
