"""The vision transformer, as in DeiT: a class token, learned positions, pre-norm."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn import initializers
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.models import layers

init = initializers.truncated_normal(0.02)
matmuls_only = jax.checkpoint_policies.dots_with_no_batch_dims_saveable


class Block(nnx.Module):
    """Attention and an MLP, each with a shortcut."""

    def __init__(self, width: int, heads: int, *, dtype: DTypeLike, rngs: nnx.Rngs):
        linear = partial(nnx.Linear, kernel_init=init, dtype=dtype, rngs=rngs)
        norm = partial(nnx.LayerNorm, width, epsilon=1e-6, dtype=dtype, rngs=rngs)
        self.heads = heads
        self.norm1, self.norm2 = norm(), norm()
        self.qkv, self.out = linear(width, 3 * width), linear(width, width)
        self.up, self.down = linear(width, 4 * width), linear(4 * width, width)

    def __call__(
        self, x: Float[Array, "b n c"], drop: tuple[PRNGKeyArray, Float[Array, ""]] | None
    ) -> Float[Array, "b n c"]:
        """Both branches; with `drop`, a key and a rate, each drops examples of its own."""

        def branch(y: Array, i: int) -> Array:
            if drop is None:
                return y
            return layers.drop(jax.random.fold_in(drop[0], i), y, drop[1], (y.shape[0], 1, 1))

        qkv = self.qkv(self.norm1(x)).reshape(*x.shape[:2], 3, self.heads, -1)
        attended = jax.nn.dot_product_attention(*jnp.moveaxis(qkv, 2, 0))
        x = x + branch(self.out(attended.reshape(x.shape)), 0)
        return x + branch(self.down(nnx.gelu(self.up(self.norm2(x)), approximate=False)), 1)


class ViT(nnx.Module):
    """`depth` blocks on `patch` x `patch` squares of `image` x `image` pictures.

    Parameters are float32, those of all blocks stacked along a first axis; all but the last layer
    computes in `dtype`. The probability of dropping a branch grows linearly from 0 in the first
    block to `drop_path` in the last.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        image: int = 224,
        patch: int = 16,
        width: int = 384,
        depth: int = 12,
        heads: int = 6,
        drop_path: float = 0.0,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        if image % patch or width % heads:
            raise ValueError(
                f"ViT got image={image}, patch={patch}, width={width} and heads={heads}; it needs "
                "patch to divide image, and heads to divide width."
            )
        if not 0 <= drop_path < 1:
            raise ValueError(f"ViT got drop_path={drop_path}; it needs a number in [0, 1).")
        self.drop_path, self.depth = drop_path, depth
        self.embed = nnx.Conv(
            3, width, (patch, patch), strides=patch, kernel_init=init, dtype=dtype, rngs=rngs
        )
        self.token = nnx.Param(init(rngs.params(), (1, 1, width)))
        self.positions = nnx.Param(init(rngs.params(), (1, 1 + (image // patch) ** 2, width)))

        @nnx.split_rngs(splits=depth)
        @nnx.vmap
        def stacked(rngs: nnx.Rngs) -> Block:
            return Block(width, heads, dtype=dtype, rngs=rngs)

        self.blocks = stacked(rngs)
        self.norm = nnx.LayerNorm(width, epsilon=1e-6, dtype=dtype, rngs=rngs)
        self.head = nnx.Linear(width, num_classes, kernel_init=init, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b h w 3"], *, train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "b k"]:
        """The logits, f32; with `train`, branches are dropped by `key`."""
        drop = None
        if train and self.drop_path:
            if key is None:
                raise ValueError(
                    f"ViT got train=True and no key; drop_path={self.drop_path} needs one: "
                    "pass key=jax.random.fold_in(key, step)."
                )
            keys = jax.random.split(key, self.depth)
            drop = keys, jnp.linspace(0, self.drop_path, self.depth)
        x = self.embed(x)
        x = x.reshape(x.shape[0], -1, x.shape[-1])
        # A row of zeros, and the token with its position: with explicit mesh axes, the token itself
        # cannot be put before a sharded x.
        tokens = self.positions[...].at[:, :1].add(self.token[...])
        x = jnp.pad(x, ((0, 0), (1, 0), (0, 0))) + tokens.astype(x.dtype)

        # One block is compiled, whatever the depth; the backward pass recomputes what is cheap.
        @nnx.scan(in_axes=(nnx.Carry, 0, 0), out_axes=nnx.Carry)
        @nnx.remat(prevent_cse=False, policy=matmuls_only)
        def apply(x: Array, block: Block, drop: tuple[Array, Array] | None) -> Array:
            return block(x, drop)

        x = apply(x, self.blocks, drop)
        return self.head(self.norm(x[:, 0]))


def vit_s16(
    num_classes: int = 1000,
    *,
    dtype: DTypeLike = jnp.bfloat16,
    drop_path: float = 0.1,
    rngs: nnx.Rngs,
) -> ViT:
    """DeiT-S/16: 22,050,664 parameters at 1,000 classes."""
    return ViT(num_classes, dtype=dtype, drop_path=drop_path, rngs=rngs)
