"""SMMix: the most attended box in place of the least."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.statistics import seed, within

smmix = jax.jit(jm.sample_smmix, static_argnames=("sides", "patch"))


def random(*shape):
    return np.random.default_rng(0).uniform(size=shape).astype(np.float32)


def best(sums, pick):
    """The first start of the largest (or smallest) sum, by loops."""
    return min(sums, key=lambda start: (-sums[start] if pick == "most" else sums[start], start))


def test_smmix_shows_the_most_in_place_of_the_least():
    attention = np.random.default_rng(2).integers(0, 50, (5, 6, 8))  # whole sums are exact
    mix, (start, stop) = smmix(seed(4), jnp.asarray(attention), patch=3)
    sides = set()
    for i in range(5):
        rows, columns = np.where(~np.asarray(mix.mask)[i])
        height, width = (np.ptp(rows) + 1) // 3, (np.ptp(columns) + 1) // 3
        assert 1 <= height <= 4 and 2 <= width <= 6  # 0.25 and 0.75 of 6 and of 8
        assert len(rows) == 9 * height * width and mix.lam[i] == np.float32(
            1 - np.float32(9 * height * width) / np.float32(18 * 24)
        )
        sums = [
            {
                (r, c): a[r : r + height, c : c + width].sum()
                for r in range(6 - height + 1)
                for c in range(8 - width + 1)
            }
            for a in (attention[i], attention[4 - i])
        ]
        assert (rows[0] // 3, columns[0] // 3) == best(sums[0], "least")
        origin = best(sums[1], "most")
        assert tuple(start[i]) == (3 * origin[0], 3 * origin[1])
        np.testing.assert_array_equal(stop[i] - start[i], [3 * height, 3 * width])
        sides.add((height, width))
    assert len(sides) > 1  # each row's own


def test_smmix_moves_the_partners_box():
    attention = random(4, 5)
    x = jnp.asarray(np.random.default_rng(3).integers(0, 99, (4, 10, 2)))
    mix, source = smmix(seed(5), attention, patch=2)
    other = jm.fit_partner(mix, x, source=source, method="nearest")
    mixed = np.asarray(jm.select(mix, x, other=other))
    for i in range(4):
        cut = np.flatnonzero(~np.asarray(mix.mask)[i])
        place = int(source[0][i, 0])
        np.testing.assert_array_equal(mixed[i, cut], x[3 - i, place : place + len(cut)])


def test_every_side_is_as_likely():
    mix, _ = smmix(seed(6), jnp.zeros((4000, 14)))  # nothing attended to: the first places
    kept = np.asarray(mix.mask)
    side = 14 - kept.sum(axis=1)
    assert set(side) == set(range(3, 11))  # as the authors' int(0.25 · 14) to int(0.75 · 14)
    for s in range(3, 11):
        within(side == s, 1 / 8)
    assert (~kept[:, 0]).all() and jnp.isfinite(mix.lam).all()


def test_smmix_in_three_axes_and_small():
    cubes = jnp.zeros((3, 4, 4, 4)).at[:, 2:, 2:, :2].set(1.0)
    mix, (start, _) = smmix(seed(7), cubes.astype(jnp.bfloat16), sides=(0.5, 0.5))
    np.testing.assert_array_equal(start, np.broadcast_to([2, 2, 0], (3, 3)))
    assert (mix.lam == 1 - 8 / 64).all() and not mix.mask[0, :2, :2, :2].any()
    x = jnp.arange(3.0)[None]
    one, source = jm.sample_smmix(seed(1), jnp.ones((1, 3)))
    np.testing.assert_array_equal(jm.blend(one, x), x)
    assert one.lam[0] in (np.float32(2 / 3), np.float32(1 / 3)) and source[0].shape == (1, 1)
    for sides, patch in (((0.0, 0.5), 1), ((0.5, 0.2), 1), ((0.2, 0.5), 0)):
        with pytest.raises(
            ValueError, match=r"sample_smmix got (sides=.*bounds|patch=0; it needs an int)"
        ):
            jm.sample_smmix(seed(1), jnp.ones((2, 4, 4)), sides=sides, patch=patch)
    with pytest.raises(ValueError, match="spatial axis"):
        jm.sample_smmix(seed(1), jnp.ones(2))
