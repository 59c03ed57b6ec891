"""What all samplers for point clouds promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import jax_mixup as jm
from experiments.benchmarks.hlo import Program
from tests.library.samplers.clouds import mixed, scans
from tests.library.statistics import seed

SAMPLERS = [jm.sample_lasermix, jm.sample_polarmix, jm.sample_pointcutmix]
each = pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.__name__)


@each
def test_within_shards_no_device_asks_another(sampler):
    rows = NamedSharding(jax.make_mesh((8,), ("data",)), PartitionSpec("data"))
    points = jax.ShapeDtypeStruct((16, 64, 3), jnp.float32, sharding=rows)
    valid = jax.ShapeDtypeStruct((16, 64), bool, sharding=rows)

    def step(points, valid):
        mix, source, *_ = sampler(seed(1), points, valid, pairing=jm.reverse(groups=8))
        cloud = points, valid
        return jm.select(mix, cloud, other=jm.place_partner(mix, cloud, source)), mix.lam

    assert not Program(jax.jit(step).lower(points, valid).compile()).collectives()


@each
def test_a_batch_of_one_and_an_empty_cloud_stay(sampler):
    points, valid = scans(lengths=[12])
    mix, source, *_ = sampler(seed(2), points, valid)
    ((numbers, _),) = mixed(mix, source, points, valid)
    assert sorted(numbers) == list(range(12)) and 0 <= mix.lam[0] <= 1
    mix, source, *_ = sampler(seed(2), points, np.zeros_like(valid))
    assert mix.lam.tolist() == [1.0] and (source == -1).all()
