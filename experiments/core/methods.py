"""A way to train as numbers, all of which may be traced: one compiled program works for many."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

import jax_mixup as jm


class Method(NamedTuple):
    """What is done to the inputs, the labels and the weights."""

    alpha: float = 0.0  # λ ~ Beta(α, α); 0 is off, which is plain training; infinity is λ = ½
    cutmix: float = 0.0  # probability of CutMix in place of mixup
    instead: float = 0.0  # 1 leaves batches without CutMix unmixed
    smoothing: float = 0.0  # of labels
    weight_decay: float = 0.0
    noise: float = 0.0  # σ of Gaussian noise on the inputs
    dropout: float = 0.0
    regmixup: bool = False  # learn from the unmixed batch too; this one is static

    def draw(self, key: PRNGKeyArray, x: Array, y: Array) -> jm.Mix:
        """Mixup, CutMix or nothing."""
        return jm.sample_mixup_or_cutmix(
            key,
            x.shape[:-1],
            mixup_alpha=jnp.where(self.instead > 0, 0.0, self.alpha),
            cutmix_alpha=self.alpha,
            switch_prob=self.cutmix,
        )
