"""Copy-paste for instance segmentation: pictures, id maps, boxes and masks from one mix.

- Scenes have a map of ids, 1 to N, and a list of N classes, padded with weight 0. After mixing
  there are 2N entries: a scene's own objects, and its partner's, with weight 0 where not pasted.
- Boxes, areas and masks are those of what is seen: nothing is clipped by hand, and an object of
  which too little is left has weight 0 in every loss.
- The paper scales, flips and crops both pictures first (large-scale jitter). Do that in the input
  pipeline, to pictures and id maps alike; it is not part of this step.
- The detector is as small as it can be: at the centre of each box it names the class and the box's
  sides, and at each position what is an object.
- For evaluation the same targets come from a mix that keeps all.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jax_mixup as jm
from experiments.examples.data import COLOURS

N, SIZE = 3, 24  # the most objects of a scene, and its side


def scenes(seed, count):
    """uint8 pictures, id maps, classes and weights: one to three coloured boxes on grey noise."""
    rng = np.random.default_rng(seed)
    ids = np.zeros((count, SIZE, SIZE), np.int32)
    classes = rng.integers(len(COLOURS), size=(count, N), dtype=np.int32)
    weights = (np.arange(N) < rng.integers(1, N + 1, (count, 1))).astype(np.float32)
    centre, side = rng.uniform(3, SIZE - 3, (count, N, 2)), rng.uniform(2, 6, (count, N, 2))
    places = np.mgrid[:SIZE, :SIZE].transpose(1, 2, 0)
    for k in range(N):  # later ones in front
        offset = abs(places - centre[:, k, None, None]) <= side[:, k, None, None]
        ids[offset.all(-1) & (weights[:, k] > 0)[:, None, None]] = k + 1
    colours = COLOURS[np.take_along_axis(classes, (ids.reshape(count, -1) - 1) % N, axis=1)]
    images = np.where(ids[..., None] > 0, colours.reshape(*ids.shape, 3), 110)
    images = images + rng.normal(0, 15, images.shape)
    return images.clip(0, 255).astype(np.uint8), ids, classes, weights


class Net(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs):
        self.layers = nnx.List([nnx.Conv(c, 32, (5, 5), rngs=rngs) for c in (3, 32, 32)])
        self.heads = nnx.Linear(32, len(COLOURS) + 4 + 1, rngs=rngs)

    def __call__(self, x):
        for layer in self.layers:
            x = nnx.relu(layer(x))
        return self.heads(x)  # at each position: classes, the box, whether it is of an object


def loss_of(model, images, targets):
    """Losses of objects have their weights; the loss of the mask is of all positions."""
    ids, _, boxes, weights, _, _, classes = targets
    outputs = model((images.astype(jnp.float32) - 110) / 60)
    row = jnp.arange(len(images))[:, None]
    middle = ((boxes[..., :2] + boxes[..., 2:]) / 2).astype(jnp.int32)
    found = outputs[row, middle[..., 0], middle[..., 1]]  # [B, 2N, ...]
    logits, sides = found[..., :-5], found[..., -5:-1]
    reach = jnp.abs(boxes - jnp.concatenate([middle, middle], axis=-1)) / SIZE
    each = optax.softmax_cross_entropy_with_integer_labels(logits, classes)
    each = each + jnp.abs(sides - reach).sum(-1)
    mask = optax.sigmoid_binary_cross_entropy(outputs[..., -1], ids > 0).mean()
    total = jnp.maximum(weights.sum(), 1)
    right = (weights * (logits.argmax(-1) == classes)).sum() / total
    return (weights * each).sum() / total + mask, right


@nnx.jit
def train_step(model, optimizer, key, images, ids, classes, weights):
    mix = jm.sample_copy_paste(key, ids, num_objects=N)  # mixing
    images = jm.blend(mix, images, dtype=jnp.float32)  # mixing
    targets = jm.mix_objects(mix, ids, weights, classes)  # mixing

    def loss_fn(model):
        return loss_of(model, images, targets)

    (loss, _), grads = nnx.value_and_grad(loss_fn, has_aux=True)(model)
    optimizer.update(model, grads)
    return loss, targets[3].sum(axis=1).mean()


@nnx.jit
def evaluate(model, images, ids, classes, weights):
    mix = jm.sample_copy_paste(jax.random.key(0), ids, num_objects=N, alpha=0.0)  # mixing
    return loss_of(model, images, jm.mix_objects(mix, ids, weights, classes))  # mixing


def main():
    model = Net(rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(3e-3), wrt=nnx.Param)
    key, test = jax.random.key(1), scenes(seed=1, count=256)
    before, _ = evaluate(model, *test)
    for step in range(120):
        step_key = jax.random.fold_in(key, step)  # mixing
        loss, objects = train_step(model, optimizer, step_key, *scenes((2, step), 32))
        if step % 40 == 0:
            print(f"step {step:3}: loss {loss:.2f}, {objects:.1f} objects in a scene")
    after, accuracy = evaluate(model, *test)
    print(f"clean loss {before:.2f} to {after:.2f}, classes {accuracy:.2f}")
    return {"before": before, "after": after, "accuracy": accuracy}


if __name__ == "__main__":
    main()
