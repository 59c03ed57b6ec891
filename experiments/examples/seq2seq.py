"""Sequence to sequence: blend what the encoder reads and what the decoder has written, by one λ.

- Words cannot be averaged, but embeddings can. Those of the encoder and of the decoder are blended
  after the position embeddings are added (SeqMix, Guo et al. 2020, arXiv:2011.09039).
- A place of the source may be read where either example has a word: the union of the masks. At
  λ = 1 the partner does not count. The decoder's mask is causal, and the same for both.
- The losses [B, T] are those to the own and to the partner's next word. Padding counts nothing for
  the example whose padding it is, neither in the sum nor in the number of words that divides it:
  so the tail of a longer partner counts by its weight. The authors' code has the own padding for
  all three, which cuts that tail off.
- Translating is as without mixing: what is blended are the words of training.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jax_mixup as jm

WORDS, LENGTH = 24, 10  # word 0 is padding, and starts what the decoder writes
MEANING = np.random.default_rng(0).permutation(np.arange(1, WORDS))


def sentences(rng, count):
    """Source and target, i32[count, LENGTH]: each word in another language, the first one last."""
    source, target = np.zeros((2, count, LENGTH), np.int32)
    for row in range(count):
        size = rng.integers(4, LENGTH + 1)
        source[row, :size] = rng.integers(1, WORDS, size)
        target[row, :size] = np.roll(MEANING[source[row, :size] - 1], -1)
    return source, target


class Translator(nnx.Module):
    def __init__(self, *, width=48, rngs):
        self.read, self.write, self.places = (
            nnx.Embed(n, width, rngs=rngs) for n in (WORDS, WORDS, LENGTH)
        )
        attention = lambda: nnx.MultiHeadAttention(2, width, decode=False, rngs=rngs)
        self.encode, self.look_back, self.look_across = attention(), attention(), attention()
        self.norms = nnx.List([nnx.LayerNorm(width, rngs=rngs) for _ in range(5)])
        self.head = nnx.Linear(width, WORDS, rngs=rngs)

    def __call__(self, source, target, mix):
        places = self.places(jnp.arange(LENGTH))
        before = jnp.pad(target, ((0, 0), (1, 0)))[:, :-1]  # the words so far
        there = (source > 0).astype(jnp.float32)
        mask = (jm.blend(mix, there) > 0)[:, None, None, :]  # mixing
        x = jm.blend(mix, self.read(source) + places)  # mixing
        y = jm.blend(mix, self.write(before) + places)  # mixing
        x = x + self.encode(self.norms[0](x), mask=mask)
        x = self.norms[1](x)
        y = y + self.look_back(self.norms[2](y), mask=jnp.tril(jnp.ones((LENGTH, LENGTH), bool)))
        y = y + self.look_across(self.norms[3](y), x, mask=mask)
        return self.head(self.norms[4](y))


def losses_and_hits(model, mix, source, target):
    """The mean loss of a word, and how often the likeliest word is right."""
    logits = model(source, target, mix)

    def per_word(logits, target):
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, target)
        hits = (logits.argmax(axis=2) == target).astype(jnp.float32)
        return loss * (target > 0), hits * (target > 0)

    loss, hits = jm.pair_loss(mix, per_word, logits, target)  # mixing
    count = jm.blend_labels(mix, (target > 0).astype(jnp.float32)).sum()  # mixing
    return loss.sum() / count, hits.sum() / count


@nnx.jit
def train_step(model, optimizer, key, source, target):
    law = jm.folded_beta(0.1)  # mixing: the example itself has the larger weight
    mix = jm.sample_mixup(key, source.shape[:1], lam_law=law, per="example")  # mixing
    loss_fn = lambda model: losses_and_hits(model, mix, source, target)
    (loss, _), grads = nnx.value_and_grad(loss_fn, has_aux=True)(model)
    optimizer.update(model, grads)
    return loss


@nnx.jit
def evaluate(model, source, target):
    return losses_and_hits(model, jm.no_mix(len(source)), source, target)  # mixing


def main(steps=300):
    model, rng, key = Translator(rngs=nnx.Rngs(0)), np.random.default_rng(1), jax.random.key(1)
    optimizer = nnx.Optimizer(model, optax.adam(3e-3), wrt=nnx.Param)
    test = sentences(rng, 64)
    before, _ = evaluate(model, *test)
    for step in range(steps):
        step_key = jax.random.fold_in(key, step)  # mixing
        loss = train_step(model, optimizer, step_key, *sentences(rng, 64))
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step:3}: mixed loss {loss:.2f}")
    after, accuracy = evaluate(model, *test)
    print(f"clean loss {before:.2f} to {after:.2f}, words right {accuracy:.2f}")
    return {"before": before, "after": after, "accuracy": accuracy}


if __name__ == "__main__":
    main()
