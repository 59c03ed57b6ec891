"""Gradient accumulation by optax.MultiSteps: mix the whole batch and split it, or mix each part.

- Where the whole batch is at hand, mix it and split it: this is the step without accumulation,
  whatever the number of parts. What accumulation saves are activations, so the batch fits: it was
  uint8, and the mixed floats are no more than the network's input.
- Where the parts come one by one, mix each. This is right, too, but another draw: partners are of
  the same part, and each part has a λ of its own, so a part needs two examples or more.
- Each part needs its own key. `state.step` counts parts, so it is right; `gradient_step`, of
  MultiSteps, counts updates: all parts of an update would have the same λ and box.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax.training.train_state import TrainState

import jax_mixup as jm
from experiments.examples.data import CLASSES, batches, pictures

PARTS, BATCH = 4, 64


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(16, (3, 3), strides=2)(x))
        x = nn.relu(nn.Conv(32, (3, 3), strides=2)(x))
        return nn.Dense(CLASSES)(x.max(axis=(1, 2)))


def new_state(parts):
    optimizer = optax.MultiSteps(optax.sgd(0.1, momentum=0.9), every_k_schedule=parts)
    params = Net().init(jax.random.key(0), jnp.ones((1, 16, 16, 3)))
    return TrainState.create(apply_fn=Net().apply, params=params, tx=optimizer)


@jax.jit
def mixed(key, images, labels):
    mix = jm.sample_mixup_or_cutmix(key, images.shape[:-1])  # mixing
    inputs = (jm.blend(mix, images, dtype=jnp.float32) - 110) / 60  # mixing
    return inputs, jm.blend_labels(mix, labels, num_classes=CLASSES)  # mixing


@jax.jit
def accumulate(state, inputs, soft):
    def loss_fn(params):
        return optax.softmax_cross_entropy(state.apply_fn(params, inputs), soft).mean()

    return state.apply_gradients(grads=jax.grad(loss_fn)(state.params))


def split(*arrays):
    return zip(*(x.reshape(PARTS, -1, *x.shape[1:]) for x in arrays), strict=True)


def mix_then_split(state, key, images, labels):
    whole = mixed(jax.random.fold_in(key, state.step), images, labels)  # mixing
    for part in split(*whole):
        state = accumulate(state, *part)
    return state


def mix_each_part(state, key, images, labels):
    for part in split(images, labels):
        part = mixed(jax.random.fold_in(key, state.step), *part)  # mixing
        state = accumulate(state, *part)
    return state


@jax.jit
def evaluate(state, images, labels):
    logits = state.apply_fn(state.params, (images.astype(jnp.float32) - 110) / 60)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    return loss, (logits.argmax(axis=-1) == labels).mean()


def main():
    key, test = jax.random.key(1), pictures(seed=1, count=512)
    _, *batch = next(batches(seed=2, steps=1, batch=BATCH))
    one_piece = accumulate(new_state(1), *mixed(jax.random.fold_in(key, 0), *batch))
    start = new_state(PARTS)
    before, _ = evaluate(start, *test)
    found = {"before": before}
    for name, train_step in {"split": mix_then_split, "each": mix_each_part}.items():
        first = train_step(start, key, *batch)
        differences = jax.tree.map(lambda a, b: abs(a - b).max(), first.params, one_piece.params)
        found[name] = max(jax.tree.leaves(differences))
        state = start
        for _, *batch in batches(seed=2, steps=60, batch=BATCH):
            state = train_step(state, key, *batch)
        found["after"], found["accuracy"] = after, accuracy = evaluate(state, *test)
        print(f"{train_step.__name__}: clean loss {before:.2f} to {after:.2f};", end=" ")
        print(f"clean accuracy {accuracy:.2f};")
        print(f"  first update {found[name]:.0e} away from that of the batch in one piece")
    return found


if __name__ == "__main__":
    main()
