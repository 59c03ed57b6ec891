"""ClassMix: half of the classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.by_hand import scenes
from tests.library.statistics import seed, within


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
