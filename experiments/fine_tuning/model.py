"""A small causal transformer, pre-norm, whose head is its table of words."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn import initializers
from jaxtyping import Array, Float, Int, PRNGKeyArray

from experiments.models import layers

init = initializers.truncated_normal(0.02)


class Block(nnx.Module):
    """Attention to earlier words and an MLP, each with dropout and a shortcut."""

    def __init__(self, width: int, heads: int, dropout: float | Array, *, rngs: nnx.Rngs):
        linear = partial(nnx.Linear, kernel_init=init, rngs=rngs)
        self.heads, self.dropout = heads, layers.Dropout(dropout)
        self.norm1, self.norm2 = (nnx.LayerNorm(width, rngs=rngs) for _ in range(2))
        self.qkv, self.out = linear(width, 3 * width), linear(width, width)
        self.up, self.down = linear(width, 4 * width), linear(4 * width, width)

    def __call__(
        self, x: Float[Array, "b t d"], train: bool, rngs: nnx.Rngs | None
    ) -> Float[Array, "b t d"]:
        qkv = self.qkv(self.norm1(x)).reshape(*x.shape[:2], 3, self.heads, -1)
        attended = jax.nn.dot_product_attention(*jnp.moveaxis(qkv, 2, 0), is_causal=True)
        x = x + self.dropout(self.out(attended.reshape(x.shape)), train, rngs)
        return x + self.dropout(self.down(nnx.gelu(self.up(self.norm2(x)))), train, rngs)


class LanguageModel(nnx.Module):
    """Called on words' numbers it gives the last hidden states, of which `head` makes logits.

    Rows may be shorter than `length`. What comes after a word has no influence on its state, so
    that padding at the end needs no mask.
    """

    def __init__(
        self,
        words: int,
        length: int,
        *,
        width: int,
        depth: int = 2,
        heads: int = 4,
        dropout: float | Array = 0.0,
        rngs: nnx.Rngs,
    ):
        self.words = nnx.Embed(words, width, embedding_init=init, rngs=rngs)
        self.places = nnx.Param(init(rngs.params(), (length, width)))
        self.dropout = layers.Dropout(dropout)
        self.blocks = nnx.List([Block(width, heads, dropout, rngs=rngs) for _ in range(depth)])
        self.norm = nnx.LayerNorm(width, rngs=rngs)

    def __call__(
        self, tokens: Int[Array, "b t"], *, train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "b t d"]:
        rngs = layers.streams(key)
        x = self.words(tokens) + self.places[...][: tokens.shape[1]]
        x = self.dropout(x, train, rngs)
        for block in self.blocks:
            x = block(x, train, rngs)
        return self.norm(x)

    def head(self, hidden: Float[Array, "... d"]) -> Float[Array, "... v"]:
        return self.words.attend(hidden)
