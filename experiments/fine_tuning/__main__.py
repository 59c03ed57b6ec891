"""Does mixing confident with unconfident examples help to fine-tune a small language model?

A causal transformer (2 layers, width 64) learns next words of 8,530 movie sentences and of those
TREC questions that do not fine-tune it. Then it is fine-tuned on 300 TREC questions, each followed
by a separator, its class as one word, and the end; the loss is that of the last two. It is tested
by the probability that it gives to the right word, of all 4,000, after the 500 test questions.

SFTMix fine-tunes twice. The mean log-likelihood of each answer over scores of the first run says
in which half of confidence a question is. The second run adds a loss on last hidden states, which
are blended across the halves. "random partners" is the same with any other example of the batch.
Each seed has its own language model, questions, weights and order, the same under every method.
AdamW trains all methods for 24 epochs, "fewer epochs" for less; its rate falls linearly to 0.

What is judged is the NLL of the answers, which is what fine-tuning lowers, and what over-fitting
spoils first; errors on 500 questions say too little. Each method but plain fine-tuning has four
candidates. The one of least NLL at the end is chosen by other seeds, on 500 training
questions that neither the language model nor its fine-tuning sees.

    python -m experiments.fine_tuning --data sentences.npz

Gate, fixed before the run: plain fine-tuning over-fits, which is an error below 2 % on its own
answers at the end. Pass rule, fixed before the run: SFTMix, chosen, has less NLL at the end than
plain fine-tuning, and the paired 95 % interval, over seeds and test questions, lies above 0; and
that of its gain over the best baseline does not lie below 0. The best baseline is, of fewer epochs,
dropout, weight decay and label smoothing, the one of least NLL on the held-out questions.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from experiments.core import loop
from experiments.data import sentences
from experiments.fine_tuning import train
from experiments.fine_tuning.train import EVERY, Known, Method, Setting
from experiments.harness import cli, plots
from experiments.harness.choose import Choice, Search
from experiments.harness.intervals import SHARED, mean_interval
from experiments.harness.jobs import Job, Task, Work
from experiments.harness.rules import Claim, Gain, Gate, above, mean_below, not_below, passed
from experiments.harness.runs import Run, checksum, rounded, seed_results
from experiments.harness.study import Study, run_study
from experiments.harness.tables import SCORES, SCORES_CAPTION, Column, Table

GROUP = "300 questions"
TRIES = 3  # seeds for choices


EPOCHS = 24


def mixed(name: str, across: float) -> dict[str, Method]:
    """Candidates that mix."""
    return {
        f"{name} α={a:g}, weight {w:g}": Method(w, a, across)
        for a in (0.5, 2.0)
        for w in (2.0, 6.0)
    }


METHODS: dict[str, dict[str, Method]] = {
    "plain": {"plain": Method()},
    "fewer epochs": {f"{n} epochs": Method(stop=n / EPOCHS) for n in (6, 8, 12, 16)},
    "dropout": {f"dropout {p}": Method(dropout=p) for p in (0.3, 0.5, 0.6, 0.7)},
    "weight decay": {f"weight decay {w:g}": Method(weight_decay=w) for w in (0.3, 1.0, 3.0, 10.0)},
    "label smoothing": {
        f"label smoothing {s}": Method(smoothing=s) for s in (0.005, 0.01, 0.02, 0.05)
    },
    "random partners": mixed("random partners", 0.0),
    "SFTMix": mixed("SFTMix", 1.0),
}
BASELINES = ("fewer epochs", "dropout", "weight decay", "label smoothing")
GATE = Gate(
    "plain fine-tuning errs on less than 2 % of its own answers",
    (Claim(GROUP, "plain", None, "train_error", mean_below(2)),),
)
TABLE = Table(
    columns=(
        SCORES[0],
        Column("gain", "nll", digits=3, gain=True),
        Column("error", "last_error"),
        Column("gain in error", "last_error", gain=True),
        Column("train", "train_error"),
        *SCORES[1:],
    ),
    caption="NLL: of the right word after the test questions, at the end. error: how often another "
    "word is likelier, in %. Gains: how much lower than for plain fine-tuning, paired by seed. "
    f"train: error in % on the questions of fine-tuning. {SCORES_CAPTION}",
    options="--data sentences.npz",
    interval=SHARED,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Pre-train a small language model, fine-tune it on few questions, and compare methods."""

    out: Path = Path("results/fine_tuning")
    """Folder for choose.jsonl, runs.jsonl, table.md and plot.png. A stopped run goes on."""
    data: Path | None = None
    """The .npz file that `python -m experiments.data.fetch sentences` writes."""
    smoke: cli.Flag = False
    """A few steps on made-up sentences and two seeds, into OUT/smoke: shows that all works."""
    seeds: cli.Seeds = 10
    """Number of paired seeds, at least two."""
    words: cli.Count = 4000
    """How many words the language model knows, the most frequent ones."""
    width: cli.Count = 64
    """Numbers in a hidden state."""
    window: cli.Count = 32
    """Words in a row of pre-training."""
    rows: cli.Count = 64
    """Rows in a step of pre-training."""
    steps: cli.Count = 200
    """Steps of pre-training."""
    pre_rate: float = 3e-3
    """Adam's rate in pre-training, from which it falls along a cosine."""
    questions: cli.Count = 300
    """How many questions fine-tune."""
    batch: cli.Count = 15
    """Questions in a step."""
    epochs: Annotated[int, cli.Whole(EVERY, EVERY)] = EPOCHS
    """Of fine-tuning, a multiple of 4."""
    rate: float = 2e-3
    """AdamW's rate in fine-tuning, from which it falls linearly."""


def gain(runs: list[Run], method: str, over: str) -> Gain:
    """How much lower a method's NLL is, paired, over seeds and the test questions they share."""
    held = {(run["method"], run["seed"]): np.array(run["losses"]) for run in runs}
    seeds = sorted(seed for name, seed in held if name == method and (over, seed) in held)
    lower = np.array([held[over, seed] - held[method, seed] for seed in seeds])
    over_questions = lower.mean(axis=0).var(ddof=1) / lower.shape[1]
    return Gain(*mean_interval(lower.mean(axis=1), over_examples=over_questions))


def rule(runs: list[Run]) -> str:
    """The verdict; the best baseline is that of least NLL on held-out questions."""
    passes, said = GATE(runs)
    if not passes:
        return said
    chosen = {run["method"]: run["chosen_nll"] for run in runs}
    best = min(BASELINES, key=chosen.__getitem__)
    over = {name: gain(runs, "SFTMix", name) for name in ("plain", best, "random partners")}
    holds = above()(over["plain"]) and not_below()(over[best])
    return (
        f"{said} NLL that SFTMix gains over plain fine-tuning: {over['plain']:+.3f}; over {best}, "
        f"the best baseline: {over[best]:+.3f}. Pass rule (the first above 0, the second not below "
        f"0): {passed(holds)}. Over random partners: {over['random partners']:+.3f}. Here ± is "
        "half the 95 % interval over seeds and test questions."
    )


def read(config: Config) -> dict[str, sentences.Corpus]:
    if config.smoke:
        return sentences.toy()
    if config.data is None:
        raise loop.Stop(
            "--data is missing: name the .npz file that `python -m experiments.data.fetch "
            "sentences` writes."
        )
    with cli.one_sentence():
        return sentences.read(config.data)


def make_works(config: Config, corpora: dict[str, sentences.Corpus]) -> tuple[Work, Work]:
    """Functions that try a candidate on held-out questions, and that train the chosen one."""
    setting = Setting(**{name: getattr(config, name) for name in Setting._fields})
    candidates = {label: n for labels in METHODS.values() for label, n in labels.items()}

    @functools.lru_cache(1)
    def base(seed: int, choosing: bool) -> tuple:
        """A seed's data and language model, which all its methods share."""
        movies, trec = corpora.values()
        data = train.draw(movies, trec, seed, setting, choosing=choosing)
        keys = jax.random.split(jax.random.key(seed))
        params, base_nll = train.pre_trained(setting, keys[0], data.windows)
        return keys[1], params, data._replace(windows=data.windows[:0]), float(base_nll)

    def tuned(seed: int, choosing: bool, method: Method, sure: np.ndarray) -> Known:
        numbers = jax.tree.map(jnp.float32, method)
        found = train.fine_tuned(
            setting, method.dropout > 0, numbers, *base(seed, choosing)[:3], sure
        )
        return jax.tree.map(np.asarray, found)

    @functools.lru_cache(1)
    def first(seed: int, choosing: bool) -> Known:
        """Plain fine-tuning, by which confidence is judged."""
        return tuned(seed, choosing, Method(), np.zeros(setting.questions, bool))

    def fit(method: Method, seed: int, choosing: bool) -> Known:
        found = first(seed, choosing)
        if method == Method():
            return found
        return tuned(seed, choosing, method, train.halves(found))

    def try_out(task: Task) -> list[dict]:
        """Results whose "curve", by which is chosen, is the NLL."""
        found = [fit(candidates[task.method], seed, task.choosing) for seed in task.seeds]
        task.tick(1)
        curves = [rounded(np.asarray(one.scores["nll"]), 4) for one in found]
        return [{"seed": s, "curve": c} for s, c in zip(task.seeds, curves, strict=True)]

    def work(task: Task) -> list[dict]:
        choice = task.chosen[task.group, task.method]
        found = [fit(choice.numbers, seed, task.choosing) for seed in task.seeds]
        task.tick(1)
        return [
            result(seed, one, choice) | {"base_nll": rounded(base(seed, task.choosing)[3])}
            for seed, one in zip(task.seeds, found, strict=True)
        ]

    return try_out, work


def result(seed: int, found: Known, choice: Choice) -> dict:
    """A seed's results, with each test question's loss."""
    final = {"train_error": found.train_error[-1:]}
    scores = {name: np.asarray(values)[None] for name, values in found.scores.items()}
    [own] = seed_results(scores, final, seeds=[seed], hits=np.asarray(found.right[-1:]))
    losses = {"losses": rounded(found.losses[-1], 3)}
    return own | losses | {"chosen": choice.name, "chosen_nll": rounded(choice.error)}


def said(job: Job, choice: Choice) -> str:
    """What was chosen, where there was something to choose."""
    return choice.name if len(METHODS[job[1]]) > 1 else ""


def main(config: Config) -> int:
    """Choose, train what is missing, then print, write and draw the comparison."""
    small = {"words": 40, "width": 16, "window": 8, "rows": 8, "steps": 10}
    config = cli.ready(config, seeds=2, **small, questions=30, batch=10, epochs=4)
    corpora = read(config)
    texts = [text for c in corpora.values() for text in (*c.train, *c.test)]
    try_out, work = make_works(config, corpora)
    options = {"seeds": 1 if config.smoke else TRIES, "said": said}
    study = Study(
        out=config.out,
        title=f"Fine-tuning on {config.questions} questions, {config.seeds} paired seeds",
        name="fine_tuning",
        config=config,
        facts={"data": checksum(np.array(texts))},
        groups=(GROUP,),
        methods=METHODS,
        seeds=config.seeds,
        ticks=1,
        work=work,
        table=TABLE,
        plot=functools.partial(
            plots.gains, key="nll", xlabel="NLL below plain fine-tuning, paired", interval=SHARED
        ),
        rule=None if config.smoke else rule,
        search=Search(METHODS, try_out, **options, other="seeds, by held-out questions"),
        one_by_one=True,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("fine_tuning", Config, main, __doc__)
