"""Change the mask of a mix: its resolution, where it mixes, what lies over it, loudness."""

import dataclasses
from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Shaped

from jax_mixup import _checks, _geometry
from jax_mixup._blending import (
    checked_rows,
    each_layer,
    layers_of,
    mask_for,
    mix_where,
    one_mix,
    partner_rows,
)
from jax_mixup._entry import canonical_mix, public
from jax_mixup.mix import M, Mix


@public
def resize_mix(mix: M, spatial: tuple[int, ...]) -> M:
    """Bring the mask to another resolution, for features or label maps of another stride.

        m'(cell) = the average of m over the cell's area

    Means do not change, so `lam` stays what it was.

    Args:
      mix: a mix, or a tuple of mixes; a mix whose mask has no positions, such as that of mixup, is
        returned as it is.
      spatial: the new sizes, one for each spatial axis of the mask.

    Returns:
      A mix whose mask is `[B or 1, *spatial]`, in float32. Only where a bool mask repeats its
      positions (each new size is a multiple of the old one) it stays bool, so that `select` works
      there. For `select` at a coarser stride choose a threshold:
      `replace(mix, mask=mix.mask >= 0.5)`.

    Raises:
      ValueError: If `spatial` is not a tuple of sizes of 1 or more, one for each axis of the mask.

    Example:
      >>> mask = jnp.array([[True, True, True, False]])
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 0.75))
      >>> jm.resize_mix(mix, (2,)).mask.tolist()
      [[1.0, 0.5]]
    """
    if not isinstance(spatial, (tuple, list)):
        raise ValueError(
            f"resize_mix got spatial={spatial!r}; it needs a tuple of sizes, such as "
            f"x.shape[1:-1]: write ({spatial},) for one axis."
        )
    return each_layer(partial(_resized, tuple(spatial)), mix)


@public
def keep(
    mix: M, where: Shaped[ArrayLike, "b"], *, other: Shaped[ArrayLike, "b"] | None = None
) -> M:
    """Mix some examples only: padding, and examples that must not be mixed, stay whole.

        mᵢ = 1 and λᵢ = 1 unless where[i] and where[partner[i]]

    Args:
      mix: a mix of B examples, or a tuple of mixes: then an example is mixed only if `where` is
        True for all its partners.
      where: bool[B], True for the examples that may be mixed: real examples, `weights > 0`.
        Examples where it is False stay as they are, and so do the examples whose partner is one of
        them, so that no padding reaches a real example.
      other: bool[B], the same for what is blended in place of the partners, for example a second
        batch.

    Returns:
      A mix of the same examples, whose mask has B as its first axis.

    Raises:
      TypeError: If `where` or `other` is not bool.
      ValueError: If `where` or `other` does not have shape (B,), or if `other` is given for a tuple
        of mixes.

    Example:
      >>> mix = jm.Mix(jm.roll(), jnp.array([0.5]), lam=jnp.full(3, 0.5))
      >>> real = jnp.array([True, True, False])  # the third example is padding
      >>> jm.keep(mix, real).lam.tolist()
      [1.0, 0.5, 1.0]
    """
    one_mix("keep", mix, other)
    layers = layers_of(mix)
    arguments = {"where": where} if other is None else {"where": where, "other": other}
    for name, value in arguments.items():
        value = checked_rows("keep", layers[0], name, value)
        if value.dtype != jnp.bool_:
            raise TypeError(
                f"keep got {name} of dtype {value.dtype}; it needs bool: write weights > 0."
            )
        if value.ndim != 1:
            raise ValueError(
                f"keep got {name} of shape {value.shape}; it needs one bool for each example, (B,)."
            )
    where = on = jnp.asarray(where)
    for layer in layers:
        on = on & partner_rows("keep", layer, "where", where, other)
    return each_layer(partial(mix_where, on), mix)


@public
def overlay(*mixes: Mix) -> tuple[Mix, ...]:
    """Lay mixes one over another, so that each example is mixed with several partners.

        x̃ = M₁…M_k x + Σⱼ (1 - Mⱼ) Mⱼ₊₁…M_k x[pⱼ],  labels by the mean of each factor

    The result is a tuple of mixes, which verbs take in place of a mix. Where a later mix covers an
    earlier one, the earlier one is hidden and its label does not count: `lam` of each layer is
    computed again, from the masks, so that labels weigh by the part of each example that is left.

    Args:
      *mixes: mixes of the same B examples, the lowest first.

    Returns:
      The mixes, each with the label weight that makes the labels of the whole exact.

    Raises:
      TypeError: If there is no mix, or if an argument is not a mix.
      ValueError: If the mixes have different B, or masks whose positions do not agree.

    Example:
      The second box covers half of the first.

      >>> first = jnp.array([[True, True, False, False]])
      >>> second = jnp.array([[True, True, True, False]])
      >>> lower, upper = (jm.Mix(jm.roll(k), m, jnp.ones(3)) for k, m in ((1, first), (2, second)))
      >>> mix = jm.overlay(lower, upper)
      >>> jm.blend_labels(mix, jnp.arange(3), num_classes=3)[0].round(2).tolist()
      [0.5, 0.25, 0.25]
    """
    if not mixes or not all(isinstance(mix, Mix) for mix in mixes):
        got = ", ".join(type(mix).__name__ for mix in mixes) or "no mixes"
        raise TypeError(
            f"overlay got {got}; it needs one Mix or more: unpack a list, overlay(*mixes)."
        )
    mixes = tuple(canonical_mix("overlay", mix) for mix in mixes)
    batch = mixes[0].lam.shape[0]
    rank = max(mix.mask.ndim for mix in mixes)
    # From the top layer down: `visible` is the mean of the product of the masks above a layer.
    product, visible, layers = None, jnp.ones(batch, jnp.float32), []
    for mix in reversed(mixes):
        checked_rows("overlay", mix, "the first mix", mixes[0].lam)
        mask = mix.mask.reshape(mix.mask.shape + (1,) * (rank - mix.mask.ndim))
        product = mask if product is None else _both(product, mask)
        rest = jnp.broadcast_to(_geometry.mean(product), (batch,))
        lam = jnp.where(visible > 0, rest / jnp.where(visible > 0, visible, 1.0), 1.0)
        layers.append(dataclasses.replace(mix, lam=lam))
        visible = rest
    return tuple(reversed(layers))


def _resized(spatial: tuple[int, ...], mix: Mix) -> Mix:
    old = mix.mask.shape[1:]
    if not old or spatial == old:
        return mix
    if len(spatial) != len(old) or min(spatial) < 1:
        raise ValueError(
            f"resize_mix got spatial={spatial} for a mask of shape {mix.mask.shape}; it needs "
            f"{len(old)} sizes of 1 or more, one for each spatial axis."
        )
    mask = _geometry.area_average(mix.mask.astype(jnp.float32), spatial)
    if mix.mask.dtype == jnp.bool_ and all(n % o == 0 for n, o in zip(spatial, old, strict=True)):
        mask = mask > 0.5
    return dataclasses.replace(mix, mask=mask)


def _both(a: Shaped[Array, "..."], b: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    if a.dtype == b.dtype == jnp.bool_:
        return a & b
    return a.astype(jnp.float32) * b.astype(jnp.float32)


@public
def keep_overlap(
    mix: Mix,
    valid: Shaped[ArrayLike, "b *spatial"],
    *,
    other: Shaped[ArrayLike, "b *spatial"] | None = None,
) -> Mix:
    """Mix only where both examples have content: images of several sizes, sequences with padding.

        mᵢ ← m where both are valid, else 1;  λᵢ = Σ mᵢ / Aᵢ over the Aᵢ valid positions of xᵢ

    So no padding is mixed in, each example keeps its size, and λ is the fraction of the example's
    own content that stays. Where two examples have no position in common, both stay whole.

    Args:
      mix: a mix of B examples.
      valid: bool[B, *spatial], True where an example has content, with the mask's positions first.
        Examples that are padded on one side overlap at the other side, and centred ones overlap in
        the middle.
      other: bool, the same for what is blended in place of the partners, for example a second
        batch.

    Returns:
      The mix with this `lam` and a mask [B, *spatial] of the dtype that it had; a bool mask is
      counted exactly.

    Raises:
      TypeError: If `valid` is not bool.
      ValueError: If `valid` has another B, if the mask does not fit it, or if `other` has another
        shape.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.5]), lam=jnp.full(2, 0.5))
      >>> valid = jnp.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool)
      >>> mix = jm.keep_overlap(mix, valid)
      >>> mix.mask.tolist(), mix.lam.tolist()
      ([[0.5, 0.5, 1.0, 1.0], [0.5, 0.5, 1.0, 1.0]], [0.75, 0.5])

    This follows NaFlexMixup of timm, which pairs images of similar shapes (sort them, and use
    `neighbours`) and draws a CutMix box inside the overlap; here the part of the box outside the
    overlap is cut off.
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
    loss = (1 - mask.astype(jnp.float32)).sum(axes)  # how much of its own content is replaced
    size = valid.sum(axes, dtype=jnp.int32).astype(jnp.float32)
    lam = jnp.where(size > 0, (size - loss) / jnp.maximum(size, 1.0), 1.0)
    return dataclasses.replace(mix, mask=mask, lam=lam)


@public
def keep_local(
    mix: Mix,
    features: Shaped[ArrayLike, "b *dims"],
    *,
    radius: ArrayLike,
    other: Shaped[ArrayLike, "b *dims"] | None = None,
) -> Mix:
    """Mix only examples that are near each other: between distant ones there may be another class.

        mᵢ = 1 and λᵢ = 1 unless ‖fᵢ - fₚ‖ <= r

    Args:
      mix: a mix of B examples.
      features: f[B, ...], inputs or hidden features.
      radius: r in the units of the features; may be traced. Infinity keeps the mix as it is.
      other: features of what is blended in place of the partners, for example of a second batch; of
        the same shape and dtype as `features`.

    Returns:
      A mix of the same examples, whose mask has B as its first axis.

    Raises:
      ValueError: If `features` have another B, or if a static `radius` is negative.

    Example:
      >>> mix = jm.Mix(jm.roll(), jnp.array([0.5]), lam=jnp.full(3, 0.5))
      >>> jm.keep_local(mix, jnp.array([0.0, 1.0, 9.0]), radius=2.0).lam.tolist()
      [1.0, 0.5, 1.0]

    Local mixup, Baena et al. 2022, arXiv:2201.04368. They reduce the weight of a pair's loss, by
    exp(-σ ‖fᵢ - fₚ‖) or to 0 beyond a threshold; here the model still learns from distant examples,
    unmixed.
    """
    number = _checks.static_number(radius)
    if number is not None and not number >= 0:
        raise ValueError(f"keep_local got radius={number}; it needs a number >= 0.")
    features = checked_rows("keep_local", mix, "features", features)
    partners = partner_rows("keep_local", mix, "features", features, other)
    own, rest = (x.reshape(x.shape[0], -1).astype(jnp.float32) for x in (features, partners))
    distance = jnp.linalg.norm(own - rest, axis=1)
    return mix_where(distance <= jnp.asarray(radius).astype(jnp.float32), mix)


@public
def balance(
    mix: Mix, level: Shaped[ArrayLike, "b ..."], *, other: Shaped[ArrayLike, "b ..."] | None = None
) -> Mix:
    """Blend so that the two sound as loud as λ to 1-λ, however loud each was recorded.

        mᵢ = λᵢ gₚ / (λᵢ gₚ + (1 - λᵢ) gᵢ),  λ unchanged

    Args:
      mix: a mix of B examples whose mask has no positions, as `sample_mixup` draws.
      level: g >= 0, [B], each example's loudness in linear units: its standard deviation, or the
        root mean square of a weighted spectrum. A pair with a silent example keeps m = λ.
      other: levels of what is blended in place of the partners, for example of a second batch; of
        the same shape and dtype as `level`.

    Returns:
      The mix with this mask, [B].

    Raises:
      ValueError: If the mask has positions, or if `level` does not have shape (B,).

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.5]), lam=jnp.full(2, 0.5))
      >>> [round(float(m), 2) for m in jm.balance(mix, jnp.array([1.0, 3.0])).mask]
      [0.75, 0.25]

    Between-class learning, Tokozume et al. 2018, arXiv:1711.10282, who pair different classes
    (`across_class`), draw λ ~ U(0, 1), weigh frequencies by hearing, and then `restore_energy`.
    """
    level = checked_rows("balance", mix, "level", level)
    if mix.mask.ndim != 1 or level.ndim != 1:
        raise ValueError(
            f"balance got a mask of shape {mix.mask.shape} and level of shape {level.shape}; it "
            "needs a mask without positions, as sample_mixup draws, and one level for each example."
        )
    partners = partner_rows("balance", mix, "level", level, other).astype(jnp.float32)
    level = level.astype(jnp.float32)
    own, rest = mix.lam * partners, (1 - mix.lam) * level
    audible = (level > 0) & (partners > 0)
    mask = jnp.where(audible, own / jnp.where(audible, own + rest, 1.0), mix.lam)
    return dataclasses.replace(mix, mask=mask)
