"""Samplers that follow saliency: where the partner has something to show, and where the row has.

Their randomness is each row's own, so they have no `per`; which of `alpha` and `lam_law` they take
each one says. Saliency is an input, f[B, *spatial], zero or more, of any scale; `saliency` has two
ways to make it. It has no channel axis, and its positions are those of x with channels last.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, Shaped

from jax_mixup import _checks, masks
from jax_mixup._entry import public
from jax_mixup.laws import Law, constant, drawn_from, law_and_uniforms
from jax_mixup.mix import Mix, padded
from jax_mixup.pairing import Pairing, move_rows, reverse
from jax_mixup.saliency import checked, normalised, smooth
from jax_mixup.samplers import check_options
from jax_mixup.weights import reweigh


@public
def sample_saliencymix(
    key: PRNGKeyArray,
    saliency: Shaped[ArrayLike, "b *spatial"],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a SaliencyMix: a box of the partner, about the place where it is most salient.

        mᵢ = 0 in a box of side (1-λ)^(1/d) of each axis about argmax sₚ;  λᵢ = the share outside

    Args:
      key: a PRNG key.
      saliency: f[B, *spatial]. Of equal places the first is taken.
      alpha, lam_law, pairing: see `samplers`; λ is drawn for each row.

    Returns:
      A mix with a bool mask [B, *spatial]; the box ends at the border.

    Raises:
      ValueError: for saliency without a spatial axis, or a static negative `alpha`.

    Example:
      >>> s = jnp.zeros((2, 8)).at[0, 6].set(1.0).at[1, 2].set(1.0)
      >>> mix = jm.sample_saliencymix(jax.random.key(0), s, lam_law=jm.constant(0.625))
      >>> mix.mask.astype(int).tolist(), mix.lam.tolist()
      ([[1, 0, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0, 0]], [0.625, 0.625])

    Uddin et al. 2021, arXiv:2006.01791. Their code takes the box of one image for all of the batch,
    and sides that are even; here each row follows its own partner, and sides are rounded.
    """
    s = checked("sample_saliencymix", saliency)
    batch, *spatial = s.shape
    pairing = check_options("sample_saliencymix", "example", pairing, batch=batch, alpha=alpha)
    law, _ = law_and_uniforms(key, lam_law, 0, batch)
    peak = move_rows(pairing, s.reshape(batch, -1).argmax(axis=1))
    place = jnp.stack(jnp.unravel_index(peak, spatial), axis=1).astype(jnp.float32)
    # The quarter makes the box start at place - side // 2, well away from a rounding.
    centre = (place + 0.25) / jnp.asarray(spatial, jnp.float32)[None, :]
    corners = masks.box_corners(law(alpha), centre, tuple(spatial), box="clipped")
    mask = masks.outside_box(*corners, tuple(spatial))
    return Mix(pairing, mask, masks.share_outside(*corners, tuple(spatial)))


@public
def sample_attentive_cutmix(
    key: PRNGKeyArray,
    saliency: Shaped[ArrayLike, "b *spatial"],
    *,
    grid: tuple[int, ...] = (7, 7),
    k: int = 6,
    lam_law: Law | None = None,
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw an Attentive CutMix: the partner's k most salient cells of a grid.

        m(cell) = 0 where the mean of sₚ is among its k largest, else 1;  λᵢ = the share kept

    Args:
      key: a PRNG key, for `lam_law`; without one nothing is drawn.
      saliency: f[B, *spatial].
      grid: how many cells along each spatial axis; where they do not divide it, sizes differ by one
        position, and `lam` counts that.
      k: how many cells are given away.
      lam_law: a law of λ for each row; the share 1-λ of the cells, to the nearest, in place of k.
      pairing: a static pairing, or an index array.

    Returns:
      A mix with a bool mask [B, *spatial].

    Raises:
      ValueError: for saliency without a spatial axis, a `grid` that does not fit it, or a `k` that
        is not from 0 to the number of cells.

    Example:
      >>> saliency = jax.random.uniform(jax.random.key(0), (4, 28, 28))
      >>> mix = jm.sample_attentive_cutmix(jax.random.key(1), saliency)
      >>> print(f"{mix.lam[0]:.4f} = {1 - 6 / 49:.4f}")
      0.8776 = 0.8776

    Walawalkar et al. 2020, arXiv:2003.13048, whose saliency is the last feature map, 7 x 7, of a
    model that was trained before. A law of λ: as in OpenMixup's "attentivemix+".
    """
    name = "sample_attentive_cutmix"
    s = checked(name, saliency)
    batch, *spatial = s.shape
    pairing = check_options(name, "example", pairing, batch=batch)
    grid = _checks.grid(name, grid, tuple(spatial))
    cells = math.prod(grid)
    k = _checks.whole(name, "k", k, 0, cells)
    law = constant(1 - k / cells) if lam_law is None else lam_law
    share = 1 - drawn_from(law, key, batch)
    means = masks.area_average(move_rows(pairing, s), grid)
    mask = masks.enlarge(~masks.largest(means, share), tuple(spatial))
    return Mix(pairing, mask, masks.share(mask))


@public
def sample_guidedmixup(
    key: PRNGKeyArray,
    saliency: Shaped[ArrayLike, "b *spatial"],
    *,
    blur: float = 1.8,
    pairing: Pairing = reverse(),
) -> Mix:
    """Weigh each position by how salient the two rows are there.

        m = ŝᵢ / (ŝᵢ + ŝₚ),  ŝ = G * s / Σ s;  λᵢ = mean mᵢ

    Args:
      key: not used, for nothing is drawn; it is there as in all samplers.
      saliency: f[B, *spatial].
      blur: standard deviation of the Gaussian G, in positions; 0 is none.
      pairing: a static pairing, or an index array; the paper's is `salient_pairs(saliency)`.

    Returns:
      A mix with a float32 mask [B, *spatial]; ½ where neither is salient.

    Raises:
      ValueError: for saliency without a spatial axis, or a negative `blur`.

    Example:
      >>> s = jnp.array([[6.0, 2.0, 0.0, 0.0], [0.0, 2.0, 0.0, 6.0]])
      >>> mix = jm.sample_guidedmixup(jax.random.key(0), s, blur=0.0)
      >>> mix.mask[0].tolist(), mix.lam.tolist()
      ([1.0, 0.5, 0.5, 0.0], [0.5, 0.5])

    Kang & Kim 2023, arXiv:2306.16612. They blur with a window of 7 x 7 that cuts a Gaussian of
    σ = 3 at one σ, and so has a standard deviation of 1.8; here the Gaussian is whole.
    """
    del key
    s = checked("sample_guidedmixup", saliency)
    pairing = check_options("sample_guidedmixup", "example", pairing, batch=s.shape[0])
    own = normalised(smooth("sample_guidedmixup", s, blur))
    total = own + move_rows(pairing, own)
    mask = jnp.where(total > 0, own / jnp.where(total > 0, total, 1.0), 0.5)
    return Mix(pairing, mask, masks.mean(mask))


@public
def sample_grafting(
    key: PRNGKeyArray,
    saliency: Shaped[ArrayLike, "b *spatial"],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    grid: tuple[int, ...] = (7, 7),
    threshold: float = 1.0,
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a Saliency Grafting: some of the partner's salient cells; labels by what is salient.

        m(cell) = 0 with probability 1-λ where mean sₚ >= τ · (its mean over all cells), else 1
        λᵢ = Σ m ŝᵢ / (Σ m ŝᵢ + Σ (1-m) ŝₚ),  ŝ = s / Σ s

    Args:
      key: a PRNG key.
      saliency: f[B, *spatial].
      alpha, lam_law, pairing: see `samplers`; λ is drawn for each row.
      grid: how many cells along each spatial axis.
      threshold: τ; 0 makes every cell a candidate.

    Returns:
      A mix with a bool mask [B, *spatial]; `lam` as `reweigh` gives it.

    Raises:
      ValueError: for saliency without a spatial axis, a static negative `alpha`, or a `grid` that
        does not fit.

    Example:
      >>> s = jnp.array([[8.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 6.0]])
      >>> mix = jm.sample_grafting(jax.random.key(0), s, grid=(4,), lam_law=jm.constant(0.0))
      >>> mix.mask.astype(int).tolist(), [round(float(lam), 3) for lam in mix.lam]
      ([[1, 1, 1, 0], [0, 1, 1, 1]], [0.545, 0.522])

    Park et al. 2022, arXiv:2112.08796; we found no code of the authors. How they scale saliency
    before the threshold, and how they draw the probability, may differ: here it is taken against
    its mean, and 1-λ has the law of every sampler.
    """
    name = "sample_grafting"
    s = checked(name, saliency)
    batch, *spatial = s.shape
    pairing = check_options(name, "example", pairing, batch=batch, alpha=alpha)
    threshold = _checks.known(name, "threshold", threshold, "a number >= 0", 0.0)
    grid = _checks.grid(name, grid, tuple(spatial))
    law, u = law_and_uniforms(key, lam_law, math.prod(grid), batch)
    means = masks.area_average(move_rows(pairing, s), grid).reshape(batch, -1)
    candidate = means >= threshold * means.mean(axis=1, keepdims=True)
    kept = ~candidate | (u.T < law(alpha)[:, None])
    mask = masks.enlarge(kept.reshape(batch, *grid), tuple(spatial))
    return reweigh(Mix(pairing, mask, masks.share(mask)), normalised(s))


@public
def sample_snapmix(
    key: PRNGKeyArray,
    cam: Shaped[ArrayLike, "b *spatial"],
    *,
    alpha: ArrayLike = 5.0,
    lam_law: Law | None = None,
    pairing: Pairing = reverse(),
) -> tuple[Mix, tuple[Int[Array, "b d"], Int[Array, "b d"]], Float[Array, "b"]]:
    """Draw a SnapMix: a box of the partner, resized into another box; labels by class activation.

        wᵢ = Σ ĉᵢ outside the row's box,  wₚ = Σ ĉₚ in the partner's box,  ĉ = (c - min c) / Σ
        λᵢ = wᵢ / (wᵢ + wₚ),  total = wᵢ + wₚ, which need not be 1

    Both boxes have sides √(1-λ) of the input's, each with a λ of its own, and end at the border:

        mixed = jm.blend(mix, x, other=jm.fit_partner(mix, x, source=source))
        loss = (total * jm.pair_loss(mix, cross_entropy, logits, labels)).mean()

    Args:
      key: a PRNG key.
      cam: f[B, *spatial], how much each position speaks for the row's own class, at the inputs'
        size; may be negative.
      alpha, lam_law, pairing: see `samplers`; both λ are drawn for each row.

    Returns:
      The mix, with a bool mask [B, *spatial]; `source`, the partner's box: its first positions and
      those after its last, i32[B, d] each; and `total`, f32[B]. Where either box is empty nothing
      is mixed, and the source is the whole row.

    Raises:
      ValueError: for a map without a spatial axis, or a static negative `alpha`.

    Example:
      >>> cam = jnp.ones((4, 16, 16)).at[:, :4, :4].set(9.0)
      >>> mix, (start, stop), total = jm.sample_snapmix(jax.random.key(0), cam)
      >>> start.shape, bool((stop > start).all()), bool((mix.lam * total <= 1).all())
      ((4, 2), True, True)

    Huang et al. 2021, arXiv:2012.04846. Their code draws both boxes once for the batch, and gives
    each label of a pair of one class the weight wᵢ + wₚ, twice as much as this loss; that is
    `total * jnp.where(labels == jm.take_partner(mix, labels), 2, 1)`.
    """
    c = checked("sample_snapmix", cam)
    batch, axes, spatial = c.shape[0], tuple(range(1, c.ndim)), c.shape[1:]
    pairing = check_options("sample_snapmix", "example", pairing, batch=batch, alpha=alpha)
    law, centre = law_and_uniforms(key, lam_law, len(spatial), 2 * batch)
    each = jnp.tile(jnp.asarray(alpha), 2) if jnp.ndim(alpha) else alpha
    start, stop = masks.box_corners(law(each), centre.T, spatial, box="clipped")
    some = (stop > start).all(axis=1)
    some = some[:batch] & some[batch:]
    on, size = some[:, None], jnp.asarray(spatial, jnp.int32)[None, :]
    # Where either is empty: nothing of the row, and of the partner all, which can be resized.
    box = jnp.where(on, start[:batch], 0), jnp.where(on, stop[:batch], 0)
    source = jnp.where(on, start[batch:], 0), jnp.where(on, stop[batch:], size)
    mask = masks.outside_box(*box, spatial)
    mass = normalised(c - c.min(axis=axes, keepdims=True))
    own = jnp.where(mask, mass, 0.0).sum(axes)
    other = move_rows(pairing, mass)
    other = jnp.where(masks.outside_box(*source, spatial) | ~padded(some, c.ndim), 0.0, other)
    other = other.sum(axes)
    total = own + other
    share = masks.share_outside(*box, spatial)
    lam = jnp.where(total > 0, own / jnp.where(total > 0, total, 1.0), share)
    return Mix(pairing, mask, lam), source, total
