"""The verbs for what a mix does to labels, losses and metrics.

All weigh the row's own label by `mix.lam`, and its partner's by the rest.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PyTree, Shaped

from jax_mixup import _checks
from jax_mixup._entry import calls_back, on_any_mesh, public
from jax_mixup.mix import (
    Mix,
    Mixes,
    checked_rows,
    layered,
    layers_of,
    mask_for,
    one_mix,
    padded,
    take_partner,
)
from jax_mixup.pairing import move_rows


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
      mix: a mix of B rows, or a tuple of them, laid one over another.
      labels: integer class ids i[B] of any width (with `num_classes`), or floats [B, ...], or a
        PyTree of them. An id outside [0, K), such as an ignore id, becomes a row of zeros.
      other: labels to blend with in place of the partners', as of a second batch: of the same kind,
        or soft ones f[B, K] next to ids.
      num_classes: K, for ids. Float labels with a class axis are checked against it; next to ids in
        a PyTree, floats [B] are targets and stay what they are.
      smoothing: ε of label smoothing on the last axis, before mixing; may be traced.

    Returns:
      f32[B, K] for ids; the same shape and dtype for floats.

    Raises:
      TypeError: for bool labels, or integers that are not ids of shape (B,).
      ValueError: for ids without `num_classes`, floats [B] alone with it, another B or K, an
        `other` of another shape or for a tuple of mixes, a static `smoothing` outside [0, 1], or
        smoothing of labels without a class axis.

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
                given = jnp.asarray(other)
                _checks.label_kind(given, num_classes, smooth, alone=alone)
                return _checks.shaped("blend_labels", "other", dense(given), own.shape)
            partners = move_rows(layer.partner, labels)
            return None if partners is labels else dense(partners)  # a batch of one

        return layered(mix, own, weight_of, other_of, out)

    one_mix("blend_labels", mix, other)
    return jax.tree.map(leaf, labels) if other is None else jax.tree.map(leaf, labels, other)


@calls_back
def pair_loss(
    mix: Mixes,
    loss_fn: Callable[[Any, Any], PyTree],
    outputs: PyTree,
    targets: PyTree,
    *,
    other: PyTree | None = None,
    by: str = "lam",
) -> PyTree:
    """Weigh the losses to the row's own target and to its partner's: no one-hot is made.

        Lᵢ = λᵢ ℓ(oᵢ, tᵢ) + (1 - λᵢ) ℓ(oᵢ, tₚ)

    For losses that are linear in the target, cross-entropy and BCE among them, this is the loss to
    the blended label.

    A mix of a mix has up to four labels, and the partner's pair has a λ of its own. Blend soft
    labels twice, or let λ move with the ids as one more target; `pair_loss` within the loss_fn of
    another would weigh the partner's pair by the row's own λ:

        pairs = {"own": ids, "other": jm.take_partner(first, ids), "lam": first.lam}
        of_pair = lambda o, t: t["lam"] * ce(o, t["own"]) + (1 - t["lam"]) * ce(o, t["other"])
        loss = jm.pair_loss(second, of_pair, logits, pairs)

    Args:
      mix: a mix of B rows, or a tuple of them, laid one over another.
      loss_fn: `(outputs, targets) -> losses`, one loss a row [B, ...], or one a position
        [B, *spatial, ...] for `by="mask"`; any float dtype, or a PyTree.
      outputs: what the model gave for the blended inputs; any PyTree.
      targets: of the unmixed rows: arrays [B, ...] of any dtype, or a PyTree of them.
      other: targets in place of the partners', as of a second batch; as targets are.
      by: "lam" weighs by the label weight, "mask" by the mask at each position.

    Returns:
      Losses of loss_fn's shape, not reduced: float32, of float64 losses float64.

    Raises:
      TypeError: for losses that are not floats.
      ValueError: for another `by` or B, reduced losses, a mask that does not fit the losses, or an
        `other` for a tuple of mixes.

    Example:
      Cross-entropy on ids, and segmentation with an ignore id: losses and their normaliser are
      mixed by the same verb, so neither half is divided by a count of its own, and an ignored
      position stays ignored whichever row it came from.

      >>> mix = jm.sample_cutmix(jax.random.key(0), (2, 4, 4))
      >>> def cross_entropy(logits, ids):
      ...     log_p = jax.nn.log_softmax(logits)
      ...     return -jnp.take_along_axis(log_p, jnp.maximum(ids, 0)[..., None], -1)[..., 0]
      >>> jm.pair_loss(mix, cross_entropy, jnp.zeros((2, 3)), jnp.array([0, 2])).shape
      (2,)
      >>> ids = jnp.zeros((2, 4, 4), jnp.int32).at[:, :2].set(-1)  # -1: ignore
      >>> def valid(_, ids):
      ...     return (ids >= 0).astype(jnp.float32)
      >>> def masked(logits, ids):
      ...     return cross_entropy(logits, ids) * valid(logits, ids)
      >>> logits = jnp.zeros((2, 4, 4, 3))
      >>> total = jm.pair_loss(mix, masked, logits, ids, by="mask").sum()
      >>> count = jm.pair_loss(mix, valid, logits, ids, by="mask").sum()
      >>> print(f"{total / jnp.maximum(count, 1):.4f} = log 3")
      1.0986 = log 3
    """
    _checks.option("pair_loss", "by", by, ("lam", "mask"))
    one_mix("pair_loss", mix, other)
    layers = layers_of(mix)
    partners = [take_partner(layer, targets) if other is None else other for layer in layers]
    own = loss_fn(outputs, targets)
    return _weighed(mix, own, *(loss_fn(outputs, partner) for partner in partners), by=by)


@on_any_mesh
def _weighed(mix: Mixes, own: PyTree, *others: PyTree, by: str) -> PyTree:
    def leaf(own: ArrayLike, *others: ArrayLike) -> Array:
        own, rest = jnp.asarray(own), iter(others)
        if not jnp.issubdtype(own.dtype, jnp.floating):
            raise TypeError(
                f"pair_loss got losses of dtype {own.dtype}; it needs floats: cast in loss_fn."
            )
        batch = layers_of(mix)[0].lam.shape[0]
        if own.shape[:1] != (batch,):
            raise ValueError(
                f"pair_loss got losses of shape {own.shape} for a mix of {batch} rows; it needs "
                "one loss for each row, not reduced: leave the mean out of loss_fn, and take it of "
                "what pair_loss returns."
            )

        def weight_of(layer: Mix) -> Array:
            return padded(layer.lam, own.ndim) if by == "lam" else mask_for("pair_loss", layer, own)

        # In half precision a mean over many rows overflows.
        out = own.dtype if own.dtype.itemsize > 4 else jnp.float32
        return layered(mix, own, weight_of, lambda layer: jnp.asarray(next(rest)), out)

    return jax.tree.map(leaf, own, *others)


@public
def mixed_accuracy(
    mix: Mixes,
    logits: Float[ArrayLike, "b *dims k"],
    labels: Shaped[ArrayLike, "b ..."],
    *,
    other: Shaped[ArrayLike, "b ..."] | None = None,
) -> Float[Array, "b *dims"]:
    """Score predictions on mixed inputs against both labels, each by its weight.

        accᵢ = λᵢ [argmax oᵢ = yᵢ] + (1 - λᵢ) [argmax oᵢ = yₚ]

    Accuracy against the row's own label alone, or against the argmax of mixed labels, is another
    number: a perfect model would miss it.

    Args:
      mix: a mix of B rows, or a tuple of them.
      logits: f[B, ..., K].
      labels: integer ids i[B, ...], or floats f[B, ..., K] whose argmax is taken.
      other: labels in place of the partners', as of a second batch: ids or floats.

    Returns:
      f32[B, ...], not reduced: take the mean, over real rows where some are padding.

    Raises:
      ValueError: for labels or logits of another B, or labels that do not fit the logits.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.75]), jnp.full(2, 0.75))
      >>> logits = jnp.array([[9.0, 0.0], [9.0, 0.0]])
      >>> jm.mixed_accuracy(mix, logits, jnp.array([0, 1])).tolist()
      [0.75, 0.25]
    """
    predicted = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    own = _ids_for(predicted, labels)
    partners = None if other is None else _ids_for(predicted, other)

    def hit(predicted: Array, ids: Array) -> Array:
        return (predicted == ids).astype(jnp.float32)

    return pair_loss(mix, hit, predicted, own, other=partners)


def _ids_for(predicted: Array, labels: ArrayLike) -> Array:
    labels = jnp.asarray(labels)
    if jnp.issubdtype(labels.dtype, jnp.inexact):
        labels = jnp.argmax(labels, axis=-1)
    if labels.shape != predicted.shape:
        raise ValueError(
            f"mixed_accuracy got predictions of shape {predicted.shape} and labels of ids' shape "
            f"{labels.shape}; it needs one id for each prediction, or floats with a class axis."
        )
    return _checks.int32(labels)
