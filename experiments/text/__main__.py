"""Does mixing help a text classifier?

Words cannot be averaged. What is mixed instead are their vectors (wordMixup), or the one vector
that stands for a sentence before the last layer (senMixup), as Guo, Mao and Zhang do it (2019,
"Augmenting data with mixup for sentence classification"). The network is theirs, too: Kim's (2014)
CNN-rand, with random vectors of 300 numbers for the words, 100 filters each of 3, 4 and 5 words,
dropout 0.5, batches of 50, and Adam.

The data are movie sentences with two sentiments (8,530 to learn from, 1,066 to be tested on) and
TREC questions in six classes (5,452 and 500). All of them are used; the vocabulary holds the words
that occur at least twice in the sentences learned from.

Every method has the same care. Its strength, one of three, and its number of epochs, one of three,
are those of lowest mean error on held-out sentences over three other seeds: on 1,066 movie
sentences that come with the data, and on a random tenth of TREC's training questions, which results
then learn from. Plain training has a number of epochs only. The error is the one after the last
epoch. Seeds are paired: the same weights and order under every method.

    python -m experiments.text --data sentences.npz

Gate, fixed before the run: plain training over-fits (an error below 2 % on the sentences learned
from) and is as good as in the literature (an error below 26 % on movie sentences and 11 % on TREC
questions; Kim's own are 23.9 and 8.8 %, the former by cross-validation). Pass rule, fixed before
the run: mixing has less error than plain training on both corpora, and the paired 95 % intervals,
over seeds and test sentences, lie above 0. On each corpus that is wordMixup or senMixup, the one
with less error on the held-out sentences.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import jax
import numpy as np

from experiments.core import loop
from experiments.data import sentences
from experiments.harness import cli, intervals, plots
from experiments.harness.choose import Choice, Search
from experiments.harness.jobs import Job, Task, Work
from experiments.harness.rules import Claim, Gate, Rule, mean_below
from experiments.harness.runs import Run, checksum, rounded, seed_results
from experiments.harness.study import Study, run_study
from experiments.harness.tables import SCORES, SCORES_CAPTION, Column, Table
from experiments.models.kim_cnn import SENTENCE, WORDS
from experiments.text import train
from experiments.text.train import Method

ALPHAS = (0.2, 1.0, 4.0)
STRENGTHS: Mapping[str, Mapping[str, Method]] = {
    "plain": {"plain": Method()},
    "wordMixup": {f"wordMixup α={a:g}": Method(alpha=a, layer=WORDS) for a in ALPHAS},
    "senMixup": {f"senMixup α={a:g}": Method(alpha=a, layer=SENTENCE) for a in ALPHAS},
    "word dropout": {f"word dropout {p}": Method(word_dropout=p) for p in (0.1, 0.2, 0.4)},
    "weight decay": {f"weight decay {w}": Method(weight_decay=w) for w in (0.1, 0.3, 1.0)},
}
LENGTHS = {"movie sentences": 40, "TREC questions": 20}  # words; 95 % of the sentences have fewer
TRIES = 3  # seeds for choices
MIXING = ("wordMixup", "senMixup")
GATE = Gate(
    "plain training errs on less than 2 % of the sentences learned from, and on less than 26 % of "
    "the movie sentences and 11 % of the TREC questions for tests",
    (
        *(Claim(group, "plain", None, "train_error", mean_below(2)) for group in LENGTHS),
        Claim("movie sentences", "plain", None, holds=mean_below(26)),
        Claim("TREC questions", "plain", None, holds=mean_below(11)),
    ),
)
TABLE = Table(
    columns=(
        Column("error", "last_error"),
        Column("gain", "last_error", gain=True),
        Column("train", "train_error"),
        *SCORES,
    ),
    caption="error: test error in % after the last epoch. gain: points of error below plain "
    "training, paired by seed. train: error in % on the sentences learned from, without dropout. "
    f"{SCORES_CAPTION}",
    options="--data sentences.npz",
    interval=intervals.SHARED,
)


class Candidate(NamedTuple):
    """What is chosen on held-out sentences."""

    method: Method
    epochs: int


@dataclasses.dataclass(frozen=True)
class Config:
    """Train Kim's network on sentences, and compare what is mixed."""

    out: Path = Path("results/text")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    data: Path | None = None
    """An .npz file with the arrays {movie,trec}_{train,test} (texts) and those with _labels."""
    smoke: cli.Flag = False
    """A few steps on made-up sentences and two seeds, into OUT/smoke: shows that all works."""
    seeds: cli.Seeds = 5
    """Number of paired seeds, at least two."""
    epochs: Annotated[int, cli.Whole(4, 4)] = 16
    """The longest training, a multiple of 4; a half and a fourth of it are tried, too."""
    batch: cli.Count = 50
    """Sentences in a step."""
    rate: float = 1e-3
    """Adam's learning rate."""
    width: cli.Count = 300
    """Numbers in a word's vector."""
    maps: cli.Count = 100
    """Filters of each of the three sizes."""


def rule(runs: list[Run]) -> str:
    """The verdict on the kind of mixing that is better on each corpus's held-out sentences."""
    claims = []
    for group in LENGTHS:
        errors = {r["method"]: r["chosen_error"] for r in runs if r["group"] == group}
        claims.append(Claim(group, min(MIXING, key=errors.__getitem__)))
    parts = (f"{c.group} {{{i}}} ({c.method})" for i, c in enumerate(claims))
    text = (
        "Points of error that mixing gains over plain training, of the kind that is better on "
        f"held-out sentences: {', '.join(parts)}. Pass rule (both intervals above 0): {{verdict}}."
    )
    return Rule(text, tuple(claims), interval=intervals.SHARED, gate=GATE)(runs)


def candidates(config: Config) -> dict[str, dict[str, Candidate]]:
    """Each method's strengths, each with three numbers of epochs."""
    lengths = [config.epochs // part for part in (4, 2, 1)]
    return {
        name: {
            f"{label}, {epochs} epochs": Candidate(method, epochs)
            for label, method in strengths.items()
            for epochs in lengths
        }
        for name, strengths in STRENGTHS.items()
    }


def read(config: Config) -> dict[str, sentences.Corpus]:
    if config.smoke:
        return sentences.toy()
    if config.data is None:
        raise loop.Stop(
            "--data is missing: name an .npz file of movie sentences (Pang and Lee 2005) and TREC "
            "questions (Li and Roth 2002), arrays {movie,trec}_{train,test} with texts and "
            "{movie,trec}_{train,test}_labels with class numbers, and for choices those of "
            "movie_val."
        )
    with cli.one_sentence():
        return sentences.read(config.data)


def make_works(config: Config, corpora: Mapping[str, sentences.Corpus]) -> tuple[Work, Work]:
    """Functions that try a candidate on held-out sentences, and that train the chosen one."""
    tried = {label: n for labels in candidates(config).values() for label, n in labels.items()}

    def fit(group: str, corpus: sentences.Corpus, seed: int, candidate: Candidate) -> train.Fitted:
        whole, data = corpora[group], sentences.encoded(corpus, LENGTHS[group])
        # Sizes are those of all training sentences: one program, whatever is held out.
        words, classes = len(sentences.vocabulary(whole.train)), int(whole.train_labels.max()) + 1
        sizes = words + sentences.UNKNOWN + 1, classes
        setting = train.Setting(*sizes, config.batch, config.rate, config.width, config.maps)
        method, epochs = candidate
        return train.fit(train.trainer_of(setting), method, data, seed=seed, epochs=epochs)

    @functools.lru_cache(1)
    def longest(group: str, method: Method, seed: int) -> dict[str, np.ndarray]:
        corpus = sentences.for_choices(corpora[group], seed)
        return fit(group, corpus, seed, Candidate(method, config.epochs)).scores

    def try_out(task: Task) -> list[dict]:
        """Short trainings are the beginning of the longest, as the learning rate is constant."""
        method, epochs = tried[task.method]
        found = [longest(task.group, method, seed) for seed in task.seeds]
        task.tick(config.epochs)
        scores = {name: np.stack([one[name][:epochs] for one in found]) for name in found[0]}
        return seed_results(scores, {}, seeds=task.seeds)

    def work(task: Task) -> list[dict]:
        choice = task.chosen[task.group, task.method]
        found = [fit(task.group, corpora[task.group], seed, choice.numbers) for seed in task.seeds]
        task.tick(config.epochs)
        scores, final, hits = jax.tree.map(lambda *parts: np.stack(parts), *found)
        results = seed_results(scores, final, seeds=task.seeds, hits=hits)
        kept = {"chosen": choice.name, "chosen_error": rounded(choice.error)}
        return [result | kept for result in results]

    return try_out, work


def said(job: Job, choice: Choice) -> str:
    """What was chosen, for the verdict."""
    return f"{choice.name} ({job[0]})"


def main(config: Config) -> int:
    """Choose, train what is missing, then print, write and draw the comparison."""
    config = cli.ready(config, seeds=2, epochs=4, batch=20, width=8, maps=4)
    corpora = read(config)
    texts = [text for c in corpora.values() for text in (*c.train, *c.val, *c.test)]
    try_out, work = make_works(config, corpora)
    options = {"seeds": 1 if config.smoke else TRIES, "said": said, "other": "sentences and seeds"}
    study = Study(
        out=config.out,
        title=f"Sentences, {config.seeds} paired seeds",
        name="text",
        config=config,
        facts={"data": checksum(np.array(texts))},
        groups=LENGTHS,
        methods=STRENGTHS,
        seeds=config.seeds,
        ticks=config.epochs,
        work=work,
        table=TABLE,
        plot=functools.partial(plots.gains, interval=intervals.SHARED),
        rule=None if config.smoke else rule,
        search=Search(candidates(config), try_out, **options),
        one_by_one=True,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("text", Config, main, __doc__)
