"""CLIP and SigLIP: the negatives are the global batch, so that eight devices learn as one does."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jax_mixup as jm
from experiments.examples import clip, siglip

KEY = jax.random.key(0)
MODELS = {clip: clip.Clip, siglip: siglip.SigLip}
LOSSES = {clip: clip.clip_loss, siglip: siglip.siglip_loss}


def made(module):
    """The model; SigLIP's without its bias, under which negatives do not count at first."""
    model = MODELS[module](rngs=nnx.Rngs(0))
    if module is siglip:
        model.bias = nnx.Param(jnp.float32(0))
    return model


def trained(module, devices, steps=3):
    """Losses and parameters after some steps on this many devices, with partners as on eight."""
    rng = np.random.default_rng(0)
    mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,))
    rows, everywhere = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("data",), ()))
    model = made(module)
    optimizer = nnx.Optimizer(model, optax.sgd(0.5), wrt=nnx.Param)
    for part in (model, optimizer):
        nnx.update(part, jax.device_put(nnx.state(part), everywhere))
    losses = []
    for step in range(steps):
        batch = jax.device_put(module.captioned(rng, 32), rows)
        key = jax.random.fold_in(KEY, step)
        losses.append(float(module.train_step(model, optimizer, key, *batch, shards=8)))
    return losses, jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(model, nnx.Param)))


@pytest.mark.parametrize("module", MODELS, ids=lambda module: module.__name__.split(".")[-1])
def test_eight_devices_learn_as_one(module):
    one, eight = (trained(module, devices) for devices in (1, 8))
    np.testing.assert_allclose(eight[0], one[0], rtol=1e-5)
    assert len(set(one[0])) == 3
    same = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    jax.tree.map(same, eight[1], one[1])


@pytest.mark.parametrize("module", MODELS, ids=lambda module: module.__name__.split(".")[-1])
def test_negatives_of_one_device_are_another_loss(module):
    """So that the test above could fail: eight losses of 4 x 4 logits are not that of 32 x 32."""
    model = made(module)
    images, texts = module.captioned(np.random.default_rng(0), 32)
    mix = jm.sample_mixup(KEY, (32,), per="example", pairing=jm.pairing_for(32, shards=8))
    logits = model(module.normalise(jm.blend(mix, images, dtype=jnp.float32)), texts)
    whole = LOSSES[module](mix, logits)
    local = []
    for i in range(0, 32, 4):
        pairing = jm.partner_index(mix.partner, 32)[i : i + 4] - i
        part = jm.Mix(pairing, mix.mask[i : i + 4], mix.lam[i : i + 4])
        local.append(LOSSES[module](part, logits[i : i + 4, i : i + 4]))
    assert abs(np.mean(local) - whole) > 0.1 * whole
