"""The rows' type, what rows take, and the mixes that they are made of."""

import dataclasses
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import jax_mixup as jm
from jax_mixup import learned

B, SPATIAL, K = 8, (4, 4), 5  # so few that all compiles are small, and one row for each device
SHAPE = (B, *SPATIAL)


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    name: str
    run: Callable[..., Any]  # (key, arrays...) -> PyTree
    cannot: dict[str, str] = dataclasses.field(default_factory=dict)  # kind of setting: why not
    atol: float = 1e-5  # what float results may differ by; bools and ints never do

    @property
    def public(self) -> str:
        return self.name.split(",")[0]

    @property
    def takes(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.run).parameters)[1:]


_LENGTHS = np.array([4, 3, 2, 4, 1, 4, 3, 2], np.int32)


def _arrays() -> dict[str, np.ndarray]:
    """All with the batch first. Of each kind the narrow dtype; settings cast them."""
    rng = np.random.default_rng(0)
    uniform = lambda *shape: rng.random((B, *shape), np.float32)
    integers = lambda low, high, *shape: rng.integers(low, high, (B, *shape), np.int32)
    corner, side = 3 * uniform(2, 2), 0.5 + 2 * uniform(2, 2)
    return {
        "images": uniform(*SPATIAL, 3),
        "before": uniform(*SPATIAL, 3),  # another batch of them
        "pixels": integers(0, 256, *SPATIAL, 3).astype(np.uint8),
        "table": uniform(3),
        "targets": uniform(),
        "ids": np.array([0, 1, 1, 2, 0, 3, 4, 1], np.int32),
        "other_ids": np.array([4, 0, 2, 2, 1, 3, 0, 1], np.int32),
        "soft": np.asarray(rng.dirichlet(np.ones(K), B), np.float32),
        "maps": integers(-1, K, *SPATIAL),
        "other_maps": integers(-1, K, *SPATIAL),
        "logits": 4 * uniform(K),
        "both": 4 * rng.random((2 * B, K), np.float32),  # of clean and of blended rows
        "dense": 4 * uniform(*SPATIAL, K),
        "lam": uniform(),
        "hard": integers(0, 2, *SPATIAL).astype(bool),
        "mask": uniform(*SPATIAL),
        "saliency": uniform(*SPATIAL),
        "valid": np.broadcast_to(np.arange(4) < _LENGTHS[:, None, None], SHAPE),
        "where": np.arange(B) != 2,
        "boxes": np.concatenate([corner, corner + side], axis=-1),
        "weights": uniform(2),
        "objects": integers(0, K, 2),  # a class id a box
        "outlines": integers(0, 2, 2, *SPATIAL).astype(bool),  # a dense map a box
        "points": 4 * uniform(2, 2),
        "visible": np.ones((B, 2), np.float32),
        "partners": np.array([3, 0, 1, 2, 5, 4, 7, 6], np.int32),
        "attention": np.asarray(rng.dirichlet(np.ones(5), (B, 5)), np.float32),
        "lengths": _LENGTHS,
        "level": 0.1 + uniform(),
        "blocks": np.argsort(uniform(4), axis=1).astype(np.int32),
        "square": uniform(B),
    }


ARRAYS = _arrays()
BLOCK = nnx.split(nnx.eval_shape(lambda: learned.MixBlock(3, rngs=nnx.Rngs(0))))
REGION = nnx.split(nnx.eval_shape(lambda: learned.PolicyRegion(jnp.tanh, 3, rngs=nnx.Rngs(0))))


def _weights(state: nnx.State) -> nnx.State:
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda a: rng.standard_normal(a.shape, np.float32) / 4, state)


# Arrays without a batch: the same on every device.
SHARED = {
    "alpha": np.float32(0.7),
    "share": np.float32(0.4),
    "step": np.int32(65),
    "counts": np.array([100, 10, 1, 50, 30], np.float32),
    "block": _weights(BLOCK[1]),
    "region": _weights(REGION[1]),
}
REVERSE = jm.reverse()


def hand(mask, lam, partner=REVERSE) -> jm.Mix:
    """A mix that a user makes, of whatever dtypes: verbs bring them to those that mixes have."""
    if not isinstance(partner, jm.StaticPairing):
        partner = jnp.asarray(partner)
    return jm.Mix(partner, jnp.asarray(mask), jnp.asarray(lam))


def square(outputs, targets):
    return jnp.square(outputs - targets)


def cross_entropy(logits, ids):
    log_p = jax.nn.log_softmax(logits)
    return -(log_p * jax.nn.one_hot(ids, K, dtype=log_p.dtype)).sum(-1)


mixup = partial(jm.sample_mixup, shape=(B,))
each = partial(jm.sample_mixup, shape=(B,), per="example")
cutmix = partial(jm.sample_cutmix, shape=SHAPE)
boxes_each = partial(jm.sample_cutmix, shape=SHAPE, per="example")
gmix = partial(jm.sample_gmix, shape=SHAPE)  # soft, with positions
dirichlet = partial(jm.sample_dirichlet, shape=(B,))
ricap = partial(jm.sample_ricap, shape=SHAPE)
