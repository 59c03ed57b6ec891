"""Apply a mix to inputs, dense maps and ids."""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Float, PyTree, Shaped

from jax_mixup import _checks
from jax_mixup._blending import checked_rows, layered, layers_of, mask_for, one_mix, partner_rows
from jax_mixup._entry import one_program, public
from jax_mixup._geometry import padded
from jax_mixup.mix import Mix, Mixes
from jax_mixup.pairings._rows import move_rows
from jax_mixup.pairings.static import partner_index


@public
def take_partner(mix: Mix, x: PyTree) -> PyTree:
    """Return each example's partner, in the example's place.

        out[i] = x[partner[i]]

    Static pairings move examples without a gather; index arrays gather. All verbs fetch partners
    this way.

    Args:
      mix: a mix of B examples.
      x: arrays [B, ...] of any dtype, or a PyTree of them.

    Returns:
      Arrays of the same shapes and dtypes.

    Raises:
      ValueError: If an array does not have B examples, or if the pairing does not fit B examples.

    Example:
      >>> mix = jm.sample_mixup(jax.random.key(0), (3,))
      >>> jm.take_partner(mix, {"id": jnp.array([10, 11, 12])})
      {'id': Array([12, 11, 10], dtype=int32)}
    """

    def take(x: ArrayLike) -> Array:
        x = checked_rows("take_partner", mix, "x", x)
        return move_rows(mix.partner, x)

    return jax.tree.map(take, x)


@public
def blend(
    mix: Mixes, x: PyTree, *, other: PyTree | None = None, dtype: DTypeLike | None = None
) -> PyTree:
    """Blend each example with its partner by the mask: inputs, features, dense soft maps.

        x̃ᵢ = mᵢ ⊙ xᵢ + (1 - mᵢ) ⊙ oᵢ,  oᵢ = xₚ unless `other` is given

    The mask is padded with axes of size 1 on the right, to the rank of x. A soft mask is applied in
    float32 (to float64 and complex inputs in their own dtype). m = 0 and m = 1 copy values exactly,
    and a value of weight 0 has no influence, not even NaN. With an integer `dtype`, results are
    rounded to the nearest integer; they are exact below 2^24. Mix uint8 images first and normalise
    after: the weights sum to 1, so the result is the same, and partners are moved as bytes.

    Args:
      mix: a mix of B examples, or a tuple of mixes, laid one over another.
      x: arrays [B, *spatial, ...], or a PyTree of them, with channels last. If channels come first,
        move the axis before, `jnp.moveaxis(x, 1, -1)`, and back after; within a jitted step this
        adds no pass over the data.
      other: what to blend with in place of the partners, for example a second batch; of the same
        structure, shapes and dtypes as x.
      dtype: dtype of the result; the default is that of x. An integer x needs one: a float dtype,
        or its own.

    Returns:
      Arrays of the shapes of x.

    Raises:
      TypeError: If x is integer or bool and `dtype` is not given, or if `dtype` is an integer dtype
        other than that of x.
      ValueError: If x has another B, if the mask does not fit x, if `other` has another shape, or
        if `other` is given for a tuple of mixes.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.25]), jnp.full(2, 0.25))
      >>> images = jnp.array([[0, 100], [200, 255]], jnp.uint8)
      >>> jm.blend(mix, images, dtype=jnp.float32).tolist()
      [[150.0, 216.25], [50.0, 138.75]]
      >>> jm.blend(mix, images, dtype=jnp.uint8).tolist()
      [[150, 216], [50, 139]]
    """

    def leaf(path: tuple, x: ArrayLike, other: ArrayLike | None = None) -> Array:
        name = "x" + jax.tree_util.keystr(path)
        out = _checks.blend_dtype(jnp.asarray(x).dtype, dtype, name)
        return _blended("blend", mix, x, other, out)

    trees = (x,) if other is None else (x, other)
    return jax.tree_util.tree_map_with_path(leaf, *trees)


@public
def select(mix: Mixes, x: PyTree, *, other: PyTree | None = None) -> PyTree:
    """Take each position from the example or from its partner: segmentation ids, tokens.

        out[i] = x[i] where mᵢ else other[i],  other = the partner unless given

    Nothing is averaged: every id stays what it is, an ignore id too. Applied twice, it gives x back
    only if the pairing is mutual and both examples of a pair have the same mask, as with
    per="batch" or per="pair" and `reverse()`. With a mask for each example some positions are in
    neither mixed example, so nothing can give them back.

    Args:
      mix: a mix of B examples whose mask is bool, or a tuple of such mixes.
      x: arrays [B, *spatial, ...] of any dtype, or a PyTree of them.
      other: what to select from in place of the partners, for example a second batch; of the same
        structure, shapes and dtypes as x.

    Returns:
      Arrays of the shapes and dtypes of x.

    Raises:
      TypeError: If the mask is not bool.
      ValueError: If x has another B, if the mask does not fit x, if `other` has another shape, or
        if `other` is given for a tuple of mixes.

    Example:
      >>> mask = jnp.array([[True, True, False]])
      >>> mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 2 / 3))
      >>> jm.select(mix, jnp.array([[1, 255, 3], [4, 5, 255]])).tolist()
      [[1, 255, 255], [4, 5, 3]]
    """
    for layer in layers_of(mix):
        if layer.mask.dtype != jnp.bool_:
            raise TypeError(
                f"select got a mix with a {layer.mask.dtype} mask; it needs a bool mask, as "
                "sample_cutmix draws: for a soft mask call blend on one-hot maps, or "
                "pair_loss(by='mask') on the ids."
            )

    def leaf(x: ArrayLike, other: ArrayLike | None = None) -> Array:
        return _blended("select", mix, x, other, jnp.asarray(x).dtype)

    return jax.tree.map(leaf, x) if other is None else jax.tree.map(leaf, x, other)


@one_program("function", "out")
def _blended(
    function: str, mix: Mixes, x: ArrayLike, other: ArrayLike | None, out: DTypeLike
) -> Array:
    x = jnp.asarray(x)
    one_mix(function, mix, other)

    def weight_of(layer: Mix) -> Array:
        return mask_for(function, layer, checked_rows(function, layer, "x", x))

    def other_of(layer: Mix) -> Array | None:
        partner = partner_rows(function, layer, "x", x, other)
        return None if partner is x else partner  # a batch of one

    return layered(mix, x, weight_of, other_of, out)


@public
def restore_energy(mix: Mixes, x: Shaped[ArrayLike, "b *dims"]) -> Float[Array, "b *dims"]:
    """Make a blend as loud as its parts: an average of unlike signals is quieter than they are.

        out = x̃ / √(m² + (1 - m)²), of several partners x̃ / √(Σⱼ wⱼ²)

    where wⱼ is the weight of each different example: one that is mixed in twice counts once, with
    the sum of its weights.

    Args:
      mix: a mix of B examples, or a tuple of mixes.
      x: what `blend` returned, f[B, *spatial, ...]: signals of mean 0, such as sound or noise.

    Returns:
      An array of the same shape and dtype. Examples that are their own partner stay as they are.

    Raises:
      TypeError: If `x` is not floating point.
      ValueError: If x has another B, or if the mask does not fit x.

    Example:
      >>> mix = jm.Mix(jm.reverse(), jnp.array([0.5]), lam=jnp.full(2, 0.5))
      >>> noise = jax.random.normal(jax.random.key(0), (2, 10_000))
      >>> quiet = jm.blend(mix, noise)
      >>> print(f"{quiet.std():.1f} {jm.restore_energy(mix, quiet).std():.1f}")
      0.7 1.0

    Tokozume et al. 2018, arXiv:1711.10282.
    """
    layers = layers_of(mix)
    x = checked_rows("restore_energy", layers[0], "x", x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"restore_energy got x of dtype {x.dtype}; it needs floats: call blend with "
            "dtype=jnp.float32 first."
        )
    sources, weights = [jnp.arange(x.shape[0], dtype=jnp.int32)], [jnp.float32(1)]
    for layer in layers:
        checked_rows("restore_energy", layer, "x", x)
        mask = mask_for("restore_energy", layer, x).astype(jnp.float32)
        source, weight = partner_index(layer.partner, x.shape[0]), 1 - mask
        weights = [w * mask for w in weights]
        for j, earlier in enumerate(sources):  # the same example again adds to its weight
            again = padded(source == earlier, x.ndim)
            weights[j] = weights[j] + jnp.where(again, weight, 0.0)
            weight = jnp.where(again, 0.0, weight)
        sources, weights = [*sources, source], [*weights, weight]
    energy = sum(jnp.square(w) for w in weights)
    return (x.astype(jnp.float32) / jnp.sqrt(energy)).astype(x.dtype)
