"""jit on many devices with Explicit mesh axes: data-parallel and FSDP, with a mix that stays local.

- `pairing=jm.pairing_for(batch, shards=devices)` keeps partners on their devices. The mix then adds
  no collective: `main` reads this from the compiled program, and shows what `reverse()` over the
  whole batch would add.
- One key for the whole batch: under jit, all devices run one program, so that no number of a device
  is folded into it, and the draws do not depend on how many devices there are.
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
from flax.training.train_state import TrainState
from jax.sharding import AxisType, PartitionSpec

import jax_mixup as jm
from experiments.examples.data import CLASSES, batches, pictures

COLLECTIVE = re.compile(r" ((?:all|collective)-[\w-]+|reduce-scatter)\(")
EVERYWHERE, ROWS = PartitionSpec(), PartitionSpec("data")


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


@jax.jit
def train_step(state, key, images, labels):
    pairing = jm.pairing_for(len(labels), shards=jax.device_count())  # mixing
    key = jax.random.fold_in(key, state.step)  # mixing
    inputs, soft = mixed(pairing, key, images, labels)  # mixing

    def loss_fn(params):
        logits = state.apply_fn(jax.sharding.reshard(params, EVERYWHERE), inputs)
        return optax.softmax_cross_entropy(logits, soft).mean()

    loss, grads = jax.value_and_grad(loss_fn)(state.params)
    return state.apply_gradients(grads=grads), loss


@jax.jit
def evaluate(state, images, labels):
    params = jax.sharding.reshard(state.params, EVERYWHERE)
    logits = state.apply_fn(params, (images.astype(jnp.float32) - 110) / 60)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    return loss, (logits.argmax(axis=-1) == labels).mean()


def copied(array):
    """For data-parallel training."""
    return jax.device_put(array, EVERYWHERE)


def cut(array):
    """For FSDP: along the largest dimension that the number of devices divides, if there is one."""
    shape = jnp.shape(array)
    able = [d for d, n in enumerate(shape) if n % jax.device_count() == 0]
    largest = max(able, key=lambda d: shape[d], default=None)
    spec = ["data" if d == largest else None for d in range(len(shape))]
    return jax.device_put(array, PartitionSpec(*spec))


def collectives(pairing, images, labels):
    program = jax.jit(partial(mixed, pairing)).lower(jax.random.key(0), images, labels).compile()
    return COLLECTIVE.findall(program.as_text() or "")


def train(state, test):
    key = jax.random.key(1)
    for step, *batch in batches(seed=2, steps=60):
        state, loss = train_step(state, key, *jax.device_put(batch, ROWS))
        if step % 20 == 0:
            print(f"  step {step:2}: mixed loss {loss:.2f}")
    return evaluate(state, *test)


def main():
    devices = jax.device_count()
    mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        test = jax.device_put(pictures(seed=1, count=512), ROWS)
        params = Net().init(jax.random.key(0), jnp.ones((1, *test[0].shape[1:])))
        start = TrainState.create(apply_fn=Net().apply, params=params, tx=optax.adam(5e-3))
        found, losses = {"devices": devices}, []
        for place in (copied, cut):
            state = jax.tree.map(place, start)
            kernel = jax.typeof(state.params["params"]["Conv_1"]["kernel"])
            print(f"parameters {place.__name__}, for example {kernel}")
            found["before"], _ = evaluate(state, *test)
            found["after"], found["accuracy"] = after, accuracy = train(state, test)
            print(f"  clean loss {found['before']:.2f} to {after:.2f}, accuracy {accuracy:.2f}")
            losses.append(after)
        local = collectives(jm.pairing_for(len(test[1]), shards=devices), *test)
        whole = collectives(jm.reverse(), *test)
    print(f"devices: {devices}; collectives of the mix: {local}, by reverse(): {whole}")
    found |= {"local": len(local), "whole": len(whole), "difference": abs(losses[0] - losses[1])}
    return found


if __name__ == "__main__":
    main()
