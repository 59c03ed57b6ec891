"""Grain mixes on the host, for those who must: a map over batches, whose key is the batch's number.

Mix in the step if you can (`grain_step.py`): there it is one pass on the accelerator, ids leave
the host instead of soft labels, and the whole batch is mixed. Here each host mixes its own part, so
that results depend on the number of hosts. If the loader has to mix:

- Batch first, then map. `map_with_index` after `batch` gives the number of the batch, also over
  epochs and after a restart: fold it into a key. (`random_map` works as well. Grain's older
  `DataLoader` has no random transform after batching.)
- Give hosts their batches in turn after the map, so that no two hosts have the same numbers.
- JAX runs in the loader's process, on the CPU. Use Grain's threads, not `mp_prefetch`: each worker
  process would start a JAX of its own, compile again, and try to take the accelerator.
"""

import functools

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jax_mixup as jm
from experiments.examples.data import CLASSES, pictures


class Examples:
    """A source for Grain: what `__getitem__` gives is one example."""

    def __init__(self, seed, count):
        self.images, self.ids = pictures(seed, count)

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        return {"image": self.images[index], "label": self.ids[index]}


@functools.cache
def cpu():
    return jax.local_devices(backend="cpu")[0]


@jax.jit
def draw_and_mix(number, images, labels):
    key = jax.random.fold_in(jax.random.key(1), number)
    mix = jm.sample_mixup_or_cutmix(key, images.shape[:-1])
    soft = jm.blend_labels(mix, labels, num_classes=CLASSES)
    return jm.blend(mix, images, dtype=jnp.uint8), soft


def mixed(number, batch):
    """Mix one batch. `number` is an array, so that the function is compiled once."""
    with jax.default_device(cpu()):
        images, labels = draw_and_mix(np.uint32(number), batch["image"], batch["label"])
    return {"image": np.asarray(images), "label": np.asarray(labels)}


def loader(source, batch, *, host=0, hosts=1):
    examples = grain.MapDataset.source(source).shuffle(seed=0).repeat()
    batches = examples.batch(batch // hosts).map_with_index(mixed)  # mixing
    return batches[host::hosts]


class Net(nnx.Module):
    def __init__(self, *, rngs):
        self.conv1 = nnx.Conv(3, 16, (3, 3), strides=2, rngs=rngs)
        self.conv2 = nnx.Conv(16, 32, (3, 3), strides=2, rngs=rngs)
        self.head = nnx.Linear(32, CLASSES, rngs=rngs)

    def __call__(self, images):
        x = (images.astype(jnp.float32) - 110) / 60
        return self.head(nnx.relu(self.conv2(nnx.relu(self.conv1(x)))).max(axis=(1, 2)))


@nnx.jit
def train_step(model, optimizer, images, soft):
    loss_fn = lambda model: optax.softmax_cross_entropy(model(images), soft).mean()  # mixing
    loss, grads = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, grads)
    return loss


def main(steps=120):
    model = Net(rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(5e-3), wrt=nnx.Param)
    images, ids = pictures(seed=2, count=512)
    score = lambda logits: optax.softmax_cross_entropy_with_integer_labels(logits, ids).mean()
    before = float(score(model(images)))
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)  # threads, not processes
    batches = iter(loader(Examples(seed=1, count=1024), 64).to_iter_dataset(options))
    for step in range(steps):
        batch = next(batches)
        loss = train_step(model, optimizer, batch["image"], batch["label"])
        if step % 40 == 0 or step == steps - 1:
            print(f"step {step:3}: mixed loss {loss:.2f}")
    logits = model(images)
    after, accuracy = float(score(logits)), float((logits.argmax(axis=1) == ids).mean())
    print(f"clean loss {before:.2f} to {after:.2f}, accuracy {accuracy:.2f}")
    return {"before": before, "after": after, "accuracy": accuracy}


if __name__ == "__main__":
    main()
