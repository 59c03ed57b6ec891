"""A NaFlex ViT, for pictures of any size: mix patches at the same place, and leave padding out.

- A batch is sequences of patches, row by row: values [B, N, D], coordinates [B, N, 2] and `valid`
  [B, N], which is False in the padding.
- Patch k of two pictures of different widths is not at the same place, so the partner's patches are
  looked up by coordinates, with both pictures centred, as in timm's NaFlexMixup.
- The box or weight is drawn on a canvas that holds all pictures, and read at the coordinates.
- `keep_overlap` mixes only where both pictures have a patch. λ is counted over the own patches, so
  a picture that overlaps little with its partner keeps most of its label.
- A mixed sequence keeps its own coordinates, length and attention mask: only `patches` change.
  Batches of like sizes have more overlap.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jax_mixup as jm

LENGTH, SIDE, DIM, CLASSES = 24, 8, 3 * 4 * 4, 8  # at most 24 patches of 4 x 4 in 8 rows or columns
GRIDS = np.array([(3, 8), (8, 3), (4, 4), (4, 6), (6, 4), (5, 3)])
TEXTURES = np.random.default_rng(0).uniform(60, 195, (CLASSES, DIM))


def examples(rng, count):
    """Patches of noise, a third of them in the texture of the class; uint8, coordinates, valid."""
    labels, grids = rng.integers(CLASSES, size=count), GRIDS[rng.integers(len(GRIDS), size=count)]
    valid = np.arange(LENGTH) < grids.prod(axis=1, keepdims=True)
    where = np.stack(np.divmod(np.arange(LENGTH), grids[:, 1:]), axis=2) * valid[..., None]
    textured = rng.uniform(size=(count, LENGTH, 1)) < 0.3
    patches = np.where(textured, TEXTURES[labels][:, None], 127)
    patches = (patches + rng.normal(0, 20, patches.shape)).clip(0, 255) * valid[..., None]
    return patches.astype(np.uint8), where.astype(np.int32), valid, labels.astype(np.int32)


def mix_patches(key, patches, where, valid):
    """All that mixing adds but for two lines: the mix, and patches blended at the same places."""
    size = jnp.where(valid[..., None], where + 1, 0).max(axis=1)  # [B, 2]: rows and columns
    corner = (SIDE - size) // 2  # pictures lie in the middle of the canvas
    row, column = jnp.moveaxis(where + corner[:, None], 2, 0)
    mix = jm.sample_mixup_or_cutmix(key, (len(patches), SIDE, SIDE), per="example")
    mask = mix.mask[jnp.arange(len(patches))[:, None], row, column]
    mix = dataclasses.replace(mix, mask=mask)
    theirs, size, their_corner = jm.take_partner(mix, (patches, size, corner))
    place = where + (corner - their_corner)[:, None]  # of each own patch, in the partner's grid
    inside = valid & ((place >= 0) & (place < size[:, None])).all(axis=2)
    index = jnp.where(inside, place[..., 0] * size[:, 1:] + place[..., 1], 0)  # row by row
    others = jnp.take_along_axis(theirs, index[..., None], axis=1)
    mix = jm.keep_overlap(mix, valid, other=inside)
    return mix, jm.blend(mix, patches, other=others, dtype=jnp.float32)


class NaFlexVit(nnx.Module):
    def __init__(self, *, width=32, rngs):
        self.embed = nnx.Linear(DIM, width, rngs=rngs)
        self.rows, self.columns = (nnx.Embed(SIDE, width, rngs=rngs) for _ in range(2))
        self.norms = nnx.List([nnx.LayerNorm(width, rngs=rngs) for _ in range(2)])
        self.attend = nnx.MultiHeadAttention(2, width, decode=False, rngs=rngs)
        self.mlp1, self.mlp2 = nnx.Linear(width, 64, rngs=rngs), nnx.Linear(64, width, rngs=rngs)
        self.head = nnx.Linear(width, CLASSES, rngs=rngs)

    def __call__(self, patches, where, valid):
        x = self.embed(patches.astype(jnp.float32) / 32 - 4)
        x = x + self.rows(where[..., 0]) + self.columns(where[..., 1])
        x = x + self.attend(self.norms[0](x), mask=valid[:, None, None, :])
        x = x + self.mlp2(nnx.gelu(self.mlp1(self.norms[1](x))))
        total = jnp.where(valid[..., None], x, 0).sum(axis=1)
        return self.head(total / valid.sum(axis=1, keepdims=True))


cross_entropy = optax.softmax_cross_entropy_with_integer_labels


@nnx.jit
def train_step(model, optimizer, key, patches, where, valid, labels):
    mix, inputs = mix_patches(key, patches, where, valid)  # mixing

    def loss_fn(model):
        logits = model(inputs, where, valid)
        return jm.pair_loss(mix, cross_entropy, logits, labels).mean()  # mixing

    loss, grads = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, grads)
    return loss, mix.lam.mean()


@nnx.jit
def evaluate(model, patches, where, valid, labels):
    logits = model(patches, where, valid)
    return cross_entropy(logits, labels).mean(), (logits.argmax(axis=1) == labels).mean()


def main(steps=150):
    model, rng, key = NaFlexVit(rngs=nnx.Rngs(0)), np.random.default_rng(1), jax.random.key(1)
    optimizer = nnx.Optimizer(model, optax.adam(3e-3), wrt=nnx.Param)
    test = examples(rng, 512)
    before, _ = evaluate(model, *test)
    for step in range(steps):
        batch = examples(rng, 64)
        loss, own = train_step(model, optimizer, jax.random.fold_in(key, step), *batch)
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step:3}: mixed loss {loss:.2f}, mean weight of the own label {own:.2f}")
    after, accuracy = evaluate(model, *test)
    print(f"clean loss {before:.2f} to {after:.2f}, accuracy {accuracy:.2f}")
    return {"before": before, "after": after, "accuracy": accuracy}


if __name__ == "__main__":
    main()
