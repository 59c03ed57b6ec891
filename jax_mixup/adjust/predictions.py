"""Change the label weights of a mix by what the model predicts for it and for its sources."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PyTree, Shaped

from jax_mixup import _checks
from jax_mixup._blending import checked_rows, partner_rows
from jax_mixup._entry import public
from jax_mixup.mix import Mix


class Distances(NamedTuple):
    """From the mixed example to both of its sources, class by class, and the classes of these."""

    own: Float[Array, "b k"]
    rest: Float[Array, "b k"]
    own_class: Bool[Array, "b k"]  # one True; none for an id outside [0, K)
    rest_class: Bool[Array, "b k"]


@public
def sumix(
    mix: Mix,
    clean: Shaped[ArrayLike, "b k"],
    mixed: Shaped[ArrayLike, "b k"],
    labels: Shaped[ArrayLike, "b ..."],
    *,
    scale: ArrayLike = 100.0,
    other: tuple[PyTree, PyTree] | None = None,
) -> Mix:
    """Weigh labels by how far the prediction for the mix is from those for its two sources.

        λᵢ' = λᵢ exp(-s dᵢ[yᵢ]) / (λᵢ exp(-s dᵢ[yᵢ]) + (1 - λᵢ) exp(-s dₚ[yₚ]))
        dᵢ = u / ‖u‖,  u = softmax(p̃ᵢ - pᵢ without yₚ);  dₚ alike, of pₚ without yᵢ

    with p̃ and p the probabilities of the mixed and of the unmixed examples; "without" sets that
    class to 0. The d are signed: the more of a class the model finds in the mix, the larger is d,
    and the smaller the weight of that label. This is what the authors' code computes. A negative
    `scale` gives more weight to the class that the model finds.

    Args:
      mix: a mix of B examples; inputs are blended as before.
      clean, mixed: logits f[B, K] of the unmixed and of the blended examples, in one pass or two.
        No gradient flows through them.
      labels: class ids of the unmixed examples, i[B]. Pairs with an id outside [0, K) keep their
        label weight.
      scale: s; 0 changes nothing; it may be traced.
      other: (logits, labels) of what is blended in place of the partners, for example of a second
        batch.

    Returns:
      The mix with this `lam`; where λ is 0 or 1 it stays.

    Raises:
      TypeError: If labels are not ids of shape (B,).
      ValueError: If logits or labels have another B, or logits another shape than (B, K).

    Example:
      The first mix looks like its own example, the second like neither of its two.

      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.5]), lam=jnp.full(2, 0.5))
      >>> clean, mixed = 4 * jnp.eye(3)[:2], 4 * jnp.eye(3)[jnp.array([0, 2])]
      >>> mix = jm.sumix(mix, clean, mixed, jnp.array([0, 1]), scale=2.0)
      >>> [round(float(lam), 2) for lam in mix.lam]
      [0.29, 0.5]

    Qin et al. 2024, arXiv:2407.07805, the half that learns the mixing ratio; `sumix_penalty` is the
    half of the uncertainty. In their code s is the batch size, 100 for CIFAR, and the losses are
    averaged over the batch before they are weighed, so that there only the mean of λ' matters.
    """
    distances = class_distances("sumix", mix, clean, mixed, labels, other)
    own, rest = (
        jnp.where(hot, d, 0.0).sum(axis=1)
        for hot, d in ((distances.own_class, distances.own), (distances.rest_class, distances.rest))
    )
    known = distances.own_class.any(axis=1) & distances.rest_class.any(axis=1)
    both = known & (mix.lam > 0) & (mix.lam < 1)
    lam = jnp.where(both, mix.lam, 0.5)  # at 0 and 1 the logarithm has no gradient
    scale = jnp.asarray(scale).astype(jnp.float32)
    lam = jax.nn.sigmoid(jnp.log(lam) - jnp.log1p(-lam) - scale * (own - rest))
    return dataclasses.replace(mix, lam=jnp.where(both, lam, mix.lam))


def class_distances(
    function: str,
    mix: Mix,
    clean: ArrayLike,
    mixed: ArrayLike,
    labels: ArrayLike,
    other: tuple[PyTree, PyTree] | None,
) -> Distances:
    """Compare probabilities, without a gradient; checks what came."""
    labels = _checks.integer_ids(function, "labels", checked_rows(function, mix, "labels", labels))
    clean = checked_rows(function, mix, "clean", clean)
    if clean.ndim != 2:
        raise ValueError(
            f"{function} got clean of shape {clean.shape}; it needs logits (B, K): for one output "
            "that is a logit o, jnp.stack([0 * o, o], axis=1)."
        )
    mixed = _checks.shaped(function, "mixed", mixed, clean.shape)
    other_clean, other_labels = (None, None) if other is None else other
    if other_labels is not None:
        other_labels = _checks.integer_ids(function, "other labels", other_labels)
    partners = partner_rows(function, mix, "labels", labels, other_labels)
    rest = partner_rows(function, mix, "clean", clean, other_clean)
    p, q, seen = (_probabilities(jax.lax.stop_gradient(x)) for x in (clean, rest, mixed))
    hot = [_one_hot(ids, clean.shape[1]) for ids in (labels, partners)]
    return Distances(
        unit(seen - jnp.where(hot[1], 0.0, p)), unit(seen - jnp.where(hot[0], 0.0, q)), *hot
    )


def unit(logits: Shaped[Array, "b k"]) -> Float[Array, "b k"]:
    """A softmax, divided by its length."""
    p = _probabilities(logits)
    return p / jnp.sqrt(jnp.square(p).sum(axis=1, keepdims=True))


def _probabilities(logits: Shaped[Array, "b k"]) -> Float[Array, "b k"]:
    return jax.nn.softmax(logits.astype(jnp.float32), axis=1)


def _one_hot(ids: Int[Array, "b"], classes: int) -> Bool[Array, "b k"]:
    return jnp.arange(classes, dtype=jnp.int32)[None, :] == ids[:, None]
