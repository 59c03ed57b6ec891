"""Other label weights for a mix, by hand."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.by_hand import mixed

KEY = jax.random.key(0)


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


@pytest.mark.parametrize(
    "pairing", [jm.reverse(), jm.reverse(2), jm.roll(2), jm.roll(-1, 2), jm.neighbours()], ids=str
)
def test_the_inverse_is_the_columns_of_all_weights(pairing):
    """Who shows the label of j, and how much of it: both ways of a contrastive loss."""
    lam = jnp.array([0.0, 0.3, 1.0, 0.8, 0.5, 0.1, 0.25, 0.7])
    mix = jm.Mix(pairing, lam, lam)
    weights = np.asarray(jm.blend_labels(mix, jnp.arange(8), num_classes=8)).T
    total = weights.sum(axis=1, keepdims=True)
    expected = np.where(total > 0, weights / np.maximum(total, 1e-9), np.eye(8))
    back = jm.inverse(mix)
    assert isinstance(back.partner, jm.StaticPairing)
    np.testing.assert_allclose(
        jm.blend_labels(back, jnp.arange(8), num_classes=8), expected, atol=1e-6
    )
    shared = dataclasses.replace(mix, lam=jnp.full(8, 0.3))
    np.testing.assert_allclose(jm.inverse(shared).lam, 0.3, rtol=1e-6)


def test_an_index_array_has_no_inverse():
    with pytest.raises(ValueError, match=r"index array.*; it needs .* the matrix of weights"):
        jm.inverse(jm.Mix(jnp.array([1, 1, 0]), jnp.ones(1), jnp.ones(3)))


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


def test_a_teachers_map_of_each_row():
    # TokenMix: each map is of sum 1, of which the row keeps what it shows.
    content = np.random.default_rng(4).uniform(size=(3, 4, 5)).astype(np.float32)
    content /= content.sum(axis=(1, 2), keepdims=True)
    mix = jm.sample_cutmix(KEY, (3, 4, 5), per="example", lam_law=jm.constant(0.4))
    for i, lam in enumerate(jm.reweigh(mix, content).lam):
        mask = np.asarray(mix.mask)[i]
        own, other = content[i][mask].sum(), content[2 - i][~mask].sum()
        np.testing.assert_allclose(lam, own / (own + other), rtol=1e-5)
