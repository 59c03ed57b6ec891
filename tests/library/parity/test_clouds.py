"""Point clouds, against Pointcept, MMDetection3D and authors; make_clouds.py made the numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup.samplers import pointcutmix
from tests.library.parity.cases import KEY, Case, f32, i32, run, same


def cloud_of(case):
    size = case.points.shape[1]
    valid = np.arange(size) < case.lengths[:, None]
    number = i32(1000 * np.arange(4)[:, None] + np.arange(size))
    return {"points": f32(case.points), "valid": jnp.asarray(valid), "number": number}


def test_lasermix(draw):
    """One call against both: MMDetection3D's transform, and both scans of the authors' pairs."""
    case = Case("lasermix")
    cloud = cloud_of(case)

    def ours(which):
        draw(jnp.ones(4), jnp.broadcast_to((which + 0.5) / 3, (4,)))
        areas = tuple(case.areas.tolist())
        mix, source = jm.sample_lasermix(KEY, cloud["points"], cloud["valid"], areas=areas)
        return mix.lam, jm.select(mix, cloud, other=jm.place_partner(mix, cloud, source))

    lam, mixed = run(jax.vmap(ours), np.arange(3))
    for k, i in np.ndindex(3, 4):
        theirs = case.out[k, i][case.out[k, i] >= 0]
        number = mixed["number"][k, i][mixed["valid"][k, i]]
        np.testing.assert_array_equal(np.sort(number), np.sort(theirs))
        np.testing.assert_allclose(lam[k, i], (theirs // 1000 == i).mean(), rtol=1e-6)
        points = mixed["points"][k, i][mixed["valid"][k, i]]
        np.testing.assert_array_equal(points, case.points[number // 1000, number % 1000])


@pytest.mark.parametrize("name", ["mmdet", "author"])
def test_polarmix(draw, name):
    """Theirs has points of objects in the sector twice at the same place, ours once."""
    case = Case("polarmix")
    cloud, twice = cloud_of(case), 0

    def ours(u):
        draw(jnp.ones(4), u.T)
        objects = jnp.asarray(case.objects)
        points, valid = cloud["points"], cloud["valid"]
        mix, source, angle = jm.sample_polarmix(KEY, points, valid, instances=objects)
        other = jm.place_partner(mix, cloud, source)
        other["points"] = jm.rotate_points(other["points"], angle)
        return jm.select(mix, cloud, other=other)

    mixed = run(jax.vmap(ours), case.u)
    for k, i in np.ndindex(3, 4):
        real = case[f"{name}_out"][k, i] >= 0
        theirs, at = case[f"{name}_out"][k, i][real], case[f"{name}_points"][k, i][real]
        on = mixed["valid"][k, i]
        number, points = mixed["number"][k, i][on], mixed["points"][k, i][on]
        near = np.abs(points[:, None] - at[None]).max(-1) < 1e-3
        near &= number[:, None] == theirs[None]
        assert near.any(0).all() and near.any(1).all()
        assert (near.sum(0) == 1).all()  # each of theirs is one of ours
        twice += len(theirs) - len(number)
    assert twice > 0


@pytest.mark.parametrize("kind, region", [("k", "nearest"), ("r", "random")])
def test_pointcutmix(draw, monkeypatch, kind, region):
    """With their draws and their assignment; λ is the other example's there."""
    case = Case("pointcutmix")
    index, match, k, chosen, out = (
        case[f"{kind}_{name}"] for name in ("index", "ind", "k", "chosen", "out")
    )
    if kind == "k":
        u = (chosen[:, None] + 0.5) / 64
    else:
        u = np.empty((3, 64))
        np.put_along_axis(u, chosen, np.broadcast_to(1 - np.arange(64) / 64, (3, 64)), axis=1)
        u = u[:, :, None]
    u = np.broadcast_to(u, (*u.shape[:2], 4))
    points, valid = f32(case.points), jnp.ones((4, 64), bool)

    def ours(index, match, k, u):
        monkeypatch.setattr(pointcutmix, "assign", lambda cost: match.astype(jnp.int32))
        draw(jnp.broadcast_to(1 - k / 64, (4,)), u)
        mix, source = jm.sample_pointcutmix(
            KEY, points, valid, region=region, pairing=index.astype(jnp.int32)
        )
        return mix.lam, jm.select(mix, points, other=jm.place_partner(mix, points, source))

    lam, mixed = run(jax.vmap(ours), index, match, k, u)
    np.testing.assert_array_equal(mixed, out)
    same(1 - lam, np.broadcast_to(case[f"{kind}_lam"][:, None], (3, 4)))
    # And our own assignment is nearly as cheap as the exact one that they were given.
    far = np.linalg.norm(case.points[:, :, None] - case.points[index[0]][:, None], axis=-1)
    cost = lambda column: np.take_along_axis(far, column[..., None], axis=2).sum()
    assert cost(np.asarray(jm.assign(far))) <= 1.04 * cost(match[0])


def test_pointmixup():
    """The lines of HOWTO, with the assignment that theirs was given."""
    case = Case("pointmixup")

    def ours(points, match, lam):
        mix = jm.sample_mixup(
            KEY, (4,), lam_law=lambda *_: lam, per="example", pairing=i32(case.index)
        )
        matched = jm.place_partner(mix, points, match.astype(jnp.int32))
        return jm.blend(mix, points, other=matched)

    same(run(ours, case.points, case.ind, 1 - case.rates), case.out)


def test_mix3d():
    """The union of HOWTO; Pointcept's gives two objects one id, as it adds the largest id."""
    case = Case("mix3d")
    mix = jm.sample_mixup(KEY, (4,), pairing=jm.neighbours())
    cloud = cloud_of(case)
    joined = lambda x: np.concatenate([x, jm.take_partner(mix, x)], axis=1)[::2]
    union = {name: joined(x) for name, x in cloud.items()}
    on = union["valid"]
    np.testing.assert_array_equal(union["number"][on], case.segment)
    np.testing.assert_array_equal(union["points"][on], case.coord)
    np.testing.assert_array_equal(np.cumsum(on.sum(1)), case.offset)
    ids = np.where(np.arange(4)[:, None] % 2 == 1, 3, 0) * (case.instances >= 0) + case.instances
    ours, theirs = joined(i32(ids))[on], case.instance
    np.testing.assert_array_equal(ours < 0, theirs < 0)
    second = np.cumsum(on.sum(1))[0] <= np.arange(len(ours))
    for scene in (~second, second):
        assert len(set(theirs[scene])) == len(set(ours[scene])) - 1
