"""One call for methods that are more than a sampler: with a state, a switch, longer inputs."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import ArrayLike, PRNGKeyArray, PyTree

from jax_mixup import _checks
from jax_mixup._entry import calls_back, on_any_mesh
from jax_mixup.blobs import sample_fmix
from jax_mixup.insets import fit_partner
from jax_mixup.labels import blend_labels
from jax_mixup.laws import constant, uniform
from jax_mixup.mix import blend, take_partner
from jax_mixup.partners import permutation
from jax_mixup.recipes import cutmix, leaf_shape, mix_batch, mixup, positions, resizemix
from jax_mixup.samplers import sample_cutmix, sample_mixup


@calls_back
def recursivemix(
    key: PRNGKeyArray,
    images: PyTree,
    labels: PyTree,
    previous: tuple[PyTree, PyTree],
    *,
    share: ArrayLike = 0.5,
    num_classes: int | None = None,
    dtype: DTypeLike | None = None,
    **options: Any,
) -> tuple[PyTree, PyTree]:
    """Mix a batch with what the last step trained on, which was mixed so too.

        x̃ᵗ = xᵗ outside a box and x̃ᵗ⁻¹, resized, inside;  ỹᵗ = λ yᵗ + (1 - λ) ỹᵗ⁻¹;  λ ~ U(1-s, 1)

    Args:
      key: a PRNG key.
      images, labels, num_classes, dtype: as in `cutmix`.
      previous: what the last call gave: the state to carry. At first the batch itself, with soft
        labels.
      share: s, the most that the box covers, before it is clipped; may be traced; 0 is off.
      **options: `box`, `per` of `sample_cutmix`.

    Returns:
      (images, labels), mixed: the next call's `previous`.

    Raises:
      TypeError, ValueError: as the functions do; also where `previous` has other shapes.

    Example:
      >>> images, labels = jnp.ones((4, 8, 8, 3)), jnp.arange(4)
      >>> carry = images, jax.nn.one_hot(labels, 10)
      >>> carry = jm.recursivemix(jax.random.key(0), images, labels, carry, num_classes=10)
      >>> carry[0].shape, carry[1].shape
      ((4, 8, 8, 3), (4, 10))

    Yang et al. 2022, arXiv:2203.06844. Their second loss, on the features in the box (`pool_given`)
    against what was predicted for them before, is the user's.
    """
    _checks.share("recursivemix", "share", share)
    law = uniform(1 - share, 1.0)
    mix = sample_cutmix(key, positions("recursivemix", images), lam_law=law, **options)
    given = jax.tree.map(lambda x, last: jnp.asarray(last).astype(x.dtype), images, previous[0])
    mixed = blend(mix, images, other=fit_partner(mix, images, other=given), dtype=dtype)
    return mixed, blend_labels(mix, labels, other=previous[1], num_classes=num_classes)


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


@calls_back
def stackmix(
    key: PRNGKeyArray,
    images: PyTree,
    labels: PyTree,
    *,
    axis: int = 1,
    num_classes: int | None = None,
    smoothing: ArrayLike = 0.0,
    other: tuple[PyTree, PyTree] | None = None,
) -> tuple[PyTree, PyTree]:
    """Put each example beside another: an input twice as long, whose label is half each.

        x̃ᵢ = [xᵢ; xₚ],  ỹᵢ = ½ yᵢ + ½ yₚ,  p a random permutation

    Args:
      key: a PRNG key.
      images: arrays [B, ...] of any dtype, or a PyTree of them.
      labels, num_classes, smoothing: as in `blend_labels`.
      axis: along which they are put together, 1 or more.
      other: (images, labels) of a second batch, to append in place of the partners.

    Returns:
      (images, labels); the images are twice as long along `axis`.

    Raises:
      TypeError, ValueError: as `blend_labels` does; also for an axis that is not one of the
        images' after the first.

    Example:
      >>> images, labels = jnp.ones((4, 8, 8, 3)), jnp.arange(4)
      >>> x, y = jm.stackmix(jax.random.key(0), images, labels, num_classes=10)
      >>> x.shape, y.shape
      ((4, 16, 8, 3), (4, 10))

    Chen et al. 2022, arXiv:2011.12618. At test time they put an example beside itself.
    """
    batch, *rest = leaf_shape("stackmix", images)
    _checks.axes("stackmix", (axis,), len(rest))
    key, key_pairs = jax.random.split(key)
    pairing = permutation(key_pairs, batch)
    mix = sample_mixup(key, (batch,), lam_law=constant(0.5), pairing=pairing)
    pictures, theirs = (None, None) if other is None else other
    pictures = take_partner(mix, images) if other is None else pictures
    stacked = _appended(images, pictures, axis=axis)
    return stacked, blend_labels(
        mix, labels, other=theirs, num_classes=num_classes, smoothing=smoothing
    )


@on_any_mesh
def _appended(images: PyTree, pictures: PyTree, *, axis: int) -> PyTree:
    append = lambda x, other: jnp.concatenate([jnp.asarray(x), jnp.asarray(other)], axis=axis)
    return jax.tree.map(append, images, pictures)
