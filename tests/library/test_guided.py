"""Masks that follow data: classes, spans."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import jax_mixup as jm
from tests.library.test_distributions import seed, within


def scenes(n=6, ignore=255):
    ids = np.random.default_rng(0).integers(0, 5, (n, 6, 7))
    ids[:, 2] = ignore
    ids[1] = 3  # one class
    ids[2] = ignore  # none
    return jnp.asarray(ids)


@pytest.mark.parametrize("ignore", [255, 5, -1])  # 5 is K, the first that is no class
def test_half_of_the_classes_are_kept_and_never_the_ignored(ignore):
    ids = scenes(ignore=ignore)
    for key in jax.random.split(seed(1), 5):
        mix = jm.sample_classmix(key, ids, num_classes=5)
        mask = np.asarray(mix.mask)
        for row, kept, lam in zip(np.asarray(ids), mask, mix.lam, strict=True):
            classes = set(np.unique(row)) - {ignore}
            chosen = set(np.unique(row[kept]))
            assert chosen <= classes and len(chosen) == len(classes) // 2
            assert kept[np.isin(row, list(chosen))].all()  # whole classes
            assert lam == np.float32(kept.sum()) / np.float32(42)
        mixed = jm.select(mix, ids)
        np.testing.assert_array_equal(mixed, np.where(mask, ids, ids[::-1]))


def test_each_half_is_as_likely():
    ids = jnp.broadcast_to(jnp.arange(4)[None], (3000, 4))
    mask = np.asarray(jm.sample_classmix(seed(2), ids, num_classes=4).mask)
    assert (mask.sum(axis=1) == 2).all()
    for column in mask.T:
        within(column, 1 / 2)
    within(mask[:, 0] & mask[:, 1], 1 / 6)  # one of six pairs


def test_bad_class_maps():
    with pytest.raises(TypeError, match="call argmax first"):
        jm.sample_classmix(seed(1), jnp.ones((2, 3)), num_classes=3)
    with pytest.raises(ValueError, match="spatial axis"):
        jm.sample_classmix(seed(1), jnp.ones(2, int), num_classes=3)


def spans(n=400, size=9, **options):
    lengths = jnp.asarray(np.random.default_rng(1).integers(0, size + 1, n))
    # Lengths as an argument: XLA rounds a division by a constant otherwise.
    draw = jax.jit(lambda key, lengths: jm.sample_span(key, lengths, size, **options))
    mix, source = draw(seed(3), lengths)
    return np.asarray(lengths), mix, np.asarray(source)


def test_a_span_comes_from_within_and_goes_within():
    lengths, mix, source = spans()
    partner, mask = lengths[::-1], np.asarray(mix.mask)
    for n, other, kept, place, lam in zip(lengths, partner, mask, source, mix.lam, strict=True):
        cut = np.flatnonzero(~kept)
        assert cut.size <= min(n, other)
        assert lam == (np.float32(n - cut.size) / np.float32(n) if n else 1)
        np.testing.assert_array_equal(np.diff(cut), 1)  # one piece
        np.testing.assert_array_equal(np.diff(place[cut]), 1)
        assert (cut < n).all() and (place[cut] >= 0).all() and (place[cut] < other).all()
        np.testing.assert_array_equal(place[kept], np.flatnonzero(kept))
    assert len({tuple(p[~k][:1]) for p, k in zip(source, mask, strict=True)}) > 5
    off = spans(alpha=0.0)[1]
    assert off.mask.all() and (off.lam == 1).all()


def test_saliency_loses_the_least_and_gains_the_most():
    worth = jnp.array([[3.0, 0, 1, 9, 0, 0], [1.0, 8, 7, 2, 5, 9]])
    lengths = jnp.array([4, 5])  # what comes after does not count, salient as it is
    mix, source = jm.sample_span(seed(1), lengths, 6, lam_law=jm.constant(0.5), saliency=worth)
    assert mix.mask.tolist()[0] == [True, False, False, True, True, True]  # 0 + 1
    assert source[0, 1:3].tolist() == [1, 2]  # 8 + 7
    assert mix.mask.tolist()[1] == [True, True, True, False, False, True]  # 2 + 5
    assert source[1, 3:5].tolist() == [2, 3]  # 1 + 9
    with pytest.raises(ValueError, match="saliency of shape"):
        jm.sample_span(seed(1), lengths, 6, saliency=worth[:, :5])
    with pytest.raises(TypeError, match="lengths of shape"):
        jm.sample_span(seed(1), jnp.ones((2, 2), int), 6)


def test_guided_mixes_are_the_same_however_they_run():
    ids, lengths = scenes(8), jnp.arange(8)

    def draw(key, ids, lengths):
        return (
            jm.sample_classmix(key, ids, num_classes=5),
            jm.sample_span(key, lengths, 7),
        )

    expected = draw(seed(5), ids, lengths)
    mapped = jax.vmap(draw, (0, None, None))(seed(5)[None], ids, lengths)
    mesh = jax.make_mesh((8,), ("data",))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    results = [
        jax.jit(draw)(seed(5), ids, lengths),
        jax.tree.map(lambda a: a[0], mapped),
        jax.jit(draw)(seed(5), *jax.device_put((ids, lengths), rows)),
    ]
    for result in results:
        for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
    one = jm.sample_classmix(seed(1), ids[:1], num_classes=5)
    np.testing.assert_array_equal(jm.select(one, ids[:1]), ids[:1])
