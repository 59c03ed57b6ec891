"""A language model of a seed, and its fine-tuning on few questions by each method."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

import jax_mixup as jm
from experiments.core import metrics
from experiments.core.classify import cross_entropy
from experiments.core.step import Metrics, Recipe, State, Task, init, scored_model, train_step
from experiments.data.sentences import PADDING, UNKNOWN, Corpus, encode, vocabulary
from experiments.fine_tuning.model import LanguageModel

ANSWERS = ("abbreviation", "description", "entity", "human", "location", "number")
SPECIAL = ("<end>", "<answer>", *ANSWERS)  # an answer that is a common word keeps its number
QUESTION = 18  # words; 95 % of the questions have no more
LONGEST = 60  # words of a text for pre-training
EVERY = 4  # epochs between two scores, which cost nearly as much as an epoch


class Method(NamedTuple):
    """Traced numbers, so that one compiled program works for all methods."""

    weight: float = 0.0  # of the mixed loss; 0 is off
    alpha: float = 1.0  # λ ~ Beta(α, α)
    across: float = 1.0  # partners are of the other half in confidence; 0 takes any other row
    smoothing: float = 0.0  # of the next word, over all words
    weight_decay: float = 0.0
    dropout: float = 0.0
    stop: float = 1.0  # the fraction of the epochs after which the rate is 0


class Setting(NamedTuple):
    """What all methods share."""

    words: int  # the most frequent ones
    width: int
    window: int  # words in a row of pre-training
    rows: int  # in a step of pre-training
    steps: int  # of pre-training
    pre_rate: float
    questions: int
    batch: int
    epochs: int
    rate: float  # at the beginning

    @property
    def end(self) -> int:
        """The number of the end of a text, which is also its start."""
        return UNKNOWN + 1 + self.words


class Questions(NamedTuple):
    """Rows of the start, a question, the separator, its answer and padding."""

    tokens: Int[Any, "n t"]
    places: Int[Any, "n"]  # of the separator, after which the answer is asked for
    answers: Int[Any, "n"]  # words' numbers


class Drawn(NamedTuple):
    """The data of a seed."""

    windows: Int[np.ndarray, "steps rows window_1"]  # for pre-training, with the next word
    train: Questions
    test: Questions


class Known(NamedTuple):
    """What is scored now and then; the arrays that a fine-tuning gives have a first axis more."""

    scores: Metrics  # of the answers to the test questions
    losses: Float[Any, "m"]  # -log probability of each
    right: Bool[Any, "m"]
    likelihood: Float[Any, "n"]  # of the model's own answers, mean over the words that count
    train_error: Float[Any, ""]


def asked(numbers: Mapping[str, int], texts: list[str], labels: Int[Any, "n"]) -> Questions:
    """Questions with their answers as rows of words' numbers."""
    found = encode(numbers, texts, QUESTION)
    at, count = np.arange(len(found)), (found != PADDING).sum(1)
    tokens = np.pad(found, ((0, 0), (1, 2)))
    answers = np.array([numbers[word] for word in ANSWERS], np.int32)[labels]
    tokens[:, 0], tokens[at, count + 1], tokens[at, count + 2] = (
        numbers["<end>"], numbers["<answer>"], answers,
    )  # fmt: skip
    return Questions(tokens, (count + 1).astype(np.int32), answers)


def draw(movies: Corpus, trec: Corpus, seed: int, setting: Setting, *, choosing: bool) -> Drawn:
    """Which questions fine-tune, and windows of all other texts.

    Choices are tested on as many training questions as there are test questions; the model sees
    neither.
    """
    rng = np.random.default_rng(seed)
    order, count = rng.permutation(len(trec.train)), setting.questions
    mine, held, rest = np.split(order, [count, count + choosing * len(trec.test)])
    part = lambda rows: ([trec.train[row] for row in rows], trec.train_labels[rows])
    texts = [*movies.train, *part(rest)[0]]
    texts = [texts[i] for i in rng.permutation(len(texts))]
    known = vocabulary([*texts, *part(mine)[0]])
    numbers = {word: number for word, number in known.items() if number < setting.end}
    for number, name in enumerate(SPECIAL, start=setting.end):
        numbers.setdefault(name, number)
    rows = np.insert(encode(numbers, texts, LONGEST), 0, setting.end, axis=1)
    stream = rows[rows != PADDING]
    starts = rng.integers(len(stream) - setting.window, size=(setting.steps, setting.rows, 1))
    tested = part(held) if choosing else (trec.test, trec.test_labels)
    windows = stream[starts + np.arange(setting.window + 1)]
    return Drawn(windows, asked(numbers, *part(mine)), asked(numbers, *tested))


def make_model(setting: Setting, dropout: float | Array, rngs: nnx.Rngs) -> LanguageModel:
    words, length = setting.end + len(SPECIAL), max(setting.window, QUESTION + 3)
    return LanguageModel(words, length, width=setting.width, dropout=dropout, rngs=rngs)


def next_words(task: Task) -> tuple[Float[Array, ""], Metrics]:
    """The loss of pre-training."""
    hidden = task.student(task.batch[:, :-1], train=True)
    return cross_entropy(task.student.head(hidden), task.batch[:, 1:]).mean(), {}


@partial(jax.jit, static_argnums=0)
def pre_trained(
    setting: Setting, key: PRNGKeyArray, windows: Int[Array, "steps rows window_1"]
) -> tuple[Any, Float[Array, ""]]:
    """The parameters of a language model, and its loss in the last tenth of the steps."""
    optimizer = optax.adam(optax.cosine_decay_schedule(setting.pre_rate, setting.steps))
    recipe = Recipe(partial(make_model, setting, 0.0), optimizer, next_words)
    key_init, key_steps = jax.random.split(key)

    def step(state: State, batch: Array) -> tuple[State, Array]:
        state, scores = train_step(recipe, state, key_steps, batch)
        return state, scores["loss"]

    state, losses = jax.lax.scan(step, init(recipe, key_init), windows)
    return state.params, losses[-(-setting.steps * 9 // 10) :].mean()


def states(hidden: Float[Array, "n t d"], places: Int[Array, "n"]) -> Float[Array, "n 2 d"]:
    """The last hidden states that give the answer and the end after it."""
    return jnp.take_along_axis(hidden, places[:, None, None] + jnp.arange(2)[:, None], axis=1)


def wanted(setting: Setting, answers: Int[Array, "n"]) -> Int[Array, "n 2"]:
    """The words that count: the answer, and the end."""
    return jnp.stack([answers, jnp.full_like(answers, setting.end)], axis=1)


def loss(setting: Setting, method: Method, task: Task) -> tuple[Float[Array, ""], Metrics]:
    """That of the answers, and of mixed last hidden states, which are aligned at the answers."""
    (tokens, places, answers), sure = task.batch
    key_pair, key_mix, key_model = jax.random.split(task.key, 3)
    others = ~jnp.eye(len(sure), dtype=jnp.bool_)
    weights = jnp.where(method.across > 0, sure[:, None] != sure[None, :], others)
    pairing = jm.by_weight(key_pair, weights)
    mix = jm.sample_mixup(key_mix, sure.shape, alpha=method.alpha, per="example", pairing=pairing)
    hidden = states(task.student(tokens, train=True, key=key_model), places)
    logits, words = task.student.head(hidden), wanted(setting, answers)
    uniform = jax.nn.logsumexp(logits, axis=-1) - logits.mean(axis=-1)
    own = (1 - method.smoothing) * cross_entropy(logits, words) + method.smoothing * uniform
    mixed = task.student.head(jm.blend(mix, hidden))
    losses = jm.pair_loss(mix, cross_entropy, mixed, words)
    return own.mean() + method.weight * losses.mean(), {}


def scored(setting: Setting, model: LanguageModel, train: Questions, test: Questions) -> Known:
    """What the model answers to the test questions, and to its own."""
    ask = lambda rows: model.head(states(model(rows.tokens), rows.places))
    logits, own = ask(test)[:, 0], ask(train)
    found = metrics.classification(logits, test.answers)
    return Known(
        {name: found[name] for name in ("error", "nll", "ece", "gap")},
        cross_entropy(logits, test.answers),
        logits.argmax(-1) == test.answers,
        -cross_entropy(own, wanted(setting, train.answers)).mean(axis=1),
        (own[:, 0].argmax(-1) != train.answers).mean(),
    )


@partial(jax.jit, static_argnums=(0, 1))
def fine_tuned(
    setting: Setting,
    dropout: bool,
    method: Method,
    key: PRNGKeyArray,
    params: Any,
    data: Drawn,
    sure: Bool[Array, "n"],
) -> Known:
    """Fine-tune by AdamW, whose rate falls linearly to 0 at the method's last epoch.

    Args:
      setting: what all methods share.
      dropout: whether the method has dropout, which costs draws.
      method: its numbers.
      key: gives order and draws.
      params: the language model's.
      data: the questions; the windows are not looked at.
      sure: which of the questions the model was confident of.

    Returns:
      What is known after each fourth epoch.
    """
    count = setting.questions // setting.batch
    length = method.stop * (count * setting.epochs)
    rate = lambda step: setting.rate * jnp.maximum(1 - step / length, 0)
    recipe = Recipe(
        partial(make_model, setting, method.dropout if dropout else 0.0),
        optax.adamw(rate, weight_decay=method.weight_decay),
        partial(loss, setting, method),
    )
    key_order, key_steps = jax.random.split(key)

    def step(state: State, rows: Int[Array, "b"]) -> tuple[State, None]:
        batch = jax.tree.map(lambda array: array[rows], (data.train, sure))
        return train_step(recipe, state, key_steps, batch)[0], None

    def epoch(state: State, number: Int[Array, ""]) -> tuple[State, None]:
        order = jax.random.permutation(jax.random.fold_in(key_order, number), setting.questions)
        return jax.lax.scan(step, state, order[: count * setting.batch].reshape(count, -1))

    def epochs(state: State, numbers: Int[Array, "every"]) -> tuple[State, Known]:
        state, _ = jax.lax.scan(epoch, state, numbers)
        return state, scored(setting, scored_model(recipe, state), data.train, data.test)

    state = init(recipe, key)._replace(params=params)
    return jax.lax.scan(epochs, state, jnp.arange(setting.epochs).reshape(-1, EVERY))[1]


def halves(first: Known) -> Bool[np.ndarray, "n"]:
    """Which questions are in the confident half: by the mean log-likelihood over a run."""
    confidence = np.asarray(first.likelihood).mean(0)
    return confidence >= np.median(confidence)
