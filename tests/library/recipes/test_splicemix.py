"""SpliceMix: grids of whole pictures."""

import itertools
from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jax_mixup as jm
from experiments.benchmarks.hlo import Program

KEY = jax.random.key(0)


def numbered(batch, *spatial):
    """Pictures that are 1, 2, ... everywhere, and labels that name them."""
    numbers = np.arange(1, batch + 1, dtype=np.float32).reshape(-1, *[1] * len(spatial), 1)
    return jnp.asarray(np.broadcast_to(numbers, (batch, *spatial, 1))), jnp.eye(batch)


def cells(more, grid):
    """Which picture each cell shows, [n, cells]; cells must be of one value."""
    more = np.asarray(more)[..., 0]
    found = []
    for place in itertools.product(*(range(parts) for parts in grid)):
        part = more
        for axis, (i, parts) in enumerate(zip(place, grid, strict=True), start=1):
            side = part.shape[axis] // parts
            part = np.take(part, range(i * side, (i + 1) * side), axis=axis)
        assert (part == part[:, :1, :1]).all() if part.ndim == 3 else True
        found.append(part.reshape(len(part), -1)[:, 0])
    return np.stack(found, axis=1).astype(int)


@pytest.mark.parametrize("grid, size", [((2, 2), (4, 6)), ((1, 2), (3, 4)), ((3, 2), (6, 8))])
def test_cells_and_labels_by_hand(grid, size):
    images, labels = numbered(12, *size)
    more, tags = jax.jit(lambda x, y: jm.splicemix(KEY, x, y, grid=grid))(images, labels)
    assert more.shape == (12 // np.prod(grid), *size, 1)
    shown = cells(more, grid)
    assert sorted(shown.ravel().tolist()) == list(range(1, 13))  # each picture once
    for row, tag in zip(shown, tags, strict=True):
        assert (np.flatnonzero(tag) + 1).tolist() == sorted(row.tolist())


def test_pictures_are_whole_and_smaller():
    x = np.random.default_rng(0).random((4, 8, 6, 3)).astype(np.float32)
    more = np.asarray(jm.splicemix(KEY, x, jnp.eye(4))[0])[0]
    small = x.reshape(4, 4, 2, 3, 2, 3).mean((2, 4))  # halves: the mean of 2 x 2
    order = [
        int(np.argmin([np.abs(more[a : a + 4, b : b + 3] - s).max() for s in small]))
        for a, b in ((0, 0), (0, 3), (4, 0), (4, 3))
    ]
    assert sorted(order) == [0, 1, 2, 3]
    top, bottom = (np.concatenate([small[i] for i in order[j : j + 2]], 1) for j in (0, 2))
    np.testing.assert_allclose(more, np.concatenate([top, bottom]), atol=1e-6)


def test_maps_go_with_pictures_and_integers_round():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)
    ids = rng.integers(0, 5, (4, 6, 6)).astype(np.int32)
    trees = {"p": pixels, "i": ids}
    more = jm.splicemix(KEY, trees, jnp.eye(4), method="nearest")[0]
    assert more["p"].dtype == jnp.uint8 and more["i"].dtype == jnp.int32
    np.testing.assert_array_equal(  # one position of each 2 x 2, the same for both
        more["i"], jm.splicemix(KEY, ids, jnp.eye(4), method="nearest")[0]
    )
    rounded = jm.splicemix(KEY, pixels, jnp.eye(4))[0]
    exact = jm.splicemix(KEY, pixels.astype(np.float32), jnp.eye(4))[0]
    assert rounded.dtype == jnp.uint8
    np.testing.assert_array_equal(rounded, np.round(exact))
    half = jm.splicemix(KEY, pixels.astype(jnp.bfloat16), jnp.eye(4))[0]
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(half, np.float32), exact, rtol=1e-2, atol=0.5)
    smooth = jm.splicemix(
        KEY, pixels.astype(np.float32), jnp.eye(4), grid=(1, 3), method="antialias"
    )
    assert np.isfinite(smooth[0]).all() and smooth[0].shape == (1, 6, 6, 3)


def test_sizes_that_the_grid_does_not_divide():
    images, labels = numbered(6, 7, 5)
    more, tags = jm.splicemix(KEY, images, labels, grid=(2, 3))
    assert more.shape == (1, 7, 5, 1) and (tags == 1).all()
    series = jm.splicemix(KEY, images[:, :, 0], labels, grid=(3,))[0]
    assert series.shape == (2, 7, 1)
    volumes = jnp.tile(images[:, None], (1, 4, 1, 1, 1))
    assert jm.splicemix(KEY, volumes, labels, grid=(2, 1, 3))[0].shape == (1, 4, 7, 5, 1)


def test_dropped_cells_are_black_and_have_no_labels():
    images, labels = numbered(8, 4, 4)
    splice = jax.jit(lambda key, drop: jm.splicemix(key, images, labels, n=4, drop=drop))
    counts = jnp.array([0, 1, 3, 9])  # 9: as many as may be
    more, tags = splice(KEY, counts)
    shown = cells(more, (2, 2))
    assert (shown == 0).sum(axis=1).tolist() == [0, 1, 3, 3]
    for row, tag in zip(shown, tags, strict=True):
        assert set(np.flatnonzero(tag) + 1) == set(row[row > 0].tolist())
    one = jnp.int32(1)
    black = np.concatenate(
        [cells(splice(k, one)[0], (2, 2)) == 0 for k in jax.random.split(KEY, 200)]
    )
    np.testing.assert_allclose(black.mean(axis=0), 0.25, atol=0.06)


def test_each_picture_is_as_likely_in_each_cell():
    images, labels = numbered(6, 2, 2)
    draw = jax.jit(jax.vmap(lambda key: jm.splicemix(key, images, labels, n=2)[0]))
    found = np.asarray(draw(jax.random.split(KEY, 3000)))
    shown = np.concatenate([cells(x, (2, 2)) for x in found.swapaxes(0, 1)])
    for cell in shown.T:
        np.testing.assert_allclose(np.bincount(cell, minlength=7)[1:] / len(cell), 1 / 6, atol=0.02)
    first = np.stack([cells(x, (2, 2)) for x in found[:50]]).reshape(50, 8)
    assert all(len(set(row[:6])) == 6 for row in first.tolist())  # again only after all others


def test_labels_of_other_kinds_and_a_batch_of_one():
    images, _ = numbered(4, 4, 4)
    ids = jnp.array([2, -1, 0, 2])
    tags = jm.splicemix(KEY, images, ids, num_classes=3)[1]
    assert tags.tolist() == [[1, 0, 1]] and tags.dtype == jnp.float32
    soft = jnp.array([[0.2, 0.1], [0.5, 0.0], [0.0, 0.3], [0.1, 0.1]])
    np.testing.assert_allclose(jm.splicemix(KEY, images, soft)[1], [[0.5, 0.3]])
    more, tags = jm.splicemix(KEY, images[:1], jnp.eye(1))
    np.testing.assert_array_equal(more, images[:1])
    assert tags.tolist() == [[1]]


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_groups_stay_on_their_devices(axis_type):
    images, labels = numbered(32, 4, 4)
    step = jax.jit(lambda key, x, y: jm.splicemix(key, x, y, groups=8, drop=1))
    shown = cells(step(KEY, images, labels)[0], (2, 2))
    groups = np.arange(8)[:, None]
    assert (((shown - 1) // 4 == groups) | (shown == 0)).all()
    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        rows = NamedSharding(mesh, PartitionSpec("data"))
        given = jax.device_put((images, labels), rows)
        options = {} if axis_type == AxisType.Explicit else {"out_shardings": (rows, rows)}
        again = jax.jit(lambda key, x, y: jm.splicemix(key, x, y, groups=8, drop=1), **options)
        found = again(KEY, *given)
        if options:
            assert not Program(again.lower(KEY, *given).compile()).collectives()
    jax.tree.map(np.testing.assert_array_equal, found, step(KEY, images, labels))


def test_mistakes():
    images, labels = numbered(8, 4, 4)
    splice = unwrap(jm.splicemix)  # without jaxtyping's checks
    for wrong in ((5, 1), (2, 2, 2, 2), (0, 1)):
        with pytest.raises(ValueError, match="grid="):
            splice(KEY, images, labels, grid=wrong)
    with pytest.raises(ValueError, match="needs a tuple"):
        splice(KEY, images, labels, grid=2)
    with pytest.raises(ValueError, match="n=0"):
        splice(KEY, images, labels, n=0)
    with pytest.raises(ValueError, match="n=3 and groups=2"):
        splice(KEY, images, labels, n=3, groups=2)
    with pytest.raises(ValueError, match="groups=3"):
        splice(KEY, images, labels, groups=3)
    with pytest.raises(ValueError, match=r"drop=4.*from 0 to 3"):
        splice(KEY, images, labels, drop=4)
    with pytest.raises(TypeError, match="drop"):
        splice(KEY, images, labels, drop=0.5)
    with pytest.raises(TypeError, match="as drop"):
        splice(KEY, images, labels, drop=jnp.ones(5, int))
    with pytest.raises(TypeError, match="num_classes"):
        splice(KEY, images, jnp.arange(8))
    with pytest.raises(TypeError, match="cast multi-hot labels"):
        splice(KEY, images, labels > 0)
    with pytest.raises(TypeError, match="8 images"):
        splice(KEY, images, labels[:4])
    with pytest.raises(ValueError, match="same batch"):
        splice(KEY, {"a": images, "b": images[:, :2]}, labels)
    with pytest.raises(ValueError, match="method='cubic'"):
        splice(KEY, images, labels, method="cubic")
    with pytest.raises(ValueError, match="channels came first"):
        splice(KEY, jnp.ones((8, 3, 16, 16)), labels)
    with pytest.raises(ValueError, match="num_classes=7; it needs num_classes for ids alone"):
        splice(KEY, images, labels, num_classes=7)
