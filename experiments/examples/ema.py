"""An exponential moving average of the weights, with mixing: train the one, evaluate the other.

- Mixing changes nothing of the average: it follows the weights, whatever they were trained on.
- Evaluate both on clean pictures. A mix drawn per batch makes the steps noisier, which the average
  smooths out.
- Early in training an average with a large decay is still near the random start. Let the decay grow
  with the step, as here, or start from the weights of a later step.
- BatchNorm's statistics, where there are any, are averages already: copy the model's to the average
  before evaluation. They are those of mixed pictures, as in published recipes.
"""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import jax_mixup as jm
from experiments.examples.data import CLASSES, batches, pictures


class Net(nnx.Module):
    def __init__(self, *, rngs):
        self.conv1 = nnx.Conv(3, 16, (3, 3), strides=2, rngs=rngs)
        self.conv2 = nnx.Conv(16, 32, (3, 3), strides=2, rngs=rngs)
        self.head = nnx.Linear(32, CLASSES, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.conv2(nnx.relu(self.conv1(x))))
        return self.head(x.max(axis=(1, 2)))


def normalise(x):
    return (x.astype(jnp.float32) - 110) / 60


@nnx.jit
def train_step(model, optimizer, average, key, step, images, labels):
    mix = jm.sample_mixup_or_cutmix(jax.random.fold_in(key, step), images.shape[:-1])  # mixing
    inputs = normalise(jm.blend(mix, images, dtype=jnp.float32))  # mixing

    def loss_fn(model):
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels
        return jm.pair_loss(mix, cross_entropy, model(inputs), labels).mean()  # mixing

    loss, grads = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, grads)
    decay = jnp.minimum(0.95, (1 + step) / (10 + step))
    new, old = nnx.state(model, nnx.Param), nnx.state(average, nnx.Param)
    nnx.update(average, optax.incremental_update(new, old, 1 - decay))
    return loss


@nnx.jit
def evaluate(model, images, labels):
    logits = model(normalise(images))
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    return loss, (logits.argmax(axis=-1) == labels).mean()


def main():
    model = Net(rngs=nnx.Rngs(0))
    average = nnx.clone(model)
    optimizer = nnx.Optimizer(model, optax.adam(5e-3), wrt=nnx.Param)
    key, test = jax.random.key(1), pictures(seed=1, count=512)
    before, _ = evaluate(model, *test)
    for step, images, labels in batches(seed=2, steps=100):
        loss = train_step(model, optimizer, average, key, step, images, labels)
        if step % 20 == 19:
            now, averaged = evaluate(model, *test)[0], evaluate(average, *test)[0]
            print(f"step {step:2}: mixed loss {loss:.2f}; clean {now:.2f}, averaged {averaged:.2f}")
    (last, _), (after, accuracy) = evaluate(model, *test), evaluate(average, *test)
    print(f"clean loss {before:.2f} to {last:.2f}, of the average {after:.2f}")
    return {"before": before, "after": after, "accuracy": accuracy, "last": last}


if __name__ == "__main__":
    main()
