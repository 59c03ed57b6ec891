"""Apply a mix to labels: class ids, soft labels, regression targets, sample weights."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, PyTree

from jax_mixup import _checks
from jax_mixup._blending import checked_rows, layered, layers_of, one_mix
from jax_mixup._entry import public
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

    def dense(labels: Array) -> Array:
        if num_classes is not None and jnp.issubdtype(labels.dtype, jnp.integer):
            labels = jax.nn.one_hot(_checks.int32(labels), num_classes, dtype=jnp.float32)
        if not smooth or labels.ndim == 1:
            return labels
        epsilon = jnp.asarray(smoothing).astype(jnp.float32)
        labels = labels.astype(jnp.float32)
        return (1 - epsilon) * labels + epsilon * labels.mean(axis=-1, keepdims=True)

    def leaf(labels: ArrayLike, other: ArrayLike | None = None) -> Array:
        labels = checked_rows("blend_labels", layers_of(mix)[0], "labels", labels)
        _checks.label_kind(labels, num_classes, smooth, alone=alone)
        own = dense(labels)
        out = labels.dtype if jnp.issubdtype(labels.dtype, jnp.inexact) else jnp.float32

        def weight_of(layer: Mix) -> Array:
            checked_rows("blend_labels", layer, "labels", labels)
            return padded(layer.lam, own.ndim)

        def other_of(layer: Mix) -> Array | None:
            if other is not None:
                theirs = jnp.asarray(other)
                _checks.label_kind(theirs, num_classes, smooth, alone=alone)
                return _checks.shaped("blend_labels", "other", dense(theirs), own.shape)
            partners = move_rows(layer.partner, labels)
            return None if partners is labels else dense(partners)  # a batch of one

        return layered(mix, own, weight_of, other_of, out)

    one_mix("blend_labels", mix, other)
    return jax.tree.map(leaf, labels) if other is None else jax.tree.map(leaf, labels, other)
