"""Functions that give a mix other weights: by what was taken, how rare it is, how loud.

Each returns a `Mix` of the same pairs, so that samplers stay free of labels and loudness.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Shaped

from jax_mixup import _checks
from jax_mixup.mix import Mix, checked_rows, mask_for, padded
from jax_mixup.pairing import move_rows, partner_index


def reweigh(mix: Mix, amount: Shaped[ArrayLike, "b ..."]) -> Mix:
    """Weigh labels by how much of something was really taken: valid samples, saliency, attention.

        λᵢ = Σ m aᵢ / (Σ m aᵢ + Σ (1 - m) aₚ)

    Where rows have padding, a mask's area counts positions that hold nothing; this does not.

    Args:
      mix: a mix of B rows.
      amount: a >= 0, f or bool [B, *spatial], with the mask's positions first.

    Returns:
      The mix with this `lam`; where nothing was taken from either row it stays as it was.

    Raises:
      ValueError: for another B, or a mask that does not fit.

    Example:
      >>> mask = jnp.array([[True, True, False, False]])
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 0.5))
      >>> valid = jnp.array([[1, 1, 1, 1], [1, 1, 1, 0]], bool)
      >>> [round(float(lam), 3) for lam in jm.reweigh(mix, valid).lam]
      [0.667, 0.5]

    With an attention map over patches: TransMix, Chen et al. 2022, arXiv:2111.09833, who average
    this λ with the area's.
    """
    amount = checked_rows("reweigh", mix, "amount", amount)
    mask = mask_for("reweigh", mix, amount).astype(jnp.float32)
    axes = tuple(range(1, amount.ndim))
    own = (mask * amount.astype(jnp.float32)).sum(axes)
    other = ((1 - mask) * move_rows(mix.partner, amount).astype(jnp.float32)).sum(axes)
    total = own + other
    lam = jnp.where(total > 0, own / jnp.where(total > 0, total, 1.0), mix.lam)
    return dataclasses.replace(mix, lam=lam)


def remix(
    mix: Mix,
    labels: Shaped[ArrayLike, "b ..."],
    counts: Shaped[ArrayLike, "..."],
    *,
    kappa: float = 3.0,
    tau: float = 0.5,
) -> Mix:
    """Give the whole label to the much rarer class, for imbalanced data.

        λᵢ = 0 if nᵢ >= κ nₚ and λᵢ < τ;  1 if nₚ >= κ nᵢ and 1 - λᵢ < τ;  else λᵢ

    Args:
      mix: a mix of B rows; inputs are blended as ever.
      labels: class ids, i[B]. Pairs with an id outside [0, K) keep their weight.
      counts: n, how many training examples each class has, [K].
      kappa: how many times as frequent counts as much.
      tau: below which share of the frequent one its label is dropped.

    Returns:
      The mix with these label weights.

    Raises:
      TypeError: for labels that are not ids of shape (B,).
      ValueError: for another B, or counts that are not of shape (K,).

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.7]), lam=jnp.full(2, 0.7))
      >>> jm.remix(mix, jnp.array([0, 1]), jnp.array([10, 100])).lam.tolist()
      [1.0, 0.699999988079071]

    Chou et al. 2020, arXiv:2007.03943.
    """
    own, other, known = _counts("remix", mix, labels, counts)
    frequent = (own >= kappa * other) & (mix.lam < tau)
    rare = (other >= kappa * own) & (1 - mix.lam < tau)
    lam = jnp.where(frequent, 0.0, jnp.where(rare, 1.0, mix.lam))
    return dataclasses.replace(mix, lam=jnp.where(known, lam, mix.lam))


def mamix(
    mix: Mix,
    labels: Shaped[ArrayLike, "b ..."],
    counts: Shaped[ArrayLike, "..."],
    *,
    omega: float = 0.25,
) -> Mix:
    """Bend the label's weight so that the boundary leaves the rarer class a wider margin.

        λᵢ = λ / (2c) for λ < c, else 1 - (1 - λ) / (2 (1 - c));  c = γₚ / (γᵢ + γₚ), γ = n^-ω

    Labels are even at λ = c, where the rarer class has less than half of the input.

    Args:
      mix: a mix of B rows; inputs are blended as ever.
      labels, counts: as in `remix`.
      omega: ω, 0 changes nothing.

    Returns:
      The mix with these label weights.

    Raises:
      TypeError, ValueError: as `remix`.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.5]), lam=jnp.full(2, 0.5))
      >>> lam = jm.mamix(mix, jnp.array([0, 1]), jnp.array([1, 16])).lam
      >>> [round(float(x), 2) for x in lam]  # c = 1/3 and 2/3
      [0.62, 0.38]

    Cheng et al. 2023, arXiv:2308.15457.
    """
    own, other, known = _counts("mamix", mix, labels, counts)
    ratio = (own / other) ** -omega  # γᵢ / γₚ
    even = 1 / (1 + ratio)
    low, high = mix.lam / (2 * even), 1 - (1 - mix.lam) / (2 * (1 - even))
    lam = jnp.where(mix.lam < even, low, high)
    return dataclasses.replace(mix, lam=jnp.where(known, lam, mix.lam))


def balance(mix: Mix, level: Shaped[ArrayLike, "b ..."]) -> Mix:
    """Blend so that the two are heard in the shares λ and 1-λ, however loud each was recorded.

        mᵢ = λᵢ gₚ / (λᵢ gₚ + (1 - λᵢ) gᵢ),  λ unchanged

    Args:
      mix: a mix of B rows whose mask has no positions, as `sample_mixup` draws.
      level: g >= 0, each row's loudness in linear units: its standard deviation, or the root mean
        square of a weighted spectrum. A pair with a silent row keeps m = λ.

    Returns:
      The mix with this mask, [B].

    Raises:
      ValueError: for a mask with positions, or a level that is not of shape (B,).

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.5]), lam=jnp.full(2, 0.5))
      >>> [round(float(m), 2) for m in jm.balance(mix, jnp.array([1.0, 3.0])).mask]
      [0.75, 0.25]

    Between-class learning, Tokozume et al. 2018, arXiv:1711.10282, who pair other classes
    (`across_class`), draw λ ~ U(0, 1), weigh frequencies by hearing, and then `restore_energy`.
    """
    level = checked_rows("balance", mix, "level", level)
    if mix.mask.ndim != 1 or level.ndim != 1:
        raise ValueError(
            f"balance got a mask of shape {mix.mask.shape} and level of shape {level.shape}; it "
            "needs a mask without positions, as sample_mixup draws, and one level a row."
        )
    level = level.astype(jnp.float32)
    other = move_rows(mix.partner, level)
    own, rest = mix.lam * other, (1 - mix.lam) * level
    heard = (level > 0) & (other > 0)
    mask = jnp.where(heard, own / jnp.where(heard, own + rest, 1.0), mix.lam)
    return dataclasses.replace(mix, mask=mask)


def restore_energy(mix: Mix, x: Shaped[ArrayLike, "b *dims"]) -> Float[Array, "b *dims"]:
    """Bring a blend back to its parts' loudness: an average of unlike signals is quieter than they.

        out = x̃ / √(m² + (1 - m)²)

    Args:
      mix: a mix of B rows.
      x: what `blend` gave: signals of mean 0, as sound or noise.

    Returns:
      The same shape and dtype. Rows that are their own partner stay as they are.

    Raises:
      TypeError: for x that is no float.
      ValueError: for another B, or a mask that does not fit.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.5]), lam=jnp.full(2, 0.5))
      >>> noise = jax.random.normal(jax.random.key(0), (2, 10_000))
      >>> quiet = jm.blend(mix, noise)
      >>> print(f"{quiet.std():.1f} {jm.restore_energy(mix, quiet).std():.1f}")
      0.7 1.0

    Tokozume et al. 2018, arXiv:1711.10282.
    """
    x = checked_rows("restore_energy", mix, "x", x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"restore_energy got x of dtype {x.dtype}; it needs floats, as from blend.")
    mask = mask_for("restore_energy", mix, x).astype(jnp.float32)
    n = x.shape[0]
    alone = padded(partner_index(mix.partner, n) == jnp.arange(n), x.ndim)
    scale = jnp.where(alone, 1.0, jnp.sqrt(jnp.square(mask) + jnp.square(1 - mask)))
    return (x.astype(jnp.float32) / scale).astype(x.dtype)


def _counts(
    function: str, mix: Mix, labels: ArrayLike, counts: ArrayLike
) -> tuple[Float[Array, "b"], Float[Array, "b"], Array]:
    """How frequent the row's and its partner's classes are, and where both are classes."""
    labels = checked_rows(function, mix, "labels", labels)
    _checks.integer_ids(function, "labels", labels)
    counts = jnp.asarray(counts).astype(jnp.float32)
    if counts.ndim != 1:
        raise ValueError(
            f"{function} got counts of shape {counts.shape}; it needs one for each class, (K,)."
        )
    known = (labels >= 0) & (labels < counts.shape[0])
    own = jnp.maximum(counts[jnp.where(known, labels, 0)], 1.0)
    return own, move_rows(mix.partner, own), known & move_rows(mix.partner, known)
