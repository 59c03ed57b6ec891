"""Grain feeds bytes and ids, and the step mixes: the same after a restart, on any number of hosts.

- The loader gives uint8 pictures and int32 ids, 4 times less to move than floats and soft labels.
- The key of a step is `fold_in(key, step)`, so a run that goes on at any step draws the same mixes.
- Batch first, by what one host holds, and then give the hosts their parts in turn. So the whole
  batch is the same examples in the same order on any number of hosts, and so are the partners and
  draws, as `jit` sees the whole batch.
- A restart needs the step alone: `batches[step]` is what Grain would give next. It works also where
  the number of hosts has changed, which the state of a Grain iterator does not allow.
- `main` stops half-way, goes on with two hosts in place of one, and ends with the same loss.
"""

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

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


def loader(source, batch, *, host, hosts):
    """The parts of one host of all batches, for ever, to be read by the step's number."""
    examples = grain.MapDataset.source(source).shuffle(seed=0).repeat()
    return examples.batch(batch // hosts)[host::hosts]


def started(loader, step):
    """Read from this step on, by two threads that are a few batches ahead."""
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
    return iter(loader[step:].to_iter_dataset(options))


class Net(nnx.Module):
    def __init__(self, *, rngs):
        self.conv1 = nnx.Conv(3, 16, (3, 3), strides=2, rngs=rngs)
        self.conv2 = nnx.Conv(16, 32, (3, 3), strides=2, rngs=rngs)
        self.head = nnx.Linear(32, CLASSES, rngs=rngs)

    def __call__(self, images):
        x = (images.astype(jnp.float32) - 110) / 60
        return self.head(nnx.relu(self.conv2(nnx.relu(self.conv1(x)))).max(axis=(1, 2)))


cross_entropy = optax.softmax_cross_entropy_with_integer_labels


@nnx.jit
def train_step(model, optimizer, key, step, images, labels):
    key = jax.random.fold_in(key, step)  # mixing
    mix = jm.sample_mixup_or_cutmix(key, images.shape[:-1], pairing=jm.neighbours())  # mixing
    inputs = jm.blend(mix, images, dtype=jnp.float32)  # mixing

    def loss_fn(model):
        return jm.pair_loss(mix, cross_entropy, model(inputs), labels).mean()  # mixing

    loss, grads = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, grads)
    return loss


def train(model, optimizer, source, *, start, stop, hosts, batch=64):
    """Steps `start` to `stop`. One process plays all hosts here; a real host has one loader."""
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    loaders = [loader(source, batch, host=host, hosts=hosts) for host in range(hosts)]
    loaders = [started(part, start) for part in loaders]
    loss = jnp.inf
    for step in range(start, stop):
        parts = [next(part) for part in loaders]  # on a real host: next(loader)
        local = jax.tree.map(lambda *parts: np.concatenate(parts), *parts)
        data = {k: jax.make_array_from_process_local_data(rows, v) for k, v in local.items()}
        loss = train_step(model, optimizer, jax.random.key(1), step, data["image"], data["label"])
        if step % 40 == 0 or step == stop - 1:
            print(f"step {step:3}, {hosts} host(s): mixed loss {loss:.3f}")
    return float(loss)


def main():
    source, test = Examples(seed=1, count=1024), pictures(seed=2, count=512)
    loss_of = lambda model: float(cross_entropy(model(test[0]), test[1]).mean())

    def start():
        model = Net(rngs=nnx.Rngs(0))
        return model, nnx.Optimizer(model, optax.adam(5e-3), wrt=nnx.Param)

    model, optimizer = start()
    before = loss_of(model)
    whole = train(model, optimizer, source, start=0, stop=120, hosts=1)
    model, optimizer = start()
    train(model, optimizer, source, start=0, stop=60, hosts=1)
    resumed = train(model, optimizer, source, start=60, stop=120, hosts=2)
    after = loss_of(model)
    print(f"clean loss {before:.2f} to {after:.2f}; last losses {whole:.6f} and {resumed:.6f}")
    return {"before": before, "after": after, "whole": whole, "resumed": resumed}


if __name__ == "__main__":
    main()
