"""Losses for calibration and robustness: the order of confidences, uncertainty, consistency."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, PyTree, Shaped

from jax_mixup import _checks
from jax_mixup._blending import masked_product, partner_rows
from jax_mixup._entry import public
from jax_mixup.adjust.predictions import class_distances, unit
from jax_mixup.mix import Mix


@public
def rankmixup_loss(
    clean: Shaped[ArrayLike, "b k"],
    mixed: Sequence[Shaped[ArrayLike, "b k"]],
    soft: Sequence[Shaped[ArrayLike, "b k"]],
    *,
    form: str = "mndcg",
    margin: ArrayLike = 2.0,
) -> Float[Array, "b"]:
    """Order confidences: of an example above those of its mixes, of these by how much is mixed.

        "mrl":   L = mean over mixes of max(0, max õ - max o + margin), 0 for mixes of one class
        "mndcg": L = 1 - min(D / I, I / D),  D = max p + Σⱼ max p̃ⱼ / log₂(rⱼ + 2)

    with I the same sum as D, of 1 and wⱼ in place of max p and max p̃ⱼ: wⱼ is the largest weight of
    a label in mix j, max(λ, 1-λ), and rⱼ = 1, 2, … its rank, the largest first. Neither form uses
    the mixed labels as targets. Add 0.1 times the mean to the cross-entropy of the unmixed
    examples.

    Args:
      clean: logits o, f[B, K], of the unmixed examples, and p their softmax.
      mixed: a list of logits õ, f[B, K], one for each of n mixes of the same batch.
      soft: a list of the mixed labels, f[B, K], as `blend_labels` gives them without smoothing.
      form: "mrl", for one mix or several, or "mndcg", for several.
      margin: of "mrl", in logits; may be traced.

    Returns:
      f32[B], not reduced.

    Raises:
      ValueError: If `form` is unknown, if there is no mix, or not one array of labels for each, or
        if a shape is not (B, K).

    Example:
      >>> mixed, soft = [jnp.array([[3.0, 0.0]])], [jnp.array([[0.4, 0.6]])]
      >>> jm.rankmixup_loss(jnp.array([[4.0, 0.0]]), mixed, soft, form="mrl").tolist()
      [1.0]
      >>> soft = [jnp.array([[0.9, 0.1]]), jnp.array([[0.4, 0.6]])]
      >>> sure, *mixed = (jnp.array([[o, 0.0]]) for o in (9.0, 2.2, 0.4))  # p = 1, 0.9, 0.6
      >>> for each in (mixed, mixed[::-1]):  # in the right order, and in the wrong one
      ...     print(f"{jm.rankmixup_loss(sure, each, soft)[0]:.3f}")
      0.000
      0.021

    RankMixup, Noh et al. 2023, arXiv:2308.11990. In their code MRL has one mix, M-NDCG three, with
    one λ for a batch: λ ~ Beta(2, 2) and margin 2 for CIFAR, Beta(1, 1) and 1 for Tiny-ImageNet.
    There the mask of MRL is multiplied with all hinges of the batch by broadcasting, so that mixes
    of one class scale the mean of all hinges; here they have no loss themselves.
    """
    name = "rankmixup_loss"
    _checks.option(name, "form", form, ("mrl", "mndcg"))
    clean = jnp.asarray(clean)
    if clean.ndim != 2 or not 0 < len(mixed) == len(soft):
        raise ValueError(
            f"{name} got clean of shape {clean.shape}, {len(mixed)} mixed and {len(soft)} soft; it "
            "needs logits (B, K), and a list of logits and one of labels with an entry for each "
            "mix: write [mixed] and [soft] for one."
        )
    logits, labels = (
        jnp.stack([_checks.shaped(name, what, x, clean.shape).astype(jnp.float32) for x in each])
        for what, each in (("mixed", mixed), ("soft", soft))
    )
    weight, clean = labels.max(axis=2), clean.astype(jnp.float32)
    if form == "mrl":
        margin = jnp.asarray(margin).astype(jnp.float32)
        over = jnp.maximum(logits.max(axis=2) - clean.max(axis=1)[None] + margin, 0.0)
        return jnp.where(weight < 1 - 1e-6, over, 0.0).mean(axis=0)
    discount = 1 / jnp.log2(_rank(weight) + 2)
    confidence = jax.nn.softmax(logits, axis=2).max(axis=2)
    gain = jax.nn.softmax(clean, axis=1).max(axis=1) + (confidence * discount).sum(axis=0)
    ideal = 1 + (weight * discount).sum(axis=0)
    return 1 - jnp.where(ideal > gain, gain / ideal, ideal / gain)


def _rank(weight: Float[Array, "n b"]) -> Float[Array, "n b"]:
    """1 for the largest of each column, 2 for the next; of equal ones the first is first."""
    index = jnp.arange(weight.shape[0], dtype=jnp.int32)
    earlier = (index[:, None] < index[None, :])[:, :, None]
    above = weight[:, None] > weight[None, :]
    above |= (weight[:, None] == weight[None, :]) & earlier
    return 1 + above.astype(jnp.float32).sum(axis=0)


@public
def sumix_penalty(
    mix: Mix,
    clean: Shaped[ArrayLike, "b k"],
    mixed: Shaped[ArrayLike, "b k"],
    uncertainty: tuple[Shaped[ArrayLike, "b k"], Shaped[ArrayLike, "b k"]],
    labels: Shaped[ArrayLike, "b ..."],
    *,
    scale: ArrayLike = 100.0,
    other: tuple[PyTree, PyTree, PyTree] | None = None,
) -> Float[Array, "b"]:
    """Train SUMix's second head, which says how uncertain each class is, clean and mixed.

        L = -λᵢ log softmax(zᵢ)[yᵢ] - (1 - λᵢ) log softmax(zₚ)[yₚ]
        zᵢ = exp(-(vᵢ + ṽᵢ + s dᵢ)),  zₚ = exp(-(vₚ + ṽᵢ + s dₚ))

    with d as in `sumix`, and v, ṽ the softmax of the second head's outputs for the unmixed and for
    the mixed example, divided by its length. λ is that of the mix before `sumix` changes it.

    Args:
      mix: a mix of B examples, as it was drawn.
      clean, mixed: logits f[B, K] of the unmixed and of the blended examples; no gradient flows
        through them.
      uncertainty: outputs of the second head, a linear layer on the same features as the first, for
        the unmixed and for the blended examples: two arrays f[B, K].
      labels: class ids of the unmixed examples, i[B]. An id outside [0, K) adds no loss.
      scale: s; may be traced.
      other: (logits, outputs of the second head, labels) of what is blended in place of the
        partners.

    Returns:
      f32[B], not reduced; the authors weigh its mean by 0.5 for CIFAR, 1 for Tiny-ImageNet.

    Raises:
      TypeError: If labels are not ids of shape (B,).
      ValueError: If an array has another B, or logits or outputs another shape than (B, K).

    Example:
      >>> mix, flat = jm.Mix(jm.reverse(), jnp.full(1, 0.5), jnp.full(2, 0.5)), jnp.zeros((2, 3))
      >>> loss = jm.sumix_penalty(mix, flat, flat, (flat, flat), jnp.array([0, 2]))
      >>> print(f"{loss[0]:.4f} = log 3")
      1.0986 = log 3

    Qin et al. 2024, arXiv:2407.07805. As `scale` is the batch size in their code, z is near 0 for
    all classes there, and so are the gradients of this term.
    """
    name = "sumix_penalty"
    pair = None if other is None else (other[0], other[2])
    distances = class_distances(name, mix, clean, mixed, labels, pair)
    shape = distances.own.shape
    own, seen = (_checks.shaped(name, "uncertainty", x, shape) for x in uncertainty)
    rest = partner_rows(name, mix, "uncertainty", own, None if other is None else other[1])
    scale = jnp.asarray(scale).astype(jnp.float32)

    def loss(v: Array, d: Array, target: Bool[Array, "b k"]) -> Float[Array, "b"]:
        z = jnp.exp(-(unit(v) + unit(seen) + scale * d))
        return -jnp.where(target, jax.nn.log_softmax(z, axis=1), 0.0).sum(axis=1)

    first = masked_product(mix.lam, loss(own, distances.own, distances.own_class))
    return first + masked_product(1 - mix.lam, loss(rest, distances.rest, distances.rest_class))


@public
def jsd_loss(logits: Sequence[Shaped[ArrayLike, "b k"]]) -> Float[Array, "b"]:
    """Ask for one prediction for all views of an example, such as AugMix makes.

        L = 1/n Σᵥ KL(pᵥ ‖ p̄),  p̄ = 1/n Σᵥ pᵥ

    It is the Jensen-Shannon divergence, from 0 to log n. All views have a gradient. Add 12 times
    the mean to the cross-entropy of the unchanged examples.

    Args:
      logits: a list of n >= 2 arrays f[B, K]: those of the unchanged examples, and of each view.

    Returns:
      f32[B], not reduced.

    Raises:
      ValueError: If there are fewer than two arrays, or if one is not of shape (B, K).

    Example:
      >>> sure, other = jnp.array([[90.0, 0.0]] * 2), jnp.array([[90.0, 0.0], [0.0, 90.0]])
      >>> first, second = jm.jsd_loss([sure, other])
      >>> print(f"{first:.4f}, {second:.4f} = log 2")
      0.0000, 0.6931 = log 2

    AugMix, Hendrycks et al. 2020, arXiv:1912.02781, with the unchanged example and two views. Their
    code raises p̄ to 1e-7 at least, against infinite divergences, which there are not here: p̄ is
    positive wherever a p is.
    """
    if len(logits) < 2 or jnp.ndim(logits[0]) != 2:
        raise ValueError(
            f"jsd_loss got {len(logits)} arrays, the first of shape "
            f"{jnp.shape(logits[0]) if len(logits) else ()}; it needs a list of two or more, of "
            "shape (B, K): call jnp.split(logits, n) on the logits of n concatenated views."
        )
    shape = jnp.shape(logits[0])
    views = jnp.stack(
        [_checks.shaped("jsd_loss", "logits", x, shape).astype(jnp.float32) for x in logits]
    )
    log_p = jax.nn.log_softmax(views, axis=2)
    p = jnp.exp(log_p)
    mean = p.mean(axis=0, keepdims=True)
    # Where p is 0, as for a logit of -inf, neither it nor its logarithm has a gradient.
    log_ratio = jnp.where(p > 0, log_p, 0.0) - jnp.log(jnp.where(mean > 0, mean, 1.0))
    return jnp.where(p > 0, p * log_ratio, 0.0).sum(axis=2).mean(axis=0)
