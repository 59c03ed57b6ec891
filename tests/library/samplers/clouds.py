"""What the tests of the samplers for point clouds share: scans, and the union by hand."""

import numpy as np

import jax_mixup as jm

PARTNER = np.array([2, 0, 1, 3, 5, 4], np.int32)  # 3 meets itself
LENGTHS = np.array([20, 24, 9, 15, 0, 12])


def scans(size=40, lengths=LENGTHS, seed=0):
    """Points all round and at all inclinations, padded with what would do harm if it counted."""
    rng = np.random.default_rng(seed)
    around, reach = rng.uniform(-np.pi, np.pi, (2, len(lengths), size))
    reach, pitch = 20 + 5 * reach, np.radians(rng.uniform(-32, 12, reach.shape))
    points = [reach * np.cos(around), reach * np.sin(around), reach * np.tan(pitch)]
    points = np.stack(points, axis=-1).astype(np.float32)
    valid = np.arange(size) < np.asarray(lengths)[:, None]
    points[~valid] = np.nan
    return points, valid


def numbers(valid):
    """By which points are known again."""
    return np.arange(valid.size).reshape(valid.shape).astype(np.int32)


def mixed(mix, source, points, valid):
    """(numbers, points) of what is valid in each mixed cloud."""
    cloud = {"number": numbers(valid), "points": points, "valid": valid}
    cloud = jm.select(mix, cloud, other=jm.place_partner(mix, cloud, source))
    cloud = {name: np.asarray(x) for name, x in cloud.items()}
    assert np.isfinite(cloud["points"][cloud["valid"]]).all()
    return [(cloud["number"][i][on], cloud["points"][i][on]) for i, on in enumerate(cloud["valid"])]


def share(valid, found):
    """The fraction of each mixed cloud that is the example's own; 1 of an empty one."""
    size = valid.shape[1]
    own = [(n // size == i).sum() for i, (n, _) in enumerate(found)]
    return [k / len(n) if len(n) else 1.0 for k, (n, _) in zip(own, found, strict=True)]
