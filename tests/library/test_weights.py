"""Other weights for a mix, by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm

KEY = jax.random.key(0)


def mixed(lam):
    lam = jnp.asarray(lam, jnp.float32)
    return jm.Mix(jm.reverse(), lam, lam)


def test_labels_weigh_what_was_taken():
    amount = np.random.default_rng(0).uniform(size=(4, 5, 6)).astype(np.float32)
    mix = jm.sample_cutmix(KEY, (4, 5, 6), per="example")
    mask = np.asarray(mix.mask, np.float32)
    own, other = (mask * amount).sum((1, 2)), ((1 - mask) * amount[::-1]).sum((1, 2))
    np.testing.assert_allclose(jm.reweigh(mix, amount).lam, own / (own + other), rtol=1e-5)
    even = jm.reweigh(mix, jnp.ones((4, 5, 6), bool))
    np.testing.assert_allclose(even.lam, mix.lam, rtol=1e-6)
    empty = jm.reweigh(mix, jnp.zeros((4, 5, 6)))  # nothing to weigh: as it was
    np.testing.assert_array_equal(empty.lam, mix.lam)
    scalar = jm.reweigh(mixed([0.5, 0.5]), jnp.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool))
    np.testing.assert_allclose(scalar.lam, [0.75, 0.25])
    with pytest.raises(ValueError, match="reweigh got an array"):
        jm.reweigh(mix, amount[:, :4])


def test_remix_by_its_three_cases():
    counts = jnp.array([300, 100, 90, 10])
    labels = jnp.array([0, 0, 1, 2, 1, 3])  # pairs 300:10, 300:100 and 100:90, with their mirrors
    cases = []
    for lam, (kappa, tau) in itertools.product(
        (0.2, 0.25, 0.5, 0.75, 0.8), ((3.0, 0.5), (3.0, 0.25), (4.0, 0.5))
    ):
        n = np.asarray(counts)[np.asarray(labels)].tolist()
        expected = []
        for own, other in zip(n, n[::-1], strict=True):
            if own >= kappa * other and lam < tau:
                expected.append(0.0)
            elif other >= kappa * own and 1 - lam < tau:
                expected.append(1.0)
            else:
                expected.append(lam)
        found = jm.remix(mixed([lam] * 6), labels, counts, kappa=kappa, tau=tau)
        np.testing.assert_allclose(found.lam, expected, rtol=1e-6)
        np.testing.assert_array_equal(found.mask, mixed([lam] * 6).mask)  # inputs as ever
        cases += [value if value in (0, 1) else "as it was" for value in expected]
    assert set(cases) == {0, 1, "as it was"}
    assert (jm.remix(mixed([1.0] * 6), labels, counts).lam == 1).all()  # off stays off


def test_mamix_bends_about_the_point_where_labels_are_even():
    counts, labels = jnp.array([16, 81]), jnp.array([0, 1])
    gamma = np.array([1 / 2, 1 / 3])
    even = gamma[::-1] / gamma.sum()  # 0.4 of the rare one is half of its label
    for lam in (0.0, 0.1, 0.4, 0.6, 1.0):
        low, high = lam / (2 * even), 1 - (1 - lam) / (2 * (1 - even))
        found = jm.mamix(mixed([lam, lam]), labels, counts).lam
        np.testing.assert_allclose(found, np.where(lam < even, low, high), rtol=1e-5)
    np.testing.assert_allclose(jm.mamix(mixed([0.4, 0.6]), labels, counts).lam, 0.5, rtol=1e-5)
    same = jm.mamix(mixed([0.3, 0.3]), jnp.array([1, 1]), counts)
    np.testing.assert_allclose(same.lam, 0.3, rtol=1e-6)
    np.testing.assert_allclose(
        jm.mamix(mixed([0.3, 0.3]), labels, counts, omega=0.0).lam, 0.3, rtol=1e-6
    )


@pytest.mark.parametrize("rule", [jm.remix, jm.mamix])
def test_label_weights_by_counts_take_ids_only(rule):
    counts = jnp.array([1, 1000])
    ignored = rule(mixed([0.3, 0.3]), jnp.array([-1, 1]), counts)
    np.testing.assert_allclose(ignored.lam, 0.3)  # no class, no count
    unseen = rule(mixed([0.3, 0.3]), jnp.array([0, 1]), jnp.array([0, 5]))
    assert jnp.isfinite(unseen.lam).all()
    with pytest.raises(TypeError, match="integer class ids"):
        rule(mixed([0.3, 0.3]), jnp.eye(2), counts)
    with pytest.raises(ValueError, match="one count for each class"):
        rule(mixed([0.3, 0.3]), jnp.array([0, 1]), jnp.ones((2, 2)))


def test_balance_is_between_class_learning():
    rng = np.random.default_rng(1)
    level, r = rng.uniform(0.1, 9, 6).astype(np.float32), rng.uniform(size=6).astype(np.float32)
    mix = jm.Mix(jm.reverse(), jnp.asarray(r), jnp.asarray(r))
    p = 1 / (1 + level / level[::-1] * (1 - r) / r)  # as the paper writes it
    np.testing.assert_allclose(jm.balance(mix, level).mask, p, rtol=1e-5)
    np.testing.assert_array_equal(jm.balance(mix, level).lam, r)
    silent = jm.balance(mixed([0.3, 0.3]), jnp.array([0.0, 2.0]))
    np.testing.assert_allclose(silent.mask, 0.3)
    with pytest.raises(ValueError, match="mask without positions"):
        jm.balance(jm.sample_cutmix(KEY, (2, 8)), jnp.ones(2))


def test_energy_comes_back():
    noise = jax.random.normal(KEY, (5, 20_000))
    for mix in (mixed([0.2] * 5), jm.sample_cutmix(KEY, (5, 20_000))):
        out = jm.restore_energy(mix, jm.blend(mix, noise))
        np.testing.assert_allclose(out.std(axis=1), 1, atol=0.02)
        np.testing.assert_allclose(out[2], noise[2], rtol=1e-6)  # its own partner: nothing lost
    half = jm.restore_energy(mixed([0.5] * 5), noise.astype(jnp.bfloat16))
    assert half.dtype == jnp.bfloat16
    with pytest.raises(TypeError, match="needs floats"):
        jm.restore_energy(mixed([0.5] * 5), jnp.ones((5, 2), int))


def lengths(*n, size):
    return jnp.arange(size)[None, :] < jnp.array(n)[:, None]


@pytest.mark.parametrize("sample", [jm.sample_mixup, jm.sample_cutmix, jm.sample_fademix])
def test_only_what_both_rows_have_is_mixed(sample):
    valid = jax.random.bernoulli(KEY, 0.7, (5, 6, 7)).at[0].set(False)  # row 0 is empty
    mix = sample(KEY, (5, 6, 7), per="example", lam_law=jm.constant(0.3))
    found = jax.jit(jm.keep_overlap)(mix, valid)
    mask = np.asarray(mix.mask)
    mask = np.broadcast_to(mask.reshape(mask.shape + (1,) * (3 - mask.ndim)), (5, 6, 7))
    assert found.mask.dtype == mix.mask.dtype
    valid = np.asarray(valid)
    for i in range(5):
        both = valid[i] & valid[4 - i]
        np.testing.assert_array_equal(found.mask[i], np.where(both, mask[i], True))
        kept = float(valid[i].sum()) - (1 - mask[i].astype(np.float64))[both].sum()
        share = kept / valid[i].sum() if valid[i].any() else 1.0
        np.testing.assert_allclose(found.lam[i], share, rtol=1e-6)
        if mask.dtype == bool:
            assert found.lam[i] == np.float32(share)
    assert found.lam[0] == found.lam[4] == 1  # nothing in common


def test_sizes_that_differ_as_in_timm():
    # (A - O) / A + λ O / A: 4 positions and 6, of which 4 are common.
    mix = jm.keep_overlap(mixed([0.25, 0.25]), lengths(4, 6, size=8))
    np.testing.assert_allclose(mix.lam, [0.25, 2 / 6 + 0.25 * 4 / 6], rtol=1e-6)
    x = jnp.array([[1.0] * 4 + [0.0] * 4, [5.0] * 6 + [0.0] * 2])
    np.testing.assert_allclose(jm.blend(mix, x)[0], [4.0] * 4 + [0.0] * 4)
    np.testing.assert_allclose(jm.blend(mix, x)[1], [2.0] * 4 + [5.0] * 2 + [0.0] * 2)
    apart = jm.keep_overlap(mixed([0.25, 0.25]), jnp.array([[1, 1, 0], [0, 0, 1]], bool))
    assert (apart.lam == 1).all() and (apart.mask == 1).all()
    with pytest.raises(TypeError, match="needs bool"):
        jm.keep_overlap(mix, jnp.ones((2, 8)))
    with pytest.raises(ValueError, match="keep_overlap got an array"):
        jm.keep_overlap(jm.sample_cutmix(KEY, (2, 8)), lengths(4, 6, size=9))


def test_far_pairs_stay_apart():
    x = np.random.default_rng(3).normal(size=(7, 2, 3)).astype(np.float32)
    partner = jnp.array([1, 2, 2, 0, 6, 4, 5])  # neither mutual nor one to one
    mix = jm.sample_cutmix(KEY, (7, 4), lam_law=jm.constant(0.5), box="inside", pairing=partner)
    near = jax.jit(lambda radius: jm.keep_local(mix, x, radius=radius))  # traced
    distance = np.sqrt([((x[i] - x[p]) ** 2).sum() for i, p in enumerate(partner)])
    radius = np.float32(np.median(distance) + 1e-3)
    found = near(radius)
    assert 0 < (distance > radius).sum() < 6
    for i in range(7):
        stays = distance[i] > radius
        assert found.lam[i] == (1 if stays else 0.5)
        np.testing.assert_array_equal(found.mask[i], np.asarray(mix.mask)[0] | stays)
    assert (near(np.inf).lam == 0.5).all()
    assert (near(-1.0).lam == 1).all() and near(0.0).lam[2] == 0.5  # its own partner is at 0
    close = jnp.array([1e4, 1e4 + 1, 2e4])  # no cancellation far from zero
    assert jm.keep_local(mixed([0.5] * 3), close[:, None], radius=2.0).lam.tolist() == [1, 0.5, 1]
    with pytest.raises(ValueError, match=r"radius=-1\.0"):
        jm.keep_local(mix, x, radius=-1.0)


def weighed(mix, ids, x):
    """Each other weight for the same mix."""
    counts = jnp.array([9, 1, 30])
    level, valid = jnp.abs(x).mean(axis=1), x > -0.5
    return (
        jm.remix(mix, ids, counts),
        jm.mamix(mix, ids, counts),
        jm.balance(mix, level),
        jm.reweigh(mix, valid),
        jm.keep_overlap(mix, valid),
        jm.keep_local(mix, x, radius=2.0),
    )


@pytest.mark.parametrize("n", [1, 5])
def test_rows_in_another_order_have_their_weights_in_that_order(n):
    traces = []

    @jax.jit
    def run(partner, lam, ids, x):
        traces.append(n)
        return weighed(jm.Mix(partner, lam, lam), ids, x)

    rng = np.random.default_rng(n)
    lam, ids = rng.uniform(size=n).astype(np.float32), rng.integers(0, 3, n)
    x, partner = rng.normal(size=(n, 4)).astype(np.float32), rng.integers(0, n, n)
    expected = run(partner, lam, ids, x)
    order = rng.permutation(n)
    place = np.argsort(order)  # where each row is now
    permuted = run(place[partner[order]], lam[order], ids[order], x[order])
    for mix, other in zip(expected, permuted, strict=True):
        assert jnp.isfinite(mix.lam).all() and ((mix.lam >= 0) & (mix.lam <= 1)).all()
        np.testing.assert_allclose(other.lam, mix.lam[order], rtol=1e-5)
        np.testing.assert_allclose(other.mask, mix.mask[order], rtol=1e-5)
        if n == 1:
            np.testing.assert_array_equal(jm.blend(mix, x), x)
            np.testing.assert_array_equal(jm.blend_labels(mix, x), x)
    assert traces == [n]
    if n == 5:
        eager = weighed(jm.Mix(jnp.asarray(partner), jnp.asarray(lam), jnp.asarray(lam)), ids, x)
        for mix, other in zip(expected, eager, strict=True):
            np.testing.assert_allclose(other.lam, mix.lam, rtol=1e-5)


def test_a_teachers_map_of_each_row():
    # TokenMix: each map is of sum 1, of which the row keeps what it shows.
    content = np.random.default_rng(4).uniform(size=(3, 4, 5)).astype(np.float32)
    content /= content.sum(axis=(1, 2), keepdims=True)
    mix = jm.sample_cutmix(KEY, (3, 4, 5), per="example", lam_law=jm.constant(0.4))
    for i, lam in enumerate(jm.reweigh(mix, content).lam):
        mask = np.asarray(mix.mask)[i]
        own, other = content[i][mask].sum(), content[2 - i][~mask].sum()
        np.testing.assert_allclose(lam, own / (own + other), rtol=1e-5)
