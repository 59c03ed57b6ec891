"""jit on many devices with Explicit mesh axes: data-parallel and FSDP, with a mix that stays local.

- `pairing=jm.pairing_for(batch, shards=devices)` keeps partners on their devices. The mix then adds
  no collective: `main` reads this from the compiled program, and shows what `reverse()` over the
  whole batch would add.
- One key for the whole batch: under jit, all devices see one program, so nothing is folded in.
- FSDP needs nothing of the mix. Parameters and the optimizer's moments are cut over the devices,
  and `reshard` gathers the parameters in the loss; its gradient comes back cut.
- `XLA_FLAGS=--xla_force_host_platform_device_count=8` makes eight devices on a CPU.
"""

import re
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.sharding import AxisType, PartitionSpec

import jax_mixup as jm
from experiments.examples.data import CLASSES, batches, pictures

COLLECTIVE = re.compile(r" (all-\w+|collective-\w+|reduce-scatter)(?:-start)?\(")
EVERYWHERE, ROWS = PartitionSpec(), PartitionSpec("data")
OPTIMIZER = optax.adam(5e-3)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(16, (3, 3), strides=2)(x))
        x = nn.relu(nn.Conv(32, (3, 3), strides=2)(x))
        return nn.Dense(CLASSES)(x.max(axis=(1, 2)))


def mixed(pairing, key, images, labels):
    mix = jm.sample_mixup_or_cutmix(key, images.shape[:-1], pairing=pairing)  # mixing
    inputs = (jm.blend(mix, images, dtype=jnp.float32) - 110) / 60  # mixing
    return inputs, jm.blend_labels(mix, labels, num_classes=CLASSES)  # mixing


def loss_fn(params, inputs, soft):
    logits = Net().apply(jax.sharding.reshard(params, EVERYWHERE), inputs)
    return optax.softmax_cross_entropy(logits, soft).mean(), logits


@jax.jit
def train_step(params, moments, key, images, labels):
    pairing = jm.pairing_for(len(labels), shards=jax.device_count())  # mixing
    inputs, soft = mixed(pairing, key, images, labels)  # mixing
    (loss, _), grads = jax.value_and_grad(loss_fn, has_aux=True)(params, inputs, soft)
    updates, moments = OPTIMIZER.update(grads, moments, params)
    return optax.apply_updates(params, updates), moments, loss


@jax.jit
def evaluate(params, images, labels):
    soft = jax.nn.one_hot(labels, CLASSES)
    loss, logits = loss_fn(params, (images.astype(jnp.float32) - 110) / 60, soft)
    return loss, (logits.argmax(axis=-1) == labels).mean()


def cut(array):
    """For FSDP: along the largest dimension that the number of devices divides, if there is one."""
    able = [d for d, n in enumerate(array.shape) if n % jax.device_count() == 0]
    spec = [None] * array.ndim
    if able:
        spec[max(able, key=lambda d: array.shape[d])] = "data"
    return jax.device_put(array, PartitionSpec(*spec))


def collectives(pairing, images, labels):
    program = jax.jit(partial(mixed, pairing)).lower(jax.random.key(0), images, labels).compile()
    return COLLECTIVE.findall(program.as_text())


def train(params, test):
    moments, key = OPTIMIZER.init(params), jax.random.key(1)
    for step, *batch in batches(seed=2, steps=60):
        step_key = jax.random.fold_in(key, step)  # mixing
        params, moments, loss = train_step(params, moments, step_key, *jax.device_put(batch, ROWS))
        if step % 20 == 0:
            print(f"  step {step:2}: mixed loss {loss:.2f}")
    return evaluate(params, *test)


def main():
    devices = jax.device_count()
    mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        test = jax.device_put(pictures(seed=1, count=512), ROWS)
        params = Net().init(jax.random.key(0), jnp.ones((1, *test[0].shape[1:])))
        before, _ = evaluate(params, *test)
        results = {}
        for name, start in ("data-parallel", params), ("FSDP", jax.tree.map(cut, params)):
            print(f"{name}, kernels of {jax.typeof(start['params']['Conv_1']['kernel'])}")
            results[name] = after, accuracy = train(start, test)
            print(f"  clean loss {before:.2f} to {after:.2f}, clean accuracy {accuracy:.2f}")
        local = collectives(jm.pairing_for(len(test[1]), shards=devices), *test)
        whole = collectives(jm.reverse(), *test)
    print(f"devices: {devices}; collectives of the mix: {local}, by reverse(): {whole}")
    difference = abs(results["FSDP"][0] - results["data-parallel"][0])
    found = {"before": before, "after": after, "accuracy": accuracy, "difference": difference}
    return found | {"devices": devices, "local": len(local), "whole": len(whole)}


if __name__ == "__main__":
    main()
