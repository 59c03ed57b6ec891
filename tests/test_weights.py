"""Other weights for a mix, by hand."""

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
    counts = jnp.array([300, 90, 100, 10])
    labels = jnp.array([0, 3, 1, 2, 3, 0])  # pairs 300:10, 10:100... each with its mirror
    for lam in (0.2, 0.5, 0.8):
        n = np.asarray(counts)[np.asarray(labels)]
        expected = []
        for own, other in zip(n, n[::-1], strict=True):
            if own / other >= 3 and lam < 0.5:
                expected.append(0.0)
            elif own / other <= 1 / 3 and 1 - lam < 0.5:
                expected.append(1.0)
            else:
                expected.append(lam)
        found = jm.remix(mixed([lam] * 6), labels, counts)
        np.testing.assert_allclose(found.lam, expected)
        np.testing.assert_array_equal(found.mask, mixed([lam] * 6).mask)  # inputs as ever
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
    with pytest.raises(ValueError, match="one for each class"):
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
