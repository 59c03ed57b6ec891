"""Mixing text: words cannot be averaged, so their features are, or spans of them change places."""

import dataclasses
import functools
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

import jax_mixup as jm
from experiments.core import metrics
from experiments.core.classify import cross_entropy
from experiments.core.seeds import SeedTrainer, batch_trainer
from experiments.core.step import Metrics, Recipe, Task
from experiments.data.sentences import UNKNOWN, Encoded
from experiments.models import transformer
from experiments.models.transformer import TextEncoder

DEPTH = 2
NOWHERE, SENTENCE = (
    -1,
    DEPTH + 1,
)  # no layer, and the layer whose features are one vector for each sentence


class Method(NamedTuple):
    """Traced numbers, so that one compiled program works for all methods."""

    alpha: float = 0.0  # λ ~ Beta(α, α); 0 is off
    first: float = 0.0  # features after a random layer from this one, 0 being the words,
    last: float = 0.0  # to this one are mixed
    span: float = 0.0  # or whether spans of words are swapped instead (SSMix without saliency)
    matched: float = 0.0  # whether partners are among the four of nearest length
    own_mask: float = 0.0  # whether the example's own mask stays: a mistake, to see what it costs
    word_dropout: float = 0.0  # probability that a word becomes an unknown one
    dropout: float = 0.3
    weight_decay: float = 0.3


class Setting(NamedTuple):
    """What all methods share."""

    vocabulary: int
    length: int
    num_classes: int
    batch: int
    rate: float = 2e-3


class Batch(NamedTuple):
    tokens: Int[Array, "b t"]
    lengths: Int[Array, "b"]
    labels: Int[Array, "b"]


def mixing_tap(
    mix: jm.Mix, layer: int | Array, *, own_mask: float | Array = 0.0
) -> transformer.Tap:
    """Mix the features of one layer; from there on all attend to the text of both examples."""

    def tap(i: int, x: Array, attend: Array) -> transformer.Masked:
        union = union_mask(mix, attend)
        mixed = jm.blend(mix, x), jnp.where(own_mask > 0, attend, union)
        pick = lambda new, old: jnp.where(layer == i, new, old)
        return pick(mixed[0], x), pick(mixed[1], attend)

    return tap


def union_mask(mix: jm.Mix, attend: Bool[Array, "b q t"]) -> Bool[Array, "b q t"]:
    """True where it is for an example with weight: at λ = 1 only the example's own places."""
    return jm.blend(mix, attend, dtype=jnp.float32) > 0


def swap_spans(
    key: PRNGKeyArray, batch: Batch, *, alpha: float | Array = 1.0, pairing: Any
) -> tuple[jm.Mix, Int[Array, "b t"]]:
    """A span of the partner's words in place of one of the example's, both within their lengths."""
    size = batch.tokens.shape[1]
    mix, source = jm.sample_span(key, batch.lengths, size, alpha=alpha, pairing=pairing)
    other = jnp.take_along_axis(jm.take_partner(mix, batch.tokens), source, axis=1)
    return mix, jm.select(mix, batch.tokens, other=other)


def drop_words(
    key: PRNGKeyArray, tokens: Int[Array, "b t"], prob: float | Array
) -> Int[Array, "b t"]:
    """Each word becomes UNKNOWN with this probability; padding, which no one attends to, too."""
    return jnp.where(jax.random.uniform(key, tokens.shape) < prob, UNKNOWN, tokens)


def partners(key: PRNGKeyArray, lengths: Int[Array, "b"], matched: float | Array) -> Array:
    """The examples reversed, which are in random order, or one of the four of nearest length."""
    near = jm.nearest(key, lengths.astype(jnp.float32), k=4)
    return jnp.where(matched > 0, near, jm.partner_index(jm.reverse(), lengths.shape[0]))


def loss(method: Method, task: Task) -> tuple[Float[Array, ""], Metrics]:
    """The cross-entropy to both examples' labels."""
    batch: Batch = task.batch
    key_pair, key_mix, key_layer, key_words, key_model = jax.random.split(task.key, 5)
    given: dict[str, Any] = {"alpha": method.alpha}
    given["pairing"] = partners(key_pair, batch.lengths, method.matched)
    mix = jm.sample_mixup(key_mix, batch.labels.shape, **given)
    spans, swapped = swap_spans(key_mix, batch, **given)
    low, high = (jnp.asarray(end, jnp.int32) for end in (method.first, method.last))
    layer, on = jax.random.randint(key_layer, (), low, high + 1), method.span > 0
    mix = dataclasses.replace(mix, lam=jnp.where(on, spans.lam, mix.lam))
    tap = mixing_tap(mix, jnp.where(on, NOWHERE, layer), own_mask=method.own_mask)
    tokens = drop_words(key_words, jnp.where(on, swapped, batch.tokens), method.word_dropout)
    attend = transformer.padding_mask(batch.lengths, tokens.shape[1])
    logits = task.student(tokens, attend, train=True, key=key_model, tap=tap)
    return jm.pair_loss(mix, cross_entropy, logits, batch.labels).mean(), {}


@functools.cache
def study_of(setting: Setting) -> SeedTrainer:
    """Trainer for all seeds of a method."""

    def recipe_of(method: Method) -> Recipe:
        def make_model(rngs: Any) -> TextEncoder:
            sizes = setting.vocabulary, setting.length, setting.num_classes
            return TextEncoder(*sizes, depth=DEPTH, dropout=method.dropout, rngs=rngs)

        optimizer = optax.adamw(setting.rate, weight_decay=method.weight_decay)
        return Recipe(make_model, optimizer, partial(loss, method))

    def batch_of(key: PRNGKeyArray, data: Encoded) -> Batch:
        rows = jax.random.randint(key, (setting.batch,), 0, data.labels.shape[0])
        return Batch(*(jnp.take(part, rows, axis=0) for part in data[:3]))

    def score(model: Callable[..., Array], data: Encoded) -> Metrics:
        attend = transformer.padding_mask(data.lengths_test, data.tokens_test.shape[1])
        found = metrics.classification(model(data.tokens_test, attend), data.labels_test)
        return {name: found[name] for name in ("error", "nll", "ece", "gap")}

    return batch_trainer(recipe_of, batch_of, score)
