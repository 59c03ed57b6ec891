"""Losses under a mix: `pair_loss` for any loss, and the losses that methods add to it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PyTree, Shaped

from jax_mixup import _checks
from jax_mixup._blending import (
    checked_rows,
    layered,
    layers_of,
    mask_for,
    masked_product,
    one_mix,
    partner_rows,
)
from jax_mixup._entry import calls_back, on_any_mesh, public
from jax_mixup._geometry import padded
from jax_mixup.apply.inputs import take_partner
from jax_mixup.mix import Mix, Mixes


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
    """Weigh the losses against the example's own and its partner's target, without one-hot labels.

        Lᵢ = λᵢ ℓ(oᵢ, tᵢ) + (1 - λᵢ) ℓ(oᵢ, tₚ)

    For losses that are linear in the target, such as cross-entropy and BCE, this equals the loss
    against the blended label.

    A mix of a mix has up to four labels, and the partner's pair has a λ of its own. Either blend
    soft labels twice, or move λ along with the ids as one more target; `pair_loss` inside the
    `loss_fn` of another `pair_loss` would weigh the partner's pair by the example's own λ:

        pairs = {"own": ids, "other": jm.take_partner(first, ids), "lam": first.lam}
        of_pair = lambda o, t: t["lam"] * ce(o, t["own"]) + (1 - t["lam"]) * ce(o, t["other"])
        loss = jm.pair_loss(second, of_pair, logits, pairs)

    Args:
      mix: a mix of B examples, or a tuple of mixes, laid one over another.
      loss_fn: `(outputs, targets) -> losses`, one loss for each example, [B, ...], or one for each
        position, [B, *spatial, ...], for `by="mask"`; of any float dtype, or a PyTree.
      outputs: what the model returned for the blended inputs; any PyTree.
      targets: targets of the unmixed examples: arrays [B, ...] of any dtype, or a PyTree of them.
        Give predictions and targets one shape: [B, 1] and [B] would broadcast to [B, B].
      other: targets in place of the partners' targets, for example those of a second batch; of the
        same structure and shapes as `targets`.
      by: "lam" weighs by the label weight, "mask" weighs by the mask at each position.

    Returns:
      Losses of the shape that `loss_fn` returns, not reduced: float64 for float64 losses, else
      float32.

    Raises:
      TypeError: If the losses are not floating point.
      ValueError: If `by` is unknown, if there is not one loss for each example, if the mask does
        not fit the losses, or if `other` is given for a tuple of mixes.

    Example:
      Cross-entropy on ids, and then segmentation with an ignore id. There the losses and the number
      of valid positions are mixed by the same verb, so that the losses of both examples are divided
      by one common number, and an ignored position stays ignored, whichever example it comes from.

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
    if other is None:
        jax.tree.map(lambda t: checked_rows("pair_loss", layers[0], "targets", t), targets)
    partners = [take_partner(layer, targets) if other is None else other for layer in layers]
    own = loss_fn(outputs, targets)
    return _weighed(mix, own, *(loss_fn(outputs, partner) for partner in partners), by=by)


@on_any_mesh
def _weighed(mix: Mixes, own: PyTree, *others: PyTree, by: str) -> PyTree:
    def leaf(own: ArrayLike, *others: ArrayLike) -> Array:
        own, rest = jnp.asarray(own), iter(others)
        if not jnp.issubdtype(own.dtype, jnp.floating):
            raise TypeError(
                f"pair_loss got losses of dtype {own.dtype}; it needs floats: cast them in loss_fn."
            )
        batch = layers_of(mix)[0].lam.shape[0]
        if own.shape[:1] != (batch,):
            raise ValueError(
                f"pair_loss got losses of shape {own.shape} for a mix of {batch} examples; it "
                "needs one loss for each example, not reduced: leave the mean out of loss_fn, and "
                "take the mean of what pair_loss returns."
            )

        def weight_of(layer: Mix) -> Array:
            return padded(layer.lam, own.ndim) if by == "lam" else mask_for("pair_loss", layer, own)

        # In half precision a mean over many examples overflows.
        out = own.dtype if own.dtype.itemsize > 4 else jnp.float32
        return layered(mix, own, weight_of, lambda layer: jnp.asarray(next(rest)), out)

    return jax.tree.map(leaf, own, *others)


@calls_back
def regmixup_loss(
    mix: Mixes,
    loss_fn: Callable[[Any, Any], PyTree],
    outputs: PyTree,
    targets: PyTree,
    *,
    other: PyTree | None = None,
    eta: ArrayLike = 1.0,
) -> PyTree:
    """Add the loss of the mixed examples to that of the unmixed ones, from one forward pass.

        Lᵢ = ℓ(oᵢ, tᵢ) + η (λᵢ ℓ(õᵢ, tᵢ) + (1 - λᵢ) ℓ(õᵢ, tₚ))

    Args:
      mix: a mix of B examples, or a tuple of mixes.
      loss_fn: `(outputs, targets) -> losses`, one loss for each example, [B, ...], or a PyTree.
      outputs: what the model returned for `jnp.concatenate([x, blend(mix, x)])`: 2B examples, the
        unmixed ones o first. This is one pass, so that batch norm covers both.
      targets: targets of the unmixed examples: arrays [B, ...], or a PyTree of them.
      other: targets in place of the partners' targets, for example those of a second batch; of the
        same structure and shapes as `targets`.
      eta: η, the weight of the mixed loss; may be traced.

    Returns:
      Losses of the shape that `loss_fn` returns for B examples, not reduced, in float32 or wider.

    Raises:
      TypeError: If the losses are not floating point.
      ValueError: If outputs do not have 2B examples, if there is not one loss for each example, or
        if `other` is given for a tuple of mixes.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.5]), lam=jnp.full(2, 0.5))
      >>> targets = jnp.array([0.0, 4.0])
      >>> outputs = jnp.concatenate([targets, jm.blend(mix, targets)])
      >>> jm.regmixup_loss(mix, lambda o, t: (o - t) ** 2, outputs, targets).tolist()
      [4.0, 4.0]

    RegMixup, Pinto et al. 2022, arXiv:2206.14502, with λ ~ Beta(20, 20), near ½. Their code takes
    the mean over all 2B examples: half of this, for η = 1.
    """

    batch = jnp.shape(jax.tree.leaves(targets)[0])[0]
    for x in jax.tree.leaves(outputs):
        if x.shape[:1] != (2 * batch,):
            raise ValueError(
                f"regmixup_loss got outputs of shape {x.shape} for {batch} targets; it needs twice "
                "as many outputs: call the model on jnp.concatenate([x, blend(mix, x)])."
            )
    clean, mixed = _halves(outputs)
    both = pair_loss(mix, loss_fn, mixed, targets, other=other)
    return _added(loss_fn(clean, targets), both, eta)


@on_any_mesh
def _halves(outputs: PyTree) -> tuple[PyTree, PyTree]:
    first = jax.tree.map(lambda x: x[: x.shape[0] // 2], outputs)
    return first, jax.tree.map(lambda x: x[x.shape[0] // 2 :], outputs)


@on_any_mesh
def _added(own: PyTree, both: PyTree, eta: ArrayLike) -> PyTree:
    return jax.tree.map(
        lambda own, both: (
            jnp.asarray(own).astype(both.dtype) + jnp.asarray(eta).astype(both.dtype) * both
        ),
        own,
        both,
    )


@public
def decoupled_loss(
    mix: Mix,
    logits: Shaped[ArrayLike, "b k"],
    labels: Shaped[ArrayLike, "b ..."],
    *,
    other: Shaped[ArrayLike, "b ..."] | None = None,
    eta: ArrayLike = 0.1,
    power: float = 0.0,
) -> Float[Array, "b"]:
    """Cross-entropy of mixed examples in which the two classes also do not compete with each other.

        L = CE(λ) - η λᵉ log φ(yᵢ \\ yₚ) - η (1-λ)ᵉ log φ(yₚ \\ yᵢ)
        φ(a \\ b) = exp oₐ / Σ_{c ≠ b} exp o_c,  e = `power`

    with CE(λ) = -λ log p(yᵢ) - (1-λ) log p(yₚ). The second part asks for both classes with full
    confidence, each against the classes that are not in the mix. It is zero where there is only one
    class: if both partners have the same class, or if λ is within 1e-3 of 0 or 1.

    Args:
      mix: a mix of B examples.
      logits: f[B, K] for the blended inputs.
      labels: class ids of the unmixed examples, i[B]. An id outside [0, K) adds no loss.
      other: ids in place of the partners' ids, for example those of a second batch.
      eta, power: η, the weight of the second part, which may be traced; and e, which says how the
        second part depends on λ: with 0 it does not.

    Returns:
      f32[B], not reduced.

    Raises:
      TypeError: If labels are not ids of shape (B,).
      ValueError: If labels or logits have another B.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.5]), lam=jnp.full(2, 0.5))
      >>> loss = jm.decoupled_loss(mix, jnp.zeros((2, 3)), jnp.array([0, 1]), eta=1.0)
      >>> print(f"{loss[0]:.4f} = log 3 + 2 log 2")
      2.4849 = log 3 + 2 log 2

    Liu et al. 2023, arXiv:2203.10761. In their code η is 0.01 to 1, e is 0, 0.5 or 1, and one λ is
    drawn for the batch. At exactly ½ they drop the second part, which cannot tell the two apart;
    some of their settings keep it for one of the two classes only. Here λ is each example's, and
    both parts stay.
    """
    name = "decoupled_loss"
    labels = _checks.integer_ids(name, "labels", checked_rows(name, mix, "labels", labels))
    logits = checked_rows(name, mix, "logits", logits).astype(jnp.float32)
    other = None if other is None else _checks.integer_ids(name, "other", other)
    partners = partner_rows(name, mix, "labels", labels, other)
    own, rest = _one_hot(labels, logits), _one_hot(partners, logits)
    two = (labels != partners) & (mix.lam > 1e-3) & (mix.lam < 1 - 1e-3)

    def without(rival: Array, target: Array) -> Float[Array, "b"]:
        alone = jnp.where(rival & two[:, None], -jnp.inf, logits)
        return jnp.where(two, _cross_entropy(alone, target), 0.0)

    lam, weight = mix.lam, jnp.asarray(eta).astype(jnp.float32)
    mixed = masked_product(lam, _cross_entropy(logits, own))
    mixed += masked_product(1 - lam, _cross_entropy(logits, rest))
    lam = jnp.where(two, lam, 0.5)  # at 0 the gradient of a root is infinite
    decoupled = lam**power * without(rest, own) + (1 - lam) ** power * without(own, rest)
    return mixed + weight * decoupled


@public
def mixupe_penalty(
    logits: Shaped[ArrayLike, "b k"],
    labels: Shaped[ArrayLike, "b ..."],
    *,
    alpha: ArrayLike,
    threshold: float = 1.0,
) -> Float[Array, "b"]:
    """Make mixup's hidden penalty on slopes larger: a term computed on the unmixed examples.

        rᵢ = -(1 - λ̄) (y - softmax o) · o  where (y - softmax o) · o < threshold, else 0

    with λ̄ = (α + 1) / (2 α + 1), the mean of Beta(α + 1, α), and y one-hot. Add η times its mean
    to the mean of `pair_loss`; it costs a second forward pass.

    Args:
      logits, labels: o, f[B, K] for the *unmixed* inputs, and their class ids y.
      alpha: α of the mixup that this is added to; may be traced; <= 0 gives no penalty.
      threshold: examples above it have no penalty and no gradient.

    Returns:
      f32[B], not reduced.

    Raises:
      TypeError: If labels are not ids of shape (B,).
      ValueError: If a static `alpha` is negative.

    Example:
      >>> r = jm.mixupe_penalty(jnp.array([[1.0, -1.0]]), jnp.array([1]), alpha=1.0)
      >>> print(f"{r[0]:.4f}")  # (1 + tanh 1) / 3
      0.5872

    MixupE, Zou et al. 2023, arXiv:2212.13381, as their README trains (version 3, without
    derivatives by x; η = 0.001, α = 2). Their code then scales the sum of both back to the size of
    the mixup loss, by a factor near 1, which is left out here.
    """
    labels = _checks.integer_ids("mixupe_penalty", "labels", labels)
    _checks.alpha("mixupe_penalty", "alpha", alpha)
    logits, a = (jnp.asarray(x).astype(jnp.float32) for x in (logits, alpha))
    residual = _one_hot(labels, logits).astype(jnp.float32) - jax.nn.softmax(logits)
    slope = (residual * logits).sum(axis=-1)
    weight = jnp.where(a > 0, a / (2 * a + 1), 0.0)  # 1 - λ̄
    return jnp.where(slope < threshold, -weight * slope, 0.0)


def _one_hot(ids: Int[Array, "b"], logits: Float[Array, "b k"]) -> Array:
    return jnp.arange(logits.shape[-1], dtype=jnp.int32)[None, :] == ids[:, None]


def _cross_entropy(logits: Float[Array, "b k"], target: Array) -> Float[Array, "b"]:
    """Cross-entropy against one-hot targets of bools.

    Classes at -inf are left out, and a target without any True has no loss.
    """
    return -jnp.where(target, jax.nn.log_softmax(logits), 0.0).sum(axis=-1)
