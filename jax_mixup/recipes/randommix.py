"""RandomMix in one call: one of four methods, drawn in each call."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import ArrayLike, PRNGKeyArray, PyTree

from jax_mixup import _checks
from jax_mixup._entry import calls_back, one_program
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
    """Mix a batch and its labels by mixup, CutMix, FMix or ResizeMix, drawn again in each call.

        x̃, ỹ = recipeₖ(x, y; α),  P(k) = probs[k], α ~ U{alphas}

    Only the branch that is drawn runs, so that an expensive method takes time only when drawn.

    Args:
      key: a PRNG key.
      images: arrays [B, *spatial, C] with channels last, or a PyTree of arrays that start with the
        same B and spatial axes. If channels come first, move them, `jnp.moveaxis(images, 1, -1)`,
        and back afterwards. Grey images [B, H, W] need a channel axis: `images[..., None]`.
      labels: class ids i[B], which need `num_classes`, or floats [B, ...]: soft labels, multi-hot
        labels or regression targets; or a PyTree of them.
      probs: the probabilities of the four methods, in this order.
      alphas: the values that α is drawn from, for the three methods that have one.
      num_classes: K, the number of classes, for class ids. An id outside [0, K) becomes zeros.
      smoothing: ε in [0, 1] of label smoothing, applied before mixing; it may be traced.
      dtype: dtype of the mixed images, by default their own. Integer images need one: a float
        dtype, or their own, in which values are rounded.
      other: (images, labels) of a second batch of the same shapes: example i is mixed with its
        example i in place of the partner.

    Returns:
      The mixed images and the mixed labels: f32[B, K] for class ids, else of the shape of `labels`.

    Raises:
      TypeError: If images are integer or bool and `dtype` is not given, or labels are bool.
      ValueError: If class ids come without `num_classes`, images seem to have channels first, the
        shapes of `other` differ, an option is out of range, or `probs` are not four numbers that
        sum to 1.

    Example:
      >>> images, labels = jnp.ones((4, 8, 8, 3)), jnp.arange(4)
      >>> x, y = jm.randommix(jax.random.key(0), images, labels, num_classes=10)
      >>> x.shape, y.shape
      ((4, 8, 8, 3), (4, 10))

    RandomMix, Liu et al. 2022, arXiv:2205.08728.
    """
    _checks.probabilities("randommix", 4, probs)
    for alpha in alphas:
        _checks.alpha("randommix", "alpha", alpha)
    _checks.share("randommix", "smoothing", smoothing)
    if num_classes is not None:
        _checks.classes("randommix", num_classes)
    smooth = {} if _checks.static_number(smoothing) == 0 else {"smoothing": smoothing}
    arrays = key, images, labels, probs, alphas, other
    return _switched(*arrays, smooth, num_classes=num_classes, dtype=dtype)


# Outside of a jit a switch of new functions would compile in each call, which takes a second.
@one_program("num_classes", "dtype")
def _switched(
    key: PRNGKeyArray,
    images: PyTree,
    labels: PyTree,
    probs: PyTree[ArrayLike],
    alphas: PyTree[ArrayLike],
    other: tuple[PyTree, PyTree] | None,
    smooth: dict[str, ArrayLike],
    **static: Any,
) -> tuple[PyTree, PyTree]:
    key_method, key_alpha, key = jax.random.split(key, 3)
    place = jax.random.randint(key_alpha, (), 0, len(alphas), jnp.int32)
    alpha = jnp.asarray(alphas, jnp.float32)[place]
    options: dict[str, Any] = static | smooth | {"other": other}
    recipes = [
        lambda: mixup(key, images, labels, alpha=alpha, **options),
        lambda: cutmix(key, images, labels, alpha=alpha, **options),
        lambda: mix_batch(key, images, labels, partial(sample_fmix, alpha=alpha), **options),
        lambda: resizemix(key, images, labels, **options),
    ]
    edges = jnp.cumsum(jnp.asarray(probs, jnp.float32))[:-1]
    method = (jax.random.uniform(key_method, (), jnp.float32) >= edges).sum()
    return jax.lax.switch(method, recipes)
