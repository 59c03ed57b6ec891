"""Training Kim's convolutional network, with the words' vectors or the sentences' vectors mixed."""

import functools
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

import jax_mixup as jm
from experiments.core import metrics
from experiments.core.classify import cross_entropy
from experiments.core.step import Metrics, Recipe, State, Task, init, scored_model, train_step
from experiments.data.sentences import PADDING, UNKNOWN, Encoded
from experiments.models.kim_cnn import WORDS, KimCNN

AT_ONCE = 64  # sentences that are scored in one piece


class Method(NamedTuple):
    """Traced numbers, so that one compiled program works for all methods."""

    alpha: float = 0.0  # λ ~ Beta(α, α); 0 is off
    layer: float = WORDS  # whose features are mixed: wordMixup; SENTENCE is senMixup
    word_dropout: float = 0.0  # probability that a word becomes an unknown one
    weight_decay: float = 0.0
    dropout: float = 0.5  # of the sentence's features


class Setting(NamedTuple):
    """What all methods share."""

    vocabulary: int
    num_classes: int
    batch: int
    rate: float
    width: int = 300  # of the words' vectors
    maps: int = 100  # filters of each size


class Trainer(NamedTuple):
    """Trains one seed, epoch by epoch."""

    start: Callable[[Method, PRNGKeyArray], State]
    epoch: Callable[..., tuple[State, Metrics]]  # (method, state, key, data)
    logits: Callable[[Method, State, Any], Array]  # of sentences [n, t]


class Fitted(NamedTuple):
    """What the training of one seed gives."""

    scores: dict[str, Float[np.ndarray, "epochs"]]  # after each epoch, on the sentences for tests
    final: dict[str, Float[np.ndarray, ""]]  # the error on the sentences learned from, at the end
    hits: Bool[np.ndarray, "m"]  # which sentences for tests get their class, at the end


def drop_words(
    key: PRNGKeyArray, tokens: Int[Array, "b t"], prob: float | Array
) -> Int[Array, "b t"]:
    """Each word becomes UNKNOWN with this probability; padding stays padding."""
    dropped = jax.random.uniform(key, tokens.shape) < prob
    return jnp.where(dropped & (tokens != PADDING), UNKNOWN, tokens)


def loss(method: Method, task: Task) -> tuple[Float[Array, ""], Metrics]:
    """The cross-entropy to both sentences' labels."""
    tokens, labels = task.batch
    key_mix, key_words, key_model = jax.random.split(task.key, 3)
    mix = jm.sample_mixup(key_mix, labels.shape, alpha=method.alpha)
    tap = lambda i, x: jnp.where(method.layer == i, jm.blend(mix, x), x)
    tokens = drop_words(key_words, tokens, method.word_dropout)
    logits = task.student(tokens, train=True, key=key_model, tap=tap)
    return jm.pair_loss(mix, cross_entropy, logits, labels).mean(), {}


@functools.cache
def trainer_of(setting: Setting) -> Trainer:
    """Compiled once for all methods."""

    def recipe_of(method: Method) -> Recipe:
        def make_model(rngs: Any) -> KimCNN:
            return KimCNN(
                setting.vocabulary,
                setting.num_classes,
                width=setting.width,
                maps=setting.maps,
                dropout=method.dropout,
                rngs=rngs,
            )

        optimizer = optax.adamw(setting.rate, weight_decay=method.weight_decay)
        return Recipe(make_model, optimizer, partial(loss, method))

    @partial(jax.jit, donate_argnums=1)
    def epoch(
        method: Method, state: State, key: PRNGKeyArray, data: Encoded
    ) -> tuple[State, Metrics]:
        count = data.labels.shape[0]
        steps = count // setting.batch
        key_order, key_steps = jax.random.split(key)
        order = jax.random.permutation(jax.random.fold_in(key_order, state.step), count)

        def step(state: State, rows: Int[Array, "b"]) -> tuple[State, Array]:
            batch = data.tokens[rows], data.labels[rows]
            state, scores = train_step(recipe_of(method), state, key_steps, batch)
            return state, scores["loss"]

        order = order[: steps * setting.batch].reshape(steps, setting.batch)
        state, losses = jax.lax.scan(step, state, order)
        return state, {"train_loss": losses.mean()}

    @jax.jit
    def logits(method: Method, state: State, tokens: Int[Array, "n t"]) -> Float[Array, "n k"]:
        model, count = scored_model(recipe_of(method), state), tokens.shape[0]
        filled = jnp.pad(tokens, ((0, -count % AT_ONCE), (0, 0)))
        out = jax.lax.map(model, filled.reshape(-1, AT_ONCE, tokens.shape[1]))
        return out.reshape(-1, setting.num_classes)[:count]

    start = jax.jit(lambda method, key: init(recipe_of(method), key))
    return Trainer(start, epoch, logits)


def fit(trainer: Trainer, method: Method, data: Encoded, *, seed: int, epochs: int) -> Fitted:
    """Train one seed, which gives the weights, the order and the draws."""
    numbers = jax.tree.map(jnp.float32, method)
    key_init, key_run = jax.random.split(jax.random.key(seed))
    state, data, rows = trainer.start(numbers, key_init), jax.tree.map(jnp.asarray, data), []
    for _ in range(epochs):
        state, means = trainer.epoch(numbers, state, key_run, data)
        out = trainer.logits(numbers, state, data.tokens_test)
        found = metrics.classification(out, data.labels_test)
        rows.append(means | {name: found[name] for name in ("error", "nll", "ece", "gap")})
    scores = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    right = lambda tokens, labels: trainer.logits(numbers, state, tokens).argmax(-1) == labels
    final = {"train_error": 1 - np.asarray(right(data.tokens, data.labels)).mean()}
    return Fitted(scores, final, np.asarray(right(data.tokens_test, data.labels_test)))
