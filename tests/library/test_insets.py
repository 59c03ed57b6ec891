"""The whole partner in a box, and the recipes made of it."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm

KEY = jax.random.key(5)


def mix_of(start, stop, spatial, batch=2):
    mask = np.ones((1, *spatial), bool)
    mask[(0, *(slice(a, b) for a, b in zip(start, stop, strict=True)))] = False
    return jm.Mix(jm.reverse(), jnp.asarray(mask), jnp.full(batch, mask.mean(), jnp.float32))


def nearest_by_hand(row, start, stop, origin, end):
    out = row.copy()
    for t in np.ndindex(*[b - a for a, b in zip(start, stop, strict=True)]):
        place = [
            c + int((i + 0.5) * (d - c) / (b - a))
            for i, a, b, c, d in zip(t, start, stop, origin, end, strict=True)
        ]
        out[tuple(i + a for i, a in zip(t, start, strict=True))] = row[tuple(place)]
    return out


@pytest.mark.parametrize(
    "spatial, start, stop, origin, end",
    [
        ((9,), (2,), (6,), (0,), (9,)),
        ((6, 8), (1, 2), (4, 7), (0, 0), (6, 8)),
        ((6, 8), (0, 5), (6, 8), (2, 1), (4, 7)),
        ((4, 3, 5), (1, 0, 2), (3, 3, 5), (0, 0, 0), (4, 3, 5)),
    ],
)
def test_nearest_is_the_equation(spatial, start, stop, origin, end):
    x = np.random.default_rng(1).integers(0, 255, (2, *spatial, 2)).astype(np.uint8)
    mix = mix_of(start, stop, spatial)
    source = jnp.array([origin], jnp.int32), jnp.array([end], jnp.int32)
    other = jm.fit_partner(mix, x, source=source, method="nearest")
    assert other.dtype == jnp.uint8
    mixed = np.asarray(jm.select(mix, x, other=other))
    for i in range(2):
        by_hand = np.where(
            np.asarray(mix.mask)[0, ..., None],
            x[i],
            nearest_by_hand(x[1 - i], start, stop, origin, end),
        )
        np.testing.assert_array_equal(mixed[i], by_hand)


def test_linear_is_jax_images_resize():
    x = np.random.default_rng(2).normal(size=(2, 8, 12, 3)).astype(np.float32)
    mix = mix_of((2, 3), (6, 9), (8, 12))
    other = jm.fit_partner(mix, x)
    expected = jax.image.resize(x[::-1], (2, 4, 6, 3), "linear", antialias=True)
    np.testing.assert_allclose(other[:, 2:6, 3:9], expected, atol=1e-5)
    enlarged = jm.fit_partner(mix, x, source=(jnp.array([[1, 2]]), jnp.array([[3, 5]])))
    expected = jax.image.resize(x[::-1, 1:3, 2:5], (2, 4, 6, 3), "linear")
    np.testing.assert_allclose(enlarged[:, 2:6, 3:9], expected, atol=1e-5)
    whole = jm.fit_partner(mix_of((0, 0), (8, 12), (8, 12)), x)
    np.testing.assert_allclose(whole, x[::-1], atol=1e-6)


def test_dtypes_rows_of_their_own_and_nothing_given_away():
    x = np.random.default_rng(3).integers(0, 255, (4, 6, 6, 1)).astype(np.uint8)
    mix = jm.sample_resizemix(KEY, (4, 6, 6), per="example")
    exact = np.asarray(jm.fit_partner(mix, x.astype(np.float32)))
    assert np.abs(np.asarray(jm.fit_partner(mix, x), np.float32) - exact).max() <= 0.5 + 1e-4
    assert jm.fit_partner(mix, jnp.asarray(x, jnp.bfloat16)).dtype == jnp.bfloat16
    for i in range(4):  # each row by its own box
        alone = jm.Mix(jm.reverse(), mix.mask[i : i + 1], mix.lam)
        np.testing.assert_allclose(
            exact[i], jm.fit_partner(alone, x.astype(np.float32))[i], rtol=1e-5
        )
    none = jm.Mix(jm.reverse(), jnp.ones((1, 6, 6), bool), jnp.ones(4))
    assert np.isfinite(np.asarray(jm.fit_partner(none, x.astype(np.float32)))).all()
    given = jm.fit_partner(mix, x, other=x[::-1])
    np.testing.assert_array_equal(given, jm.fit_partner(mix, x))  # reversed rows are the partners


def test_resizemix_has_its_law():
    n, size = 20_000, 200
    sample = jax.jit(lambda key: jm.sample_resizemix(key, (n, size), per="example").lam)
    side = 1 - np.asarray(sample(KEY), np.float64)
    assert side.min() >= 0.1 - 0.5 / size and side.max() <= 0.8 + 0.5 / size
    assert abs(side.mean() - 0.45) < 5 * (0.7 / np.sqrt(12)) / np.sqrt(n)
    mix = jax.jit(lambda key: jm.sample_resizemix(key, (n, 64, 64), per="example").lam)(KEY)
    expected = (0.8**3 - 0.1**3) / (3 * 0.7)  # E τ²
    assert abs((1 - mix).mean() - expected) < 5 * float(mix.std()) / np.sqrt(n) + 1 / 64**2


def test_pool_given_by_hand():
    mix = mix_of((2, 0), (4, 2), (4, 4))
    h = np.random.default_rng(4).normal(size=(2, 2, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(jm.pool_given(mix, h), h[:, 1, 0], rtol=1e-6)


def test_recipes_sample_blend_and_label():
    x = np.random.default_rng(5).integers(0, 255, (4, 8, 8, 3)).astype(np.uint8)
    y = jnp.arange(4)
    options = dict(num_classes=4, dtype=jnp.float32)
    mixed, labels = jm.mix_batch(KEY, x, y, jm.sample_cutmix, **options)
    expected = jm.cutmix(KEY, x, y, **options)
    chex.assert_trees_all_equal((mixed, labels), expected)
    mixed, labels = jm.resizemix(KEY, x, y, **options)
    mix = jm.sample_resizemix(KEY, (4, 8, 8))
    other = np.asarray(jm.fit_partner(mix, x), np.float32)
    np.testing.assert_allclose(mixed, np.where(mix.mask[..., None], x.astype(np.float32), other))
    expected = jm.blend_labels(mix, y, num_classes=4)
    np.testing.assert_allclose(labels, expected, rtol=1e-6)
    smooth = jm.resizemix(KEY, x, y, smoothing=0.2, **options)[1]
    np.testing.assert_allclose(smooth, 0.8 * np.asarray(expected) + 0.05, rtol=1e-6)


def test_recursivemix_holds_all_that_came_before():
    y = jnp.array([0, 0, 1, 1])
    carry = jnp.full((4, 8, 8, 1), 2.0), jax.nn.one_hot(jnp.full(4, 2), 4)
    step = jax.jit(lambda key, x, y, carry: jm.recursivemix(key, x, y, carry, num_classes=4))
    for i, value in enumerate((0.0, 1.0, 3.0)):
        x = jnp.full((4, 8, 8, 1), value)
        carry = step(jax.random.fold_in(KEY, i), x, jnp.full(4, int(value)), carry)
        # Rows of one value: the label is how much of each value is seen.
        mean = (carry[1] * jnp.arange(4.0)[None, :]).sum(axis=1)
        np.testing.assert_allclose(carry[0].mean((1, 2, 3)), mean, rtol=0.1, atol=0.05)
    assert float(carry[1][0, 2]) > 0 and float(carry[1][0].sum()) == pytest.approx(1)
    assert y.dtype == jnp.int32


def test_recursivemixs_box_is_at_most_the_share():
    x, y = jnp.zeros((64, 16, 16, 1)), jnp.zeros(64)
    previous = jnp.ones((64, 16, 16, 1)), jnp.ones(64)
    options = {"per": "example", "box": "inside"}
    step = jax.jit(lambda share: jm.recursivemix(KEY, x, y, previous, share=share, **options))
    for share in (0.0, 0.2, 1.0):
        mixed, given = step(share)
        largest = round(16 * np.sqrt(share)) ** 2 / 256  # and some of 64 come that far
        assert float(given.max()) == pytest.approx(largest, abs=1e-6)
        np.testing.assert_allclose(mixed.mean((1, 2, 3)), given, atol=1e-6)


def test_stackmix_by_hand():
    x, y = np.arange(24.0).reshape(4, 3, 2).astype(np.float32), jnp.arange(4)
    stacked, labels = jm.stackmix(KEY, x, y, axis=1, num_classes=4)
    p = np.asarray(jm.permutation(jax.random.split(KEY)[1], 4))
    np.testing.assert_array_equal(stacked, np.concatenate([x, x[p]], axis=1))
    half = 0.5 * np.eye(4) + 0.5 * np.eye(4)[p]
    np.testing.assert_allclose(labels, half)
    smooth = jm.stackmix(KEY, x, y, axis=1, num_classes=4, smoothing=0.2)[1]
    np.testing.assert_allclose(smooth, 0.8 * half + 0.05, rtol=1e-6)


def test_randommix_draws_each_of_the_four():
    x, y = jnp.arange(2.0).reshape(2, 1, 1, 1) * jnp.ones((2, 8, 8, 1)), jnp.arange(2)
    mixes = jax.jit(
        lambda key, probs: jm.randommix(key, x, y, probs=probs, num_classes=2), static_argnums=1
    )
    keys = jax.random.split(KEY, 40)
    soft = [bool((mixes(k, (0.25,) * 4)[0][0] % 1 > 0).any()) for k in keys]
    # Of the four only mixup blends, on rows that have one value.
    assert abs(sum(soft) - 10) < 5 * np.sqrt(40 * 0.25 * 0.75)
    assert (mixes(KEY, (1.0, 0.0, 0.0, 0.0))[0][0] % 1 > 0).all()
    box = np.asarray(mixes(KEY, (0.0, 0.0, 0.0, 1.0))[0][0, :, :, 0]) == 1
    rows, columns = box.any(axis=1).sum(), box.any(axis=0).sum()
    assert box.sum() == rows * columns > 0


def test_randommix_draws_alpha_for_each_method_that_has_one():
    """Of 0, which is off, and of 1e4, whose λ is ½: both occur, and nothing else."""
    x, y = jnp.zeros((2, 8, 8, 1)), jnp.arange(2)
    options = {"alphas": (0.0, 1e4), "num_classes": 2}

    @jax.jit
    @jax.vmap
    def own(key):
        only = [tuple(row) for row in np.eye(4).tolist()[:3]]
        draws = [jm.randommix(key, x, y, probs=probs, **options)[1] for probs in only]
        return jnp.stack(draws)[:, 0, 0]

    for method, weights in enumerate(np.asarray(own(jax.random.split(KEY, 32))).T):
        off = weights == 1
        half = np.abs(weights - 0.5) < 0.03
        if method == 1:  # a box of 6 x 6, of which the border cuts some off
            half = (weights >= 1 - 36 / 64) & (weights < 1)
        assert (off | half).all() and 8 < off.sum() < 24, method


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda m, x: jm.fit_partner(m, x, method="cubic"), ValueError, "'linear', 'nearest'"),
        (lambda m, x: jm.fit_partner(jm.sample_mixup(KEY, (2,)), x), TypeError, "sample_resizemix"),
        (lambda m, x: jm.fit_partner(m, x[:, :2]), ValueError, "resize_mix"),
        (lambda m, x: jm.fit_partner(m, x, other=x[:, :2]), ValueError, "other of shape"),
        (
            lambda m, x: jm.sample_resizemix(KEY, (2, 4), scale=(0.5, 0.2)),
            ValueError,
            "low <= high",
        ),
        (lambda m, x: jm.stackmix(KEY, x, jnp.eye(2), axis=0), ValueError, "axes"),
        (lambda m, x: jm.randommix(KEY, x, jnp.eye(2), probs=(0.5, 0.5)), ValueError, "4 samplers"),
    ],
)
def test_errors(call, error, match):
    with pytest.raises(error, match=match):
        call(mix_of((1, 1), (3, 3), (4, 4)), jnp.ones((2, 4, 4, 1)))
