"""A train step with Flax Linen and a TrainState: the key of each step follows from `state.step`.

- The state counts the steps, so `fold_in(key, state.step)` is a new key for each, and a run that is
  restored from a checkpoint draws the mixes it would have drawn.
- Images stay uint8 until they are mixed. Normalise after mixing: the result is the same.
- The loss takes integer ids or soft labels. Here it takes soft ones: `blend_labels` makes them, and
  smooths them once, before mixing.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax.training.train_state import TrainState

import jax_mixup as jm
from experiments.examples.data import CLASSES, batches, pictures


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(16, (3, 3), strides=2)(x))
        x = nn.relu(nn.Conv(32, (3, 3), strides=2)(x))
        return nn.Dense(CLASSES)(x.max(axis=(1, 2)))


def normalise(x):
    return (x.astype(jnp.float32) - 110) / 60


@jax.jit
def train_step(state, key, images, labels):
    key = jax.random.fold_in(key, state.step)  # mixing
    mix = jm.sample_cutmix(key, images.shape[:-1], alpha=1.0)  # mixing
    inputs = normalise(jm.blend(mix, images, dtype=jnp.float32))  # mixing
    soft = jm.blend_labels(mix, labels, num_classes=CLASSES, smoothing=0.1)  # mixing

    def loss_fn(params):
        logits = state.apply_fn({"params": params}, inputs)
        return optax.softmax_cross_entropy(logits, soft).mean(), logits

    (loss, logits), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
    accuracy = jm.mixed_accuracy(mix, logits, labels).mean()  # mixing
    return state.apply_gradients(grads=grads), loss, accuracy


@jax.jit
def evaluate(state, images, labels):
    logits = state.apply_fn({"params": state.params}, normalise(images))
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    return loss, (logits.argmax(axis=-1) == labels).mean()


def main():
    test = pictures(seed=1, count=512)
    model = Net()
    params = model.init(jax.random.key(0), jnp.ones((1, *test[0].shape[1:])))["params"]
    state = TrainState.create(apply_fn=model.apply, params=params, tx=optax.adam(5e-3))
    (before, _), key = evaluate(state, *test), jax.random.key(1)
    for step, images, labels in batches(seed=2, steps=100):
        state, loss, accuracy = train_step(state, key, images, labels)
        if step % 33 == 0:
            print(f"step {step:2}: mixed loss {loss:.2f}, mixed accuracy {accuracy:.2f}")
    after, accuracy = evaluate(state, *test)
    print(f"clean loss {before:.2f} to {after:.2f}, clean accuracy {accuracy:.2f}")
    return {"before": before, "after": after, "accuracy": accuracy}


if __name__ == "__main__":
    main()
