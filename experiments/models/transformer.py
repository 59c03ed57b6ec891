"""A small encoder of text, whose features can be mixed together with their attention mask."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn import initializers
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from experiments.models import layers

Masked = tuple[Array, Array]  # features, and who attends to whom
Tap = Callable[[int, Array, Array], Masked]  # (layer, features, attend) -> what goes on


def untapped(layer: int, x: Array, attend: Array) -> Masked:
    return x, attend


def padding_mask(lengths: Int[Array, "b"], size: int) -> Bool[Array, "b 1 t"]:
    """All positions attend to those inside the row's length."""
    return jnp.arange(size)[None, None, :] < lengths[:, None, None]


def segment_mask(segments: Int[Array, "b t"]) -> Bool[Array, "b t t"]:
    """Positions attend to those of their own segment, counted from 1; 0 is padding."""
    own, other = segments[:, :, None], segments[:, None, :]
    return (own == other) & (own > 0)


def segment_members(segments: Int[Array, "b t"], count: int) -> Bool[Array, "b s t"]:
    """Which positions belong to each of the segments 1 to `count`."""
    return segments[:, None, :] == jnp.arange(1, count + 1)[None, :, None]


def pooled(x: Float[Array, "b t c"], members: Bool[Array, "b s t"]) -> Float[Array, "b s c"]:
    """The mean over each set of positions; 0 for an empty one."""
    share = members / jnp.maximum(members.sum(axis=-1, keepdims=True), 1)
    return jnp.einsum("bst,btc->bsc", share.astype(x.dtype), x)


class Block(nnx.Module):
    """Attention and an MLP, each with a shortcut, with LayerNorm before."""

    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
        self.heads = heads
        self.norm1, self.norm2 = nnx.LayerNorm(width, rngs=rngs), nnx.LayerNorm(width, rngs=rngs)
        self.qkv = nnx.Linear(width, 3 * width, rngs=rngs)
        self.out = nnx.Linear(width, width, rngs=rngs)
        self.up = nnx.Linear(width, 2 * width, rngs=rngs)
        self.down = nnx.Linear(2 * width, width, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b t c"], attend: Bool[Array, "b q t"]
    ) -> Float[Array, "b t c"]:
        qkv = self.qkv(self.norm1(x)).reshape(*x.shape[:2], 3, self.heads, -1)
        mask = jnp.broadcast_to(attend[:, None], (x.shape[0], 1, x.shape[1], x.shape[1]))
        attended = jax.nn.dot_product_attention(*jnp.moveaxis(qkv, 2, 0), mask=mask)
        x = x + self.out(attended.reshape(x.shape))
        return x + self.down(nnx.relu(self.up(self.norm2(x))))


class TextEncoder(nnx.Module):
    """Words and their places, some blocks, the mean over the text, and one linear layer.

    `attend` says who attends to whom: `padding_mask` for one sentence in a row, `segment_mask`
    for several. Features of padding are 0, so that mixing brings in nothing of it. Dropout is on
    the words and before the last layer.
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        num_classes: int,
        *,
        width: int = 32,
        heads: int = 2,
        depth: int = 2,
        dropout: float | Array = 0.0,
        rngs: nnx.Rngs,
    ):
        init = initializers.normal(0.1)
        self.words = nnx.Embed(vocabulary, width, embedding_init=init, rngs=rngs)
        self.places = nnx.Embed(length, width, embedding_init=init, rngs=rngs)
        self.blocks = nnx.List(Block(width, heads, rngs=rngs) for _ in range(depth))
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.dropout = layers.Dropout(dropout)
        self.head = nnx.Linear(width, num_classes, rngs=rngs)

    def features(
        self,
        tokens: Int[Array, "b t"],
        attend: Bool[Array, "b q t"],
        *,
        train: bool = False,
        rngs: nnx.Rngs | None = None,
        tap: Tap = untapped,
    ) -> Masked:
        """Features f32[b t c], and the mask that `tap` left; it gets words (0) and blocks."""
        before = attend & jnp.tri(tokens.shape[1], dtype=bool)[None]
        place = jnp.maximum(before.sum(axis=-1) - 1, 0)  # counted in the segment
        x = self.dropout(self.words(tokens) + self.places(place), train, rngs)
        x, attend = tap(0, _text_only(x, attend), attend)
        for i, block in enumerate(self.blocks, start=1):
            x, attend = tap(i, _text_only(block(x, attend), attend), attend)
        return x, attend

    def __call__(
        self,
        tokens: Int[Array, "b t"],
        attend: Bool[Array, "b 1 t"],
        *,
        train: bool = False,
        key: PRNGKeyArray | None = None,
        tap: Tap = untapped,
    ) -> Float[Array, "b k"]:
        """The logits of one sentence a row; `tap` gets the pooled sentence, too, as depth + 1."""
        rngs = layers.streams(key)
        x, attend = self.features(tokens, attend, train=train, rngs=rngs, tap=tap)
        x = self.norm(pooled(x, attend)[:, 0])
        x, _ = tap(len(self.blocks) + 1, x, attend)
        return self.head(self.dropout(x, train, rngs))


def _text_only(x: Float[Array, "b t c"], attend: Bool[Array, "b q t"]) -> Float[Array, "b t c"]:
    return jnp.where(attend.any(axis=1)[..., None], x, 0)
