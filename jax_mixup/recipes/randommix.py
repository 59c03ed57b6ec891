"""RandomMix in one call: one of four recipes, drawn each time."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import ArrayLike, PRNGKeyArray, PyTree

from jax_mixup import _checks
from jax_mixup._entry import calls_back
from jax_mixup.recipes.cutmix import cutmix
from jax_mixup.recipes.mix_batch import mix_batch
from jax_mixup.recipes.mixup import mixup
from jax_mixup.recipes.resizemix import resizemix
from jax_mixup.samplers.fmix import sample_fmix


@calls_back
def randommix(
    key: PRNGKeyArray,
    images: PyTree,
    labels: PyTree,
    *,
    probs: tuple[float, ...] = (0.25, 0.25, 0.25, 0.25),
    alphas: tuple[float, ...] = (1.0,),
    num_classes: int | None = None,
    smoothing: ArrayLike = 0.0,
    dtype: DTypeLike | None = None,
    other: tuple[PyTree, PyTree] | None = None,
) -> tuple[PyTree, PyTree]:
    """Mix a batch and its labels by mixup, CutMix, FMix or ResizeMix, drawn anew each time.

        x̃, ỹ = recipeₖ(x, y; α),  P(k) = probs[k], α ~ U{alphas}

    One branch of a switch runs, so that the dear ones cost only when drawn.

    Args:
      key: a PRNG key.
      images, labels, num_classes, smoothing, dtype, other: as in `cutmix`.
      probs: of the four, in this order.
      alphas: what α is drawn from.

    Returns:
      (images, labels), mixed.

    Raises:
      TypeError, ValueError: as the recipes do; also for `probs` that are no four numbers of sum 1.

    Example:
      >>> images, labels = jnp.ones((4, 8, 8, 3)), jnp.arange(4)
      >>> x, y = jm.randommix(jax.random.key(0), images, labels, num_classes=10)
      >>> x.shape, y.shape
      ((4, 8, 8, 3), (4, 10))

    RandomMix, Liu et al. 2022, arXiv:2205.08728.
    """
    _checks.probabilities("randommix", 4, probs)
    key_method, key_alpha, key = jax.random.split(key, 3)
    place = jax.random.randint(key_alpha, (), 0, len(alphas), jnp.int32)
    alpha = jnp.asarray(alphas, jnp.float32)[place]
    options: dict[str, Any] = dict(
        num_classes=num_classes, smoothing=smoothing, dtype=dtype, other=other
    )
    recipes = [
        lambda: mixup(key, images, labels, alpha=alpha, **options),
        lambda: cutmix(key, images, labels, alpha=alpha, **options),
        lambda: mix_batch(key, images, labels, partial(sample_fmix, alpha=alpha), **options),
        lambda: resizemix(key, images, labels, **options),
    ]
    edges = jnp.cumsum(jnp.asarray(probs, jnp.float32))[:-1]
    method = (jax.random.uniform(key_method, (), jnp.float32) >= edges).sum()
    return jax.lax.switch(method, recipes)
