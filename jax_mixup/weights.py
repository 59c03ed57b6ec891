"""Functions that give a mix other weights: by what was taken, how rare it is, how loud.

Each returns a `Mix` of the same pairs, so that samplers stay free of labels and loudness.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Shaped

from jax_mixup import _checks
from jax_mixup._entry import public
from jax_mixup.mix import Mix, checked_rows, mask_for, mix_where, padded, partner_rows
from jax_mixup.pairing import partner_index


@public
def reweigh(
    mix: Mix, amount: Shaped[ArrayLike, "b ..."], *, other: Shaped[ArrayLike, "b ..."] | None = None
) -> Mix:
    """Weigh labels by how much of something was really taken: valid samples, saliency, attention.

        λᵢ = Σ m aᵢ / (Σ m aᵢ + Σ (1 - m) aₚ)

    Where rows have padding, a mask's area counts positions that hold nothing; this does not.

    Args:
      mix: a mix of B rows.
      amount: a >= 0, f or bool [B, *spatial], with the mask's positions first. What the mask hides
        has no influence, not even NaN.
      other: amounts of what is blended in place of the partners, as of a second batch.

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

    With a teacher's map of each unmixed row, divided by its own sum: TokenMix, Liu et al. 2022,
    arXiv:2207.08409, whose two weights, Σ m aᵢ and Σ (1 - m) aₚ, are left not to sum to 1. For the
    attention of the mixed rows: `transmix`.
    """
    amount = checked_rows("reweigh", mix, "amount", amount)
    mask = mask_for("reweigh", mix, amount).astype(jnp.float32)
    axes = tuple(range(1, amount.ndim))
    partners = partner_rows("reweigh", mix, "amount", amount, other)
    own = weighed(mask, amount).sum(axes)
    total = own + weighed(1 - mask, partners).sum(axes)
    lam = jnp.where(total > 0, own / jnp.where(total > 0, total, 1.0), mix.lam)
    return dataclasses.replace(mix, lam=lam)


@public
def keep_overlap(
    mix: Mix,
    valid: Shaped[ArrayLike, "b *spatial"],
    *,
    other: Shaped[ArrayLike, "b *spatial"] | None = None,
) -> Mix:
    """Mix only where both rows have content: images of several sizes, sequences with padding.

        mᵢ ← m where both are valid, else 1;  λᵢ = Σ mᵢ / Aᵢ over the Aᵢ valid positions of the row

    So nothing of the padding comes in, each row keeps its size, and λ is the share of the row's own
    content that stays. Where two rows have no position in common, both stay whole.

    Args:
      mix: a mix of B rows.
      valid: bool[B, *spatial], True where a row has content; the mask's positions first. Rows that
        are padded on one side overlap there, centred ones in the middle.
      other: bool, the same of what is blended in place of the partners, as of a second batch.

    Returns:
      The mix with a mask [B, *spatial] of its own dtype, and `lam`; a bool mask is counted exactly.

    Raises:
      TypeError: if `valid` is not bool.
      ValueError: for another B, or a mask that does not fit.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.5]), lam=jnp.full(2, 0.5))
      >>> valid = jnp.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool)
      >>> mix = jm.keep_overlap(mix, valid)
      >>> mix.mask.tolist(), mix.lam.tolist()
      ([[0.5, 0.5, 1.0, 1.0], [0.5, 0.5, 1.0, 1.0]], [0.75, 0.5])

    As in timm's NaFlexMixup, which pairs images of like shapes (sort them, and `neighbours`), and
    draws a CutMix box inside the overlap; here what lies outside of it is cut off.
    """
    valid = checked_rows("keep_overlap", mix, "valid", valid)
    if valid.dtype != jnp.bool_:
        raise TypeError(
            f"keep_overlap got valid of dtype {valid.dtype}; it needs bool: write ids != 0."
        )
    mask = mask_for("keep_overlap", mix, valid)
    both = valid & partner_rows("keep_overlap", mix, "valid", valid, other)
    mask = jnp.where(both, mask, jnp.ones((), mask.dtype))
    axes = tuple(range(1, valid.ndim))
    taken = (1 - mask.astype(jnp.float32)).sum(axes)
    size = valid.sum(axes, dtype=jnp.int32).astype(jnp.float32)
    lam = jnp.where(size > 0, (size - taken) / jnp.maximum(size, 1.0), 1.0)
    return dataclasses.replace(mix, mask=mask, lam=lam)


@public
def keep_local(
    mix: Mix,
    features: Shaped[ArrayLike, "b *dims"],
    *,
    radius: ArrayLike,
    other: Shaped[ArrayLike, "b *dims"] | None = None,
) -> Mix:
    """Mix near rows only: between far ones may lie another class.

        mᵢ = 1 and λᵢ = 1 unless ‖fᵢ - fₚ‖ <= r

    Args:
      mix: a mix of B rows.
      features: f[B, ...], inputs or hidden features.
      radius: r in their units; may be traced. Infinity keeps the mix as it is.
      other: features of what is blended in place of the partners, as of a second batch.

    Returns:
      A mix of the same rows, its mask with a leading B.

    Raises:
      ValueError: for another B, or a static negative `radius`.

    Example:
      >>> mix = jm.Mix(jm.roll(), jnp.array([0.5]), lam=jnp.full(3, 0.5))
      >>> jm.keep_local(mix, jnp.array([0.0, 1.0, 9.0]), radius=2.0).lam.tolist()
      [1.0, 0.5, 1.0]

    Local mixup, Baena et al. 2022, arXiv:2201.04368. They weigh the loss of a pair down, by
    exp(-σ ‖fᵢ - fₚ‖) or to 0 beyond a threshold; here far rows are still learnt from, unmixed.
    """
    number = _checks.static_number(radius)
    if number is not None and not number >= 0:
        raise ValueError(f"keep_local got radius={number}; it needs a number >= 0.")
    features = checked_rows("keep_local", mix, "features", features)
    partners = partner_rows("keep_local", mix, "features", features, other)
    own, far = (x.reshape(x.shape[0], -1).astype(jnp.float32) for x in (features, partners))
    distance = jnp.linalg.norm(own - far, axis=1)
    return mix_where(distance <= jnp.asarray(radius).astype(jnp.float32), mix)


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
      mix: a mix of B rows; inputs are blended as ever.
      labels: class ids, i[B]. Pairs with an id outside [0, K) keep their weight.
      counts: n, how many training examples each class has, [K].
      other: ids of what is blended in place of the partners, as of a second batch.
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

    Labels are even at λ = c, where the rarer class has less than half of the input.

    Args:
      mix: a mix of B rows; inputs are blended as ever.
      labels, counts, other: as in `remix`.
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
    own, rest, known = _counts("mamix", mix, labels, counts, other)
    ratio = (own / rest) ** -omega  # γᵢ / γₚ
    even = 1 / (1 + ratio)
    low, high = mix.lam / (2 * even), 1 - (1 - mix.lam) / (2 * (1 - even))
    lam = jnp.where(mix.lam < even, low, high)
    return dataclasses.replace(mix, lam=jnp.where(known, lam, mix.lam))


@public
def balance(
    mix: Mix, level: Shaped[ArrayLike, "b ..."], *, other: Shaped[ArrayLike, "b ..."] | None = None
) -> Mix:
    """Blend so that the two are heard in the shares λ and 1-λ, however loud each was recorded.

        mᵢ = λᵢ gₚ / (λᵢ gₚ + (1 - λᵢ) gᵢ),  λ unchanged

    Args:
      mix: a mix of B rows whose mask has no positions, as `sample_mixup` draws.
      level: g >= 0, each row's loudness in linear units: its standard deviation, or the root mean
        square of a weighted spectrum. A pair with a silent row keeps m = λ.
      other: levels of what is blended in place of the partners, as of a second batch.

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
    partners = partner_rows("balance", mix, "level", level, other).astype(jnp.float32)
    level = level.astype(jnp.float32)
    own, rest = mix.lam * partners, (1 - mix.lam) * level
    heard = (level > 0) & (partners > 0)
    mask = jnp.where(heard, own / jnp.where(heard, own + rest, 1.0), mix.lam)
    return dataclasses.replace(mix, mask=mask)


@public
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
    alone = padded(partner_index(mix.partner, n) == jnp.arange(n, dtype=jnp.int32), x.ndim)
    scale = jnp.where(alone, 1.0, jnp.sqrt(jnp.square(mask) + jnp.square(1 - mask)))
    return (x.astype(jnp.float32) / scale).astype(x.dtype)


def weighed(weight: Float[Array, "..."], amount: Shaped[Array, "..."]) -> Float[Array, "..."]:
    """Their product, 0 where the weight is 0, whatever is hidden there: NaN, say."""
    return jnp.where(weight > 0, weight * amount.astype(jnp.float32), 0.0)


def _counts(
    function: str, mix: Mix, labels: ArrayLike, counts: ArrayLike, other: ArrayLike | None
) -> tuple[Float[Array, "b"], Float[Array, "b"], Array]:
    """How frequent the row's and its partner's classes are, and where both are classes."""
    labels = checked_rows(function, mix, "labels", labels)
    ids = _checks.integer_ids(function, "labels", labels)
    partners = partner_rows(function, mix, "labels", labels, other)
    counts = jnp.asarray(counts).astype(jnp.float32)
    if counts.ndim != 1:
        raise ValueError(
            f"{function} got counts of shape {counts.shape}; it needs one for each class, (K,)."
        )

    def count(ids: Array) -> tuple[Float[Array, "b"], Array]:
        known = (ids >= 0) & (ids < counts.shape[0])
        return jnp.maximum(counts[jnp.where(known, ids, 0)], 1.0), known

    own, known = count(ids)
    rest, known_too = count(_checks.int32(partners))
    return own, rest, known & known_too
