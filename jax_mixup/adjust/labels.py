"""Change the label weights of a mix: by the content that is taken, or by the rarity of a class."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Shaped

from jax_mixup import _checks
from jax_mixup._blending import checked_rows, mask_for, masked_product, partner_rows
from jax_mixup._entry import public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import StaticPairing, move_rows


@public
def reweigh(
    mix: Mix, amount: Shaped[ArrayLike, "b ..."], *, other: Shaped[ArrayLike, "b ..."] | None = None
) -> Mix:
    """Weigh labels by the content that was taken: valid samples, saliency, attention.

        λᵢ = Σ m aᵢ / (Σ m aᵢ + Σ (1 - m) aₚ)

    Where examples have padding, the area of a mask also counts positions without content; this does
    not.

    Args:
      mix: a mix of B examples.
      amount: a >= 0, f or bool [B, *spatial], with the mask's positions first. Hidden values have
        no influence, not even NaN.
      other: the amounts of what is blended in place of the partners, for example of a second batch;
        of the same shape and dtype as `amount`.

    Returns:
      The mix with this `lam`. Where nothing was taken from either example, λ stays as it was.

    Raises:
      ValueError: If `amount` has another B, if the mask does not fit it, or if `other` has another
        shape or dtype.

    Example:
      >>> mask = jnp.array([[True, True, False, False]])
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 0.5))
      >>> valid = jnp.array([[1, 1, 1, 1], [1, 1, 1, 0]], bool)
      >>> [round(float(lam), 3) for lam in jm.reweigh(mix, valid).lam]
      [0.667, 0.5]

    With a teacher's map of each unmixed example, divided by its own sum, this is TokenMix, Liu et
    al. 2022, arXiv:2207.08409, whose two weights, Σ m aᵢ and Σ (1 - m) aₚ, need not sum to 1. For
    the attention of the mixed examples call `transmix`.
    """
    amount = checked_rows("reweigh", mix, "amount", amount)
    mask = mask_for("reweigh", mix, amount).astype(jnp.float32)
    axes = tuple(range(1, amount.ndim))
    partners = partner_rows("reweigh", mix, "amount", amount, other)
    own = masked_product(mask, amount).sum(axes)
    total = own + masked_product(1 - mask, partners).sum(axes)
    lam = jnp.where(total > 0, own / jnp.where(total > 0, total, 1.0), mix.lam)
    return dataclasses.replace(mix, lam=lam)


@public
def inverse(mix: Mix) -> Mix:
    """Return the mix in the other direction: by which weights each label is shown, and where.

        label j is in the mixed example j by λⱼ and in example q by 1 - λ_q, where p(q) = j;
        λ'ⱼ = λⱼ / (λⱼ + 1 - λ_q), p'(j) = q

    A contrastive loss needs both: `pair_loss(mix, ...)` on the rows of the logits finds the two
    texts of a mixed picture, and `pair_loss(inverse(mix), ...)` on the columns finds the two
    pictures that show a text. With `mix` itself the columns are right only where partners are
    mutual and share λ.

    Args:
      mix: a mix of B examples with a static pairing, in which each example is the partner of one.

    Returns:
      A mix of B examples for losses and labels, whose mask is `lam`, [B], without positions. A text
      that no picture shows, for both weights are 0, has λ' = 1.

    Raises:
      ValueError: If the pairing is an index array, where an example may be the partner of several
        or of none: there take the matrix of all weights, `blend_labels(mix, jnp.arange(B),
        num_classes=B)`, whose columns are what is asked for.

    Example:
      >>> lam = jnp.array([0.5, 0.9, 0.8])
      >>> mix = jm.Mix(jm.roll(), lam, lam)
      >>> back = jm.inverse(mix)
      >>> jm.partner_index(mix.partner, 3).tolist(), jm.partner_index(back.partner, 3).tolist()
      ([2, 0, 1], [1, 2, 0])
      >>> print(f"{back.lam[0]:.2f} = 0.5 / (0.5 + 0.1)")
      0.83 = 0.5 / (0.5 + 0.1)
    """
    if not isinstance(mix.partner, StaticPairing):
        raise ValueError(
            "inverse got a mix whose pairing is an index array, where several examples may have "
            "the same partner; it needs reverse(), roll() or neighbours(): else take the columns "
            "of the matrix of weights, blend_labels(mix, jnp.arange(B), num_classes=B)."
        )
    back = dataclasses.replace(mix.partner, shift=-mix.partner.shift)
    total = mix.lam + move_rows(back, 1 - mix.lam)
    lam = jnp.where(total > 0, mix.lam / jnp.where(total > 0, total, 1.0), 1.0)
    return Mix(back, lam, lam)


@public
def remix(
    mix: Mix,
    labels: Shaped[ArrayLike, "b ..."],
    counts: Shaped[ArrayLike, "..."],
    *,
    other: Shaped[ArrayLike, "b ..."] | None = None,
    kappa: float = 3.0,
    tau: float = 0.5,
) -> Mix:
    """Give the whole label to the much rarer class, for imbalanced data.

        λᵢ = 0 if nᵢ >= κ nₚ and λᵢ < τ;  1 if nₚ >= κ nᵢ and 1 - λᵢ < τ;  else λᵢ

    Args:
      mix: a mix of B examples; inputs are blended as before.
      labels: class ids, i[B]. Pairs with an id outside [0, K) keep their label weight.
      counts: n, the number of training examples in each class, [K].
      other: ids of what is blended in place of the partners, for example of a second batch.
      kappa: κ, how many times as frequent the other class must be.
      tau: τ, the label weight of the frequent class below which its label is dropped.

    Returns:
      The mix with these label weights.

    Raises:
      TypeError: If labels are not ids of shape (B,).
      ValueError: If labels have another B, or if counts do not have shape (K,).

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.7]), lam=jnp.full(2, 0.7))
      >>> jm.remix(mix, jnp.array([0, 1]), jnp.array([10, 100])).lam.tolist()
      [1.0, 0.699999988079071]

    Chou et al. 2020, arXiv:2007.03943.
    """
    own, rest, known = _counts("remix", mix, labels, counts, other)
    frequent = (own >= kappa * rest) & (mix.lam < tau)
    rare = (rest >= kappa * own) & (1 - mix.lam < tau)
    lam = jnp.where(frequent, 0.0, jnp.where(rare, 1.0, mix.lam))
    return dataclasses.replace(mix, lam=jnp.where(known, lam, mix.lam))


@public
def mamix(
    mix: Mix,
    labels: Shaped[ArrayLike, "b ..."],
    counts: Shaped[ArrayLike, "..."],
    *,
    other: Shaped[ArrayLike, "b ..."] | None = None,
    omega: float = 0.25,
) -> Mix:
    """Bend the label's weight so that the boundary leaves the rarer class a wider margin.

        λᵢ = λ / (2c) for λ < c, else 1 - (1 - λ) / (2 (1 - c));  c = γₚ / (γᵢ + γₚ), γ = n^-ω

    Both labels have weight ½ at λ = c, where the rarer class has less than half of the input.

    Args:
      mix: a mix of B examples; inputs are blended as before.
      labels: class ids, i[B]. Pairs with an id outside [0, K) keep their label weight.
      counts: n, the number of training examples in each class, [K].
      other: ids of what is blended in place of the partners, for example of a second batch.
      omega: ω; 0 changes nothing.

    Returns:
      The mix with these label weights.

    Raises:
      TypeError: If labels are not ids of shape (B,).
      ValueError: If labels have another B, or if counts do not have shape (K,).

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.5]), lam=jnp.full(2, 0.5))
      >>> lam = jm.mamix(mix, jnp.array([0, 1]), jnp.array([1, 16])).lam
      >>> [round(float(x), 2) for x in lam]  # c = 1/3 and 2/3
      [0.62, 0.38]

    Cheng et al. 2023, arXiv:2308.15457.
    """
    own, rest, known = _counts("mamix", mix, labels, counts, other)
    ratio = (own / rest) ** -omega  # γᵢ / γₚ
    even = 1 / (1 + ratio)
    low, high = mix.lam / (2 * even), 1 - (1 - mix.lam) / (2 * (1 - even))
    lam = jnp.where(mix.lam < even, low, high)
    return dataclasses.replace(mix, lam=jnp.where(known, lam, mix.lam))


def _counts(
    function: str, mix: Mix, labels: ArrayLike, counts: ArrayLike, other: ArrayLike | None
) -> tuple[Float[Array, "b"], Float[Array, "b"], Array]:
    """How frequent the classes of an example and its partner are, and where both are classes."""
    labels = checked_rows(function, mix, "labels", labels)
    ids = _checks.integer_ids(function, "labels", labels)
    partners = partner_rows(function, mix, "labels", labels, other)
    counts = jnp.asarray(counts).astype(jnp.float32)
    if counts.ndim != 1:
        raise ValueError(
            f"{function} got counts of shape {counts.shape}; it needs one count for each class, "
            "(K,): call jnp.bincount(labels, length=K) on all training labels."
        )

    def count(ids: Array) -> tuple[Float[Array, "b"], Array]:
        known = (ids >= 0) & (ids < counts.shape[0])
        return jnp.maximum(counts[jnp.where(known, ids, 0)], 1.0), known

    own, known = count(ids)
    rest, known_too = count(_checks.int32(partners))
    return own, rest, known & known_too
