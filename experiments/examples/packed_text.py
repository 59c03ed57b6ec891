"""A language model on packed rows: mix embeddings, attend to both rows, weigh each word's loss.

- A row holds several documents, with the number of the document (0: padding) and the position in it
  at each place, as in Flax's lm1b and gemma examples.
- Words cannot be averaged, but embeddings can. They are blended after the position embeddings are
  added, so that each word comes with its position in its own document.
- A mixed place holds a word of each row, so it may look where either row lets it look: the union of
  the masks. Under the own mask alone, the partner's documents would be cut where the own ones end.
  The price: a place may see an earlier document of its row. It never sees the next words, as both
  masks are causal, and at λ = 1 the own mask stays.
- The losses [B, T] are those to the own and to the partner's next word. Padding counts nothing for
  the row whose padding it is, neither in the sum nor in the number of words that divides it.
- In Flax's own code (18f8f31) these lines change: in lm1b 6 of `train_step` (the key, the mix, an
  argument, 3 of the loss) and 7 of the model; in gemma 5 (the mix, the mask, an argument, 2 of the
  loss) and 3. Gemma's rotary positions cannot be blended: the own ones stay.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jax_mixup as jm

WORDS, LENGTH = 32, 32  # word 0 is padding, or the start of a document
NEXT = np.random.default_rng(0).permutation(np.arange(1, WORDS))  # the word that mostly follows


def packed(rng, count):
    """Inputs, targets, document numbers and positions, i32[count, LENGTH] each."""
    inputs, targets, documents, positions = np.zeros((4, count, LENGTH), np.int32)
    for row in range(count):
        start, number = 0, 1
        while (size := rng.integers(5, 12)) <= LENGTH - start:
            words = [rng.integers(1, WORDS)]
            while len(words) < size:
                words.append(NEXT[words[-1] - 1] if rng.uniform() < 0.9 else rng.integers(1, WORDS))
            place = np.s_[row, start : start + size]
            targets[place], documents[place], positions[place] = words, number, np.arange(size)
            inputs[row, start + 1 : start + size] = words[:-1]  # a document starts with word 0
            start, number = start + size, number + 1
    return inputs, targets, documents, positions


def attention_mask(documents):
    """bool[B, 1, T, T]: to earlier places of the same document."""
    same = documents[:, :, None] == documents[:, None, :]
    causal = jnp.tril(jnp.ones((LENGTH, LENGTH), bool))
    return (same & causal & (documents > 0)[:, None, :])[:, None]


class Decoder(nnx.Module):
    def __init__(self, *, width=32, rngs):
        self.words, self.places = (nnx.Embed(n, width, rngs=rngs) for n in (WORDS, LENGTH))
        self.norms = nnx.List([nnx.LayerNorm(width, rngs=rngs) for _ in range(3)])
        self.attend = nnx.MultiHeadAttention(2, width, decode=False, rngs=rngs)
        self.mlp1, self.mlp2 = nnx.Linear(width, 64, rngs=rngs), nnx.Linear(64, width, rngs=rngs)
        self.head = nnx.Linear(width, WORDS, rngs=rngs)

    def __call__(self, inputs, positions, attend, mix):  # mixing: one more argument
        x = self.words(inputs) + self.places(positions)
        x = jm.blend(mix, x)  # mixing
        x = x + self.attend(self.norms[0](x), mask=attend)
        x = x + self.mlp2(nnx.gelu(self.mlp1(self.norms[1](x))))
        return self.head(self.norms[2](x))


def losses_and_hits(model, mix, inputs, targets, documents, positions):
    """The mean loss of a word, and how often the likeliest word is right."""
    attend = attention_mask(documents)
    attend = jm.blend(mix, attend, dtype=jnp.float32) > 0  # mixing
    logits = model(inputs, positions, attend, mix)  # mixing
    weights = (targets > 0).astype(jnp.float32)

    def per_word(logits, target):
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, target["word"])
        hits = logits.argmax(axis=2) == target["word"]
        return loss * target["weight"], hits * target["weight"]

    target = {"word": targets, "weight": weights}  # mixing
    loss, hits = jm.pair_loss(mix, per_word, logits, target)  # mixing
    count = jm.blend_labels(mix, weights).sum()  # mixing
    return loss.sum() / count, hits.sum() / count


@nnx.jit
def train_step(model, optimizer, key, *batch):
    mix = jm.sample_mixup(key, batch[0].shape[:1], alpha=0.2, per="example")  # mixing
    loss_fn = lambda model: losses_and_hits(model, mix, *batch)
    (loss, _), grads = nnx.value_and_grad(loss_fn, has_aux=True)(model)
    optimizer.update(model, grads)
    return loss


@nnx.jit
def evaluate(model, *batch):
    return losses_and_hits(model, jm.no_mix(len(batch[0])), *batch)  # mixing


def main(steps=200):
    model, rng, key = Decoder(rngs=nnx.Rngs(0)), np.random.default_rng(1), jax.random.key(1)
    optimizer = nnx.Optimizer(model, optax.adam(5e-3), wrt=nnx.Param)
    test = packed(rng, 64)
    before, _ = evaluate(model, *test)
    for step in range(steps):
        loss = train_step(model, optimizer, jax.random.fold_in(key, step), *packed(rng, 16))
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step:3}: mixed loss {loss:.2f}")
    after, accuracy = evaluate(model, *test)
    print(f"clean loss {before:.2f} to {after:.2f}, next words right {accuracy:.2f}")
    return {"before": before, "after": after, "accuracy": accuracy}


if __name__ == "__main__":
    main()
