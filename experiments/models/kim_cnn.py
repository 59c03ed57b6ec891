"""A convolutional network on sentences (Kim 2014): each filter's largest answer, one linear layer.

It is the paper's CNN-rand: the words' vectors are random at first, and learned like the rest.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn import initializers
from jaxtyping import Array, Float, Int, PRNGKeyArray

from experiments.models import layers

PADDING = 0  # the number of no word, whose vector is 0
WORDS, SENTENCE = 0, 1  # the layers whose features a tap gets


class KimCNN(nnx.Module):
    """Words' vectors, filters of several widths, the maximum over the places, one linear layer.

    Words beyond a sentence's end are vectors of zeros, as in the authors' code, so that mixing
    brings in nothing of them. Dropout is before the last layer.
    """

    def __init__(
        self,
        vocabulary: int,
        num_classes: int,
        *,
        width: int = 300,
        maps: int = 100,
        sizes: Sequence[int] = (3, 4, 5),
        dropout: float | Array = 0.5,
        rngs: nnx.Rngs,
    ):
        self.sizes = tuple(sizes)
        embedding = partial(jax.random.uniform, minval=-0.25, maxval=0.25)
        self.words = nnx.Embed(
            vocabulary,
            width,
            embedding_init=lambda key, shape, dtype: embedding(key, shape, dtype),
            rngs=rngs,
        )
        init = initializers.lecun_normal()
        filters = [init(rngs.params(), (size * width, maps)) for size in sizes]
        # One matrix for all filters and all of their words: a column for each.
        columns = [f.reshape(size, width, maps) for f, size in zip(filters, sizes, strict=True)]
        self.filters = nnx.Param(jnp.concatenate([part for f in columns for part in f], axis=1))
        self.bias = nnx.Param(jnp.zeros(len(sizes) * maps))
        self.dropout = layers.Dropout(dropout)
        self.last = nnx.Linear(len(sizes) * maps, num_classes, rngs=rngs)

    def __call__(
        self,
        tokens: Int[Array, "b t"],
        *,
        train: bool = False,
        key: PRNGKeyArray | None = None,
        tap: layers.Tap = layers.untapped,
    ) -> Float[Array, "b k"]:
        """The logits; `tap` gets the words' vectors (0) and one vector for each sentence (1)."""
        words = tap(WORDS, self.words(tokens) * (tokens != PADDING)[..., None])
        found: Any = strongest(words, self.filters[...], self.sizes)
        sentence = tap(SENTENCE, nnx.relu(found + self.bias[...]))
        return self.last(self.dropout(sentence, train, layers.streams(key)))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def strongest(
    words: Float[Array, "b t c"], filters: Float[Array, "c n"], sizes: tuple[int, ...]
) -> Float[Array, "b m"]:
    """Each filter's largest answer over all places, also those that reach over an end.

    One product of matrices gives the answers of all words of the filters at all places. The
    gradient is written out, as it needs no convolution: every filter learns from one place. On two
    CPU cores a step takes an eighth of the time that XLA's own convolution takes.

    Args:
      words: the words' vectors.
      filters: for each size and each of its words in turn, [c, maps].
      sizes: how many words the filters read.
    """
    return _forward(words, filters, sizes)[0]


def _forward(words: Array, filters: Array, sizes: tuple[int, ...]) -> tuple[Array, tuple]:
    """The largest answers, and for the gradient which place each word of each filter stood at."""
    maps = filters.shape[1] // sum(sizes)
    answers = (words.reshape(-1, words.shape[-1]) @ filters).reshape(*words.shape[:2], -1)
    largest, places, at = [], [], 0
    for size in sizes:
        moved = [
            jnp.pad(answers[..., at + i * maps :][..., :maps], ((0, 0), (size - 1 - i, i), (0, 0)))
            for i in range(size)
        ]
        total = sum(moved[1:], moved[0])
        top = total.max(axis=1, keepdims=True)
        place = jax.lax.broadcasted_iota(jnp.int32, total.shape, 1)
        # The first of the largest; argmax takes XLA three times as long.
        first = jnp.where(total == top, place, total.shape[1]).min(axis=1) - (size - 1)
        largest.append(top[:, 0])
        places += [first + i for i in range(size)]
        at += size * maps
    return jnp.concatenate(largest, axis=1), (words, filters, jnp.concatenate(places, axis=1))


def _backward(sizes: tuple[int, ...], kept: tuple, grads: Array) -> tuple[Array, Array]:
    words, filters, places = kept
    parts = jnp.split(grads, len(sizes), axis=1)
    each = jnp.concatenate(
        [part for part, n in zip(parts, sizes, strict=True) for _ in range(n)], 1
    )
    here = jnp.arange(words.shape[1])[:, None] == places[:, None]
    answers = jnp.where(here, each[:, None], 0).reshape(-1, filters.shape[1])
    flat = words.reshape(-1, words.shape[-1])
    return (answers @ filters.T).reshape(words.shape), flat.T @ answers


strongest.defvjp(_forward, _backward)
