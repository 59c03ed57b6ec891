"""CTC: blend spectra, and let the network hear both transcripts, each with its own CTC loss.

- Transcripts cannot be blended: they differ in length, and the average of two words is no word.
  `pair_loss` weighs the two CTC losses by the weights of the two sounds (MixSpeech, Meng et al.
  2021, arXiv:2102.12664).
- A frame is silent where it is silent in both examples: the union of what is heard. At λ = 1 the
  partner does not count, so the own frames stay.
- What a transcript needs is that many frames. The union is never shorter than the own example.
- Spectra are zero after their end, so that padding adds nothing to the other example.
- One label for all, 0, is padding of the transcripts and CTC's blank.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jax_mixup as jm

WORDS, FRAMES, BANDS, MOST = 11, 30, 12, 6  # words 1 to 10; at most six of them
SOUNDS = np.random.default_rng(0).normal(size=(WORDS, 2, BANDS))  # each begins and ends in its way


def spoken(rng, count):
    """Spectra [count, FRAMES, BANDS], what is heard [count, FRAMES], words i32[count, MOST]."""
    spectra, heard = np.zeros((count, FRAMES, BANDS)), np.zeros((count, FRAMES))
    words = np.zeros((count, MOST), np.int32)
    for row in range(count):
        end = 0
        for place in range(rng.integers(2, MOST + 1)):
            word = words[row, place] = rng.integers(1, WORDS)
            for sound in SOUNDS[word]:
                size = rng.integers(1, 3)
                spectra[row, end : end + size] = sound
                end += size
        heard[row, :end] = 1
    spectra += heard[..., None] * rng.normal(0, 0.3, spectra.shape)
    return spectra.astype(np.float32), heard.astype(np.float32), words


class Recogniser(nnx.Module):
    def __init__(self, *, width=64, rngs):
        self.conv1 = nnx.Conv(BANDS, width, (5,), rngs=rngs)
        self.conv2 = nnx.Conv(width, width, (3,), rngs=rngs)
        self.head = nnx.Linear(width, WORDS, rngs=rngs)

    def __call__(self, spectra):
        return self.head(nnx.relu(self.conv2(nnx.relu(self.conv1(spectra)))))


def ctc_loss(model, mix, spectra, heard, words):
    logits = model(jm.blend(mix, spectra))  # mixing
    silent = (jm.blend(mix, heard) == 0).astype(jnp.float32)  # mixing

    def ctc(logits, words):
        return optax.ctc_loss(logits, silent, words, (words == 0).astype(jnp.float32))

    return jm.pair_loss(mix, ctc, logits, words).mean(), (logits, silent)  # mixing


@nnx.jit
def train_step(model, optimizer, key, *batch):
    mix = jm.sample_mixup(key, batch[0].shape[:1], alpha=0.5, per="example")  # mixing
    loss_fn = lambda model: ctc_loss(model, mix, *batch)
    (loss, _), grads = nnx.value_and_grad(loss_fn, has_aux=True)(model)
    optimizer.update(model, grads)
    return loss


@nnx.jit
def evaluate(model, *batch):
    return ctc_loss(model, jm.no_mix(len(batch[0])), *batch)  # mixing


def read(logits, silent):
    """The words of each example: the likeliest of each frame, without repetitions and blanks."""
    best = np.where(silent > 0, 0, logits.argmax(2))
    changed = np.diff(best, axis=1, prepend=0) != 0
    return [row[keep & (row > 0)].tolist() for row, keep in zip(best, changed, strict=True)]


def main(steps=200):
    model, rng, key = Recogniser(rngs=nnx.Rngs(0)), np.random.default_rng(1), jax.random.key(1)
    optimizer = nnx.Optimizer(model, optax.adam(5e-3), wrt=nnx.Param)
    test = spoken(rng, 64)
    before, _ = evaluate(model, *test)
    for step in range(steps):
        step_key = jax.random.fold_in(key, step)  # mixing
        loss = train_step(model, optimizer, step_key, *spoken(rng, 32))
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step:3}: mixed loss {loss:.2f}")
    after, found = evaluate(model, *test)
    words = [row[row > 0].tolist() for row in test[2]]
    accuracy = np.mean([a == b for a, b in zip(read(*map(np.asarray, found)), words, strict=True)])
    print(f"clean loss {before:.2f} to {after:.2f}; whole transcripts right: {accuracy:.2f}")
    return {"before": before, "after": after, "accuracy": accuracy}


if __name__ == "__main__":
    main()
