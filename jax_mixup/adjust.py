"""The verbs that change a mix before it is applied: its resolution, its rows, what lies over it."""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Shaped

from jax_mixup import masks
from jax_mixup._entry import public, settled
from jax_mixup.mix import M, Mix, checked_rows, layers_of, mix_where, one_mix, partner_rows


@public
def resize_mix(mix: M, spatial: tuple[int, ...]) -> M:
    """Bring the mask to another resolution, for features or label maps of another stride.

        m'(cell) = the average of m over the cell's area

    Means are kept, so `lam` stays what it was.

    Args:
      mix: a mix, or a tuple; a mask without positions, as mixup's, comes back as it is.
      spatial: the new sizes, one for each spatial axis of the mask.

    Returns:
      A mix whose mask is `[B or 1, *spatial]`: float32, but bool where a bool mask only repeats its
      positions (each new size a multiple of the old), so that `select` works there. For `select` at
      a coarser stride choose a threshold: `replace(mix, mask=mix.mask >= 0.5)`.

    Raises:
      ValueError: if `spatial` is no tuple of sizes of 1 or more, one for each axis of the mask.

    Example:
      >>> mask = jnp.array([[True, True, True, False]])
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 0.75))
      >>> jm.resize_mix(mix, (2,)).mask.tolist()
      [[1.0, 0.5]]
    """
    if not isinstance(spatial, (tuple, list)):
        raise ValueError(
            f"resize_mix got spatial={spatial!r}; it needs a tuple of sizes, as x.shape[1:-1] is: "
            f"write ({spatial},) for one axis."
        )
    return _each(partial(_resized, tuple(spatial)), mix)


@public
def keep(
    mix: M, where: Shaped[ArrayLike, "b"], *, other: Shaped[ArrayLike, "b"] | None = None
) -> M:
    """Keep the mix where it is allowed: padding, and examples that must not be mixed, stay whole.

        mᵢ = 1 and λᵢ = 1 unless where[i] and where[partner[i]]

    Args:
      mix: a mix of B rows, or a tuple, of which a row needs all its partners.
      where: bool[B], True where the mix is kept: real examples, `weights > 0`. Rows where it is
        False come out as they went in, and so do the rows whose partner is such a row, so that
        nothing of padding reaches a real example.
      other: bool[B], the same of what is blended in place of the partners, as of a second batch.

    Returns:
      A mix of the same rows, its mask with a leading B.

    Raises:
      TypeError: if `where` or `other` is not bool.
      ValueError: if it is not of shape (B,), or for an `other` for a tuple of mixes.

    Example:
      >>> mix = jm.Mix(jm.roll(), jnp.array([0.5]), lam=jnp.full(3, 0.5))
      >>> real = jnp.array([True, True, False])  # the third row is padding
      >>> jm.keep(mix, real).lam.tolist()
      [1.0, 0.5, 1.0]
    """
    one_mix("keep", mix, other)
    layers = layers_of(mix)
    given = {"where": where} if other is None else {"where": where, "other": other}
    for name, value in given.items():
        value = checked_rows("keep", layers[0], name, value)
        if value.dtype != jnp.bool_:
            raise TypeError(
                f"keep got {name} of dtype {value.dtype}; it needs bool: write weights > 0."
            )
        if value.ndim != 1:
            raise ValueError(
                f"keep got {name} of shape {value.shape}; it needs one bool a row, (B,)."
            )
    where = on = jnp.asarray(where)
    for layer in layers:
        on = on & partner_rows("keep", layer, "where", where, other)
    return _each(partial(mix_where, on), mix)


@public
def overlay(*mixes: Mix) -> tuple[Mix, ...]:
    """Lay mixes one over another, so that each row is mixed with several partners.

        x̃ = M₁…M_k x + Σⱼ (1 - Mⱼ) Mⱼ₊₁…M_k x[pⱼ],  labels by the mean of each factor

    The result is a tuple, which the verbs take as they take a mix. What a later mix covers of an
    earlier one is not seen, and its label does not count: `lam` of each layer is made anew, from
    the masks, so that labels weigh by what is left of each row.

    Args:
      *mixes: mixes of the same B rows, the lowest first.

    Returns:
      The mixes, each with the label weight that makes the whole exact.

    Raises:
      TypeError: for no mix, or anything else.
      ValueError: for mixes of another B, or masks whose positions do not agree.

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
        raise TypeError(f"overlay got {got}; it needs one Mix or more: unpack a list, *mixes.")
    mixes = tuple(settled("overlay", mix) for mix in mixes)
    batch = mixes[0].lam.shape[0]
    rank = max(mix.mask.ndim for mix in mixes)
    covered, seen, layers = None, jnp.ones(batch, jnp.float32), []
    for mix in reversed(mixes):
        checked_rows("overlay", mix, "mixes' rows", mixes[0].lam)
        mask = mix.mask.reshape(mix.mask.shape + (1,) * (rank - mix.mask.ndim))
        covered = mask if covered is None else _both(covered, mask)
        left = jnp.broadcast_to(masks.mean(covered), (batch,))
        lam = jnp.where(seen > 0, left / jnp.where(seen > 0, seen, 1.0), 1.0)
        layers.append(dataclasses.replace(mix, lam=lam))
        seen = left
    return tuple(reversed(layers))


def _each(change: Callable[[Mix], Mix], mix: M) -> M:
    return jax.tree.map(change, mix, is_leaf=lambda m: isinstance(m, Mix))


def _resized(spatial: tuple[int, ...], mix: Mix) -> Mix:
    old = mix.mask.shape[1:]
    if not old or spatial == old:
        return mix
    if len(spatial) != len(old) or min(spatial) < 1:
        raise ValueError(
            f"resize_mix got spatial={spatial} for a mask of shape {mix.mask.shape}; it needs "
            f"{len(old)} sizes of 1 or more."
        )
    mask = masks.area_average(mix.mask.astype(jnp.float32), spatial)
    if mix.mask.dtype == jnp.bool_ and all(n % o == 0 for n, o in zip(spatial, old, strict=True)):
        mask = mask > 0.5
    return dataclasses.replace(mix, mask=mask)


def _both(a: Shaped[Array, "..."], b: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    if a.dtype == b.dtype == jnp.bool_:
        return a & b
    return a.astype(jnp.float32) * b.astype(jnp.float32)
