"""Losses under a mix: `pair_loss` for any loss, and the losses that methods add."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PyTree, Shaped

from jax_mixup import _checks, _geometry
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
    """Add the loss of the mixed rows to that of the rows themselves, from one forward pass.

        Lᵢ = ℓ(oᵢ, tᵢ) + η (λᵢ ℓ(õᵢ, tᵢ) + (1 - λᵢ) ℓ(õᵢ, tₚ))

    Args:
      mix: a mix of B rows, or a tuple of them.
      loss_fn, targets, other: as in `pair_loss`, for B rows.
      outputs: what the model gave for `jnp.concatenate([x, blend(mix, x)])`: 2B rows, the clean
        ones o first. One pass, so that batch norm sees both.
      eta: η; may be traced.

    Returns:
      Losses of loss_fn's shape for B rows, not reduced, in float32 or wider.

    Raises:
      TypeError: for losses that are not floats.
      ValueError: for outputs that do not have 2B rows.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.5]), lam=jnp.full(2, 0.5))
      >>> targets = jnp.array([0.0, 4.0])
      >>> outputs = jnp.concatenate([targets, jm.blend(mix, targets)])
      >>> jm.regmixup_loss(mix, lambda o, t: (o - t) ** 2, outputs, targets).tolist()
      [4.0, 4.0]

    RegMixup, Pinto et al. 2022, arXiv:2206.14502, with λ ~ Beta(20, 20), near ½. Their code takes
    the mean over all 2B rows: half of this, for η = 1.
    """

    batch = jnp.shape(jax.tree.leaves(targets)[0])[0]
    for x in jax.tree.leaves(outputs):
        if x.shape[:1] != (2 * batch,):
            raise ValueError(
                f"regmixup_loss got outputs of shape {x.shape} for targets of {batch} rows; it "
                "needs twice as many: call the model on jnp.concatenate([x, blend(mix, x)])."
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
    """Cross-entropy of mixed rows in which the two classes also do not compete with each other.

        L = CE(λ) - η λᵉ log φ(yᵢ \\ yₚ) - η (1-λ)ᵉ log φ(yₚ \\ yᵢ)
        φ(a \\ b) = exp oₐ / Σ_{c ≠ b} exp o_c,  e = `power`

    with CE(λ) = -λ log p(yᵢ) - (1-λ) log p(yₚ). The second part asks for both classes with full
    confidence, each against the classes that are not in the mix. It is zero where there is one
    class only: partners of the same class, and λ within 1e-3 of 0 or 1.

    Args:
      mix: a mix of B rows.
      logits: f[B, K] for the blended inputs.
      labels: class ids of the unmixed rows. A row with an id outside [0, K) has no loss to it.
      other: ids in place of the partners', as of a second batch.
      eta, power: η, which may be traced, and e, how the second part follows λ: 0 not at all.

    Returns:
      f32[B], not reduced.

    Raises:
      TypeError: for labels that are not ids of shape (B,).
      ValueError: for another B.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.5]), lam=jnp.full(2, 0.5))
      >>> loss = jm.decoupled_loss(mix, jnp.zeros((2, 3)), jnp.array([0, 1]), eta=1.0)
      >>> print(f"{loss[0]:.4f} = log 3 + 2 log 2")
      2.4849 = log 3 + 2 log 2

    Liu et al. 2023, arXiv:2203.10761. In their code η is 0.01 to 1, e is 0, 0.5 or 1, λ is the
    batch's, and at exactly ½ the second part is dropped, for it cannot tell the two apart; some of
    their settings keep it for one of the shares only. Here λ is each row's, and both stay.
    """
    name = "decoupled_loss"
    labels = _checks.integer_ids(name, "labels", checked_rows(name, mix, "labels", labels))
    logits = checked_rows(name, mix, "logits", logits).astype(jnp.float32)
    given = None if other is None else _checks.integer_ids(name, "other", other)
    partners = partner_rows(name, mix, "labels", labels, given)
    own, rest = _one_hot(labels, logits), _one_hot(partners, logits)
    two = (labels != partners) & (mix.lam > 1e-3) & (mix.lam < 1 - 1e-3)

    def without(rival: Array, target: Array) -> Float[Array, "b"]:
        kept = jnp.where(rival & two[:, None], -jnp.inf, logits)
        return jnp.where(two, _cross_entropy(kept, target), 0.0)

    lam, weight = mix.lam, jnp.asarray(eta).astype(jnp.float32)
    mixed = masked_product(lam, _cross_entropy(logits, own))
    mixed += masked_product(1 - lam, _cross_entropy(logits, rest))
    lam = jnp.where(two, lam, 0.5)  # a root has no gradient at 0
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
    """Make mixup's hidden penalty on slopes larger: a term of the rows that are not mixed.

        rᵢ = -(1 - λ̄) (y - softmax o) · o  where (y - softmax o) · o < threshold, else 0

    with λ̄ = (α + 1) / (2 α + 1), the mean of Beta(α + 1, α), and y one-hot. Add η times its mean to
    the mean of `pair_loss`; it costs a second pass.

    Args:
      logits, labels: o, f[B, K] of the *unmixed* inputs, and their class ids.
      alpha: α of the mixup beside it; may be traced; <= 0 gives no penalty.
      threshold: rows above it have no gradient.

    Returns:
      f32[B], not reduced.

    Raises:
      TypeError, ValueError: for labels that are not ids of shape (B,), a static negative `alpha`.

    Example:
      >>> r = jm.mixupe_penalty(jnp.array([[1.0, -1.0]]), jnp.array([1]), alpha=1.0)
      >>> print(f"{r[0]:.4f}")  # (1 + tanh 1) / 3
      0.5872

    MixupE, Zou et al. 2023, arXiv:2212.13381, as their README trains (version 3, without
    derivatives by x; η = 0.001, α = 2). Their code then scales the sum of both back to the mixup
    loss's size, a factor near 1, which is left out here.
    """
    labels = _checks.integer_ids("mixupe_penalty", "labels", labels)
    _checks.alpha("mixupe_penalty", "alpha", alpha)
    logits, a = (jnp.asarray(x).astype(jnp.float32) for x in (logits, alpha))
    residual = _one_hot(labels, logits).astype(jnp.float32) - jax.nn.softmax(logits)
    slope = (residual * logits).sum(axis=-1)
    share = jnp.where(a > 0, a / (2 * a + 1), 0.0)
    return jnp.where(slope < threshold, -share * slope, 0.0)


@public
def intrusion_loss(real: Shaped[ArrayLike, "n"], mixed: Shaped[ArrayLike, "m"]) -> Float[Array, ""]:
    """Tell mixed inputs from real ones: the region must leave them apart.

        L = mean over all rows of -log σ(d(x)) for real ones, -log (1 - σ(d(x̃))) for mixed ones

    Both the discriminator d and the region minimise it: a mixed input that looks like a real one
    would have a wrong label.

    Args:
      real, mixed: logits d of real inputs (those that were mixed, and others), and of blended ones.

    Returns:
      f32[], the mean.

    Example:
      >>> print(f"{jm.intrusion_loss(jnp.zeros(4), jnp.zeros(2)):.3f} = log 2")
      0.693 = log 2

    Guo et al. 2019, arXiv:1809.02499, whose discriminator is a second head on the classifier's
    features; two logits and a softmax there, one and σ here, which is the same family.
    """
    real, mixed = (jnp.asarray(x).astype(jnp.float32) for x in (real, mixed))
    total = jax.nn.softplus(-real).sum() + jax.nn.softplus(mixed).sum()
    return total / (real.size + mixed.size)


@public
def mask_loss(mix: Mix, *, margin: float = 0.1) -> Float[Array, ""]:
    """Pull a mask's mean to its label weight, and leave it alone once it is near.

        L = mean over rows of max(|mean mᵢ - λᵢ| - margin, 0)

    Args:
      mix: as from `sample_automix`.
      margin: how far off costs nothing.

    Returns:
      f32[]; the authors weigh it by 0.1.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.full((2, 4), 0.5), lam=jnp.array([0.5, 0.9]))
      >>> print(f"{jm.mask_loss(mix):.2f}")
      0.15

    Liu et al. 2022, arXiv:2103.13027. Their code takes one mean over the batch, which has one λ.
    """
    off = jnp.abs(_geometry.mean(mix.mask) - mix.lam)
    return jnp.maximum(off - margin, 0.0).mean()


@public
def adautomix_loss(
    mixes: Mixes,
    losses: Float[Array, "b"],
    mixed: Float[Array, "b k"],
    clean: Float[Array, "b k"],
    *,
    beta: float = 0.3,
) -> Float[Array, ""]:
    """Train a mix block against the classifier: mixes that are hard for its teacher.

        L = -β mean ℓ + (1 - β) mean Σⱼ λⱼ cos(f(x̃), f(xⱼ))

    Args:
      mixes: as from `sample_adautomix`.
      losses: ℓ, the teacher's losses on the blended rows, as `pair_loss` gives them.
      mixed, clean: the teacher's logits f for blended and for unmixed rows.
      beta: β.

    Returns:
      f32[], the mean.

    Example:
      >>> mix, o = jm.Mix(jm.reverse(), jnp.ones(1), lam=jnp.ones(2)), jnp.eye(2)
      >>> print(f"{jm.adautomix_loss(mix, jnp.ones(2), o, o):.1f} = 0.7 - 0.3")
      0.4 = 0.7 - 0.3

    Qin et al. 2024, arXiv:2312.11954, with an EMA of the classifier as teacher. Their code takes
    this at every second step, and +mean ℓ alone at the others.
    """

    def cosine(a: Array, b: Array) -> Array:
        size = jnp.square(a).sum(axis=-1) * jnp.square(b).sum(axis=-1)
        return (a * b).sum(axis=-1) * jax.lax.rsqrt(jnp.maximum(size, 1e-16))

    alike = pair_loss(mixes, cosine, mixed.astype(jnp.float32), clean.astype(jnp.float32))
    return -beta * losses.astype(jnp.float32).mean() + (1 - beta) * alike.mean()


def _one_hot(ids: Int[Array, "b"], logits: Float[Array, "b k"]) -> Array:
    return jnp.arange(logits.shape[-1], dtype=jnp.int32)[None, :] == ids[:, None]


def _cross_entropy(logits: Float[Array, "b k"], target: Array) -> Float[Array, "b"]:
    """To a one-hot row of bools; classes at -inf are not there, and a row of zeros has no loss."""
    return -jnp.where(target, jax.nn.log_softmax(logits), 0.0).sum(axis=-1)
