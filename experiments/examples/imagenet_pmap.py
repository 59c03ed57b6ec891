"""The step of Flax's ImageNet example: pmap, BatchNorm, DynamicScale with float16, and mixing.

- Under pmap a step sees its device's own examples, so partners are on the same device and mixing
  sends nothing between devices.
- One key for all devices draws the same λ and box on all. Here the device's number is folded into
  the key, so that each device has draws of its own; with `per="example"` this is needed.
- BatchNorm sees mixed pictures in training and clean ones in evaluation, as in published recipes.
- Mix in float32 and cast to float16 afterwards: under jit it is the same pass. The loss is float32.
- One device or many: `XLA_FLAGS=--xla_force_host_platform_device_count=8` makes eight on a CPU.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import jax_utils
from flax.training.dynamic_scale import DynamicScale
from flax.training.train_state import TrainState

import jax_mixup as jm
from experiments.examples.data import CLASSES, batches, pictures


class State(TrainState):
    batch_stats: Any
    dynamic_scale: DynamicScale


class ResNet(nn.Module):
    """One residual block; parameters are float32, the computation is float16."""

    @nn.compact
    def __call__(self, x, train=True):
        conv = partial(nn.Conv, kernel_size=(3, 3), use_bias=False, dtype=jnp.float16)
        norm = partial(nn.BatchNorm, not train, momentum=0.9, dtype=jnp.float16)
        x = nn.relu(norm()(conv(16, strides=2)(x)))
        y = nn.relu(norm()(conv(32, strides=2)(x)))
        x = nn.relu(norm()(conv(32)(y)) + conv(32, kernel_size=(1, 1), strides=2)(x))
        return nn.Dense(CLASSES)(x.max(axis=(1, 2)).astype(jnp.float32))


def normalise(x):
    return ((x.astype(jnp.float32) - 110) / 60).astype(jnp.float16)


@partial(jax.pmap, axis_name="batch", in_axes=(0, None, 0, 0))
def train_step(state, key, images, labels):
    key = jax.random.fold_in(key, state.step)  # mixing
    key = jax.random.fold_in(key, jax.lax.axis_index("batch"))  # mixing
    mix = jm.sample_mixup_or_cutmix(key, images.shape[:-1])  # mixing
    inputs = normalise(jm.blend(mix, images, dtype=jnp.float32))  # mixing

    def loss_fn(params):
        variables = {"params": params, "batch_stats": state.batch_stats}
        logits, updated = state.apply_fn(variables, inputs, mutable=["batch_stats"])
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels
        loss = jm.pair_loss(mix, cross_entropy, logits, labels).mean()  # mixing
        return loss, (logits, updated["batch_stats"])

    grad_fn = state.dynamic_scale.value_and_grad(loss_fn, has_aux=True, axis_name="batch")
    scale, finite, (loss, (logits, batch_stats)), grads = grad_fn(state.params)
    accuracy = jm.mixed_accuracy(mix, logits, labels).mean()  # mixing
    new = state.apply_gradients(
        grads=grads, batch_stats=jax.lax.pmean(batch_stats, "batch"), dynamic_scale=scale
    )
    # Where float16 has overflowed, the step is left out; the scale has been halved.
    pick = partial(jax.tree.map, partial(jnp.where, finite))
    new = new.replace(
        params=pick(new.params, state.params), opt_state=pick(new.opt_state, state.opt_state)
    )
    return new, *jax.lax.pmean((loss, accuracy), "batch")


@partial(jax.pmap, axis_name="batch")
def evaluate(state, images, labels):
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    logits = state.apply_fn(variables, normalise(images), train=False)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    return jax.lax.pmean((loss, (logits.argmax(axis=-1) == labels).mean()), "batch")


def split(x):
    """[B, ...] to [devices, B / devices, ...]."""
    return x.reshape(jax.local_device_count(), -1, *x.shape[1:])


def main():
    model, test = ResNet(), jax.tree.map(split, pictures(seed=1, count=512))
    variables = jax.jit(model.init)(jax.random.key(0), jnp.ones((1, *test[0].shape[2:])))
    state = State.create(
        apply_fn=model.apply, tx=optax.adam(5e-3), dynamic_scale=DynamicScale(), **variables
    )
    state, key = jax_utils.replicate(state), jax.random.key(1)
    before, _ = jax_utils.unreplicate(evaluate(state, *test))
    for step, images, labels in batches(seed=2, steps=60):
        state, loss, accuracy = train_step(state, key, split(images), split(labels))
        if step % 20 == 0:
            print(f"step {step:2}: mixed loss {loss[0]:.2f}, mixed accuracy {accuracy[0]:.2f}")
    after, accuracy = jax_utils.unreplicate(evaluate(state, *test))
    print(f"clean loss {before:.2f} to {after:.2f}, clean accuracy {accuracy:.2f}")
    print(f"devices: {jax.local_device_count()}; loss scale {state.dynamic_scale.scale[0]:.0f}")
    return {"before": before, "after": after, "accuracy": accuracy}


if __name__ == "__main__":
    main()
