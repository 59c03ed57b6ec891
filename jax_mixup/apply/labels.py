"""Apply a mix to labels: class ids, soft labels, regression targets, sample weights."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, PyTree

from jax_mixup import _checks
from jax_mixup._blending import checked_rows, layered, layers_of, one_mix
from jax_mixup._entry import one_program, public
from jax_mixup._geometry import padded
from jax_mixup.mix import Mix, Mixes
from jax_mixup.pairings._rows import move_rows


@public
def blend_labels(
    mix: Mixes,
    labels: PyTree,
    *,
    other: PyTree | None = None,
    num_classes: int | None = None,
    smoothing: ArrayLike = 0.0,
) -> PyTree:
    """Blend labels by `lam`: class ids, soft or multi-hot labels, targets, sample weights.

        ỹᵢ = λᵢ s(yᵢ) + (1 - λᵢ) s(yₚ),  s(y) = (1 - ε) y + (ε / K) Σ y

    Args:
      mix: a mix of B examples, or a tuple of mixes, laid one over another.
      labels: integer class ids i[B] of any width (with `num_classes`), or floats [B, ...], or a
        PyTree of them. An id outside [0, K), such as an ignore id, becomes a row of zeros.
      other: labels to blend with in place of the partners' labels, for example those of a second
        batch: of the same kind, or soft labels f[B, K] where `labels` are ids.
      num_classes: K, the number of classes, for ids. Float labels with a class axis are checked
        against it; floats [B] in a PyTree with ids are taken for targets and stay what they are.
      smoothing: ε of label smoothing on the last axis, before mixing; may be traced.

    Returns:
      f32[B, K] for ids; the same shape and dtype for floats.

    Raises:
      TypeError: If labels are bool, or integers that are not ids of shape (B,).
      ValueError: If `num_classes` is missing for ids, or given for floats [B] alone; if labels have
        another B or K; if `other` has another shape, or is given for a tuple of mixes; if a static
        `smoothing` is outside [0, 1], or is given for labels without a class axis.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.75]), lam=jnp.full(2, 0.75))
      >>> jm.blend_labels(mix, jnp.array([0, 2]), num_classes=3).tolist()
      [[0.75, 0.0, 0.25], [0.25, 0.0, 0.75]]
      >>> jm.blend_labels(mix, jnp.array([10.0, 20.0])).tolist()  # regression targets, weights
      [12.5, 17.5]
    """
    _checks.share("blend_labels", "smoothing", smoothing)
    smooth = _checks.static_number(smoothing) != 0
    alone = jax.tree.structure(labels) == jax.tree.structure(0)

    def leaf(labels: ArrayLike, other: ArrayLike | None = None) -> Array:
        rows = [checked_rows("blend_labels", layer, "labels", labels) for layer in layers_of(mix)]
        both = (rows[0],) if other is None else (rows[0], jnp.asarray(other))
        for x in both:
            _check_kind(x, num_classes, smooth, alone=alone)
        classes = None if num_classes is None else int(num_classes)
        return _blended(mix, both, smoothing if smooth else None, classes)

    one_mix("blend_labels", mix, other)
    return jax.tree.map(leaf, labels) if other is None else jax.tree.map(leaf, labels, other)


@one_program("classes")
def _blended(
    mix: Mixes, both: tuple[Array, ...], smoothing: ArrayLike | None, classes: int | None
) -> Array:
    """Blend the labels with those of partners, or with a second array of labels."""
    labels, *others = both
    own = _dense(labels, smoothing, classes)
    out = labels.dtype if jnp.issubdtype(labels.dtype, jnp.inexact) else jnp.float32

    def other_of(layer: Mix) -> Array | None:
        if others:
            theirs = _dense(others[0], smoothing, classes)
            return _checks.shaped("blend_labels", "other", theirs, own.shape)
        partners = move_rows(layer.partner, labels)
        return None if partners is labels else _dense(partners, smoothing, classes)  # one example

    return layered(mix, own, lambda layer: padded(layer.lam, own.ndim), other_of, out)


def _dense(labels: Array, smoothing: ArrayLike | None, classes: int | None) -> Array:
    """Return ids as rows of zeros and ones, and smooth labels that have a class axis."""
    if classes is not None and jnp.issubdtype(labels.dtype, jnp.integer):
        labels = jax.nn.one_hot(_checks.int32(labels), classes, dtype=jnp.float32)
    if smoothing is None or labels.ndim == 1:
        return labels
    epsilon = jnp.asarray(smoothing).astype(jnp.float32)
    labels = labels.astype(jnp.float32)
    return (1 - epsilon) * labels + epsilon * labels.mean(axis=-1, keepdims=True)


def _check_kind(labels: Array, num_classes: Any, smooth: bool, *, alone: bool = True) -> None:
    """Check that `blend_labels` knows what the labels are; `alone` if they are not in a PyTree."""
    if jnp.issubdtype(labels.dtype, jnp.inexact):
        if labels.ndim > 1 and num_classes not in (None, labels.shape[-1]):
            raise ValueError(
                f"blend_labels got labels of shape {labels.shape} with num_classes={num_classes}; "
                f"it needs num_classes={labels.shape[-1]}, or no num_classes for labels that are "
                "not ids."
            )
        if labels.ndim == 1 and num_classes is not None and alone:
            raise ValueError(
                f"blend_labels got {labels.dtype} labels of shape {labels.shape} with "
                f"num_classes={num_classes}; it needs integer ids: cast them by "
                "labels.astype(jnp.int32), or leave num_classes out for regression targets."
            )
        if labels.ndim == 1 and smooth and alone:
            raise ValueError(
                f"blend_labels got smoothing for labels of shape {labels.shape} and dtype "
                f"{labels.dtype}; it needs a class axis: pass integer ids and num_classes."
            )
    elif labels.ndim != 1 or labels.dtype == jnp.bool_:
        raise TypeError(
            f"blend_labels got labels of shape {labels.shape} and dtype {labels.dtype}; it needs "
            "integer ids of shape (B,) or floats: cast multi-hot labels to float32, and for ids at "
            "each position call select, or pair_loss(by='mask')."
        )
    elif num_classes is None:
        raise ValueError(
            f"blend_labels got {labels.dtype} labels without num_classes; it needs num_classes=K "
            "for class ids, or floats for numbers such as ages: cast them to float32. pair_loss "
            "takes ids as they are."
        )
    else:
        _checks.classes("blend_labels", num_classes)
