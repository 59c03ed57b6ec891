"""From recordings to log-mel spectrograms and labels, mixed in any of the ways that audio uses.

Each way to mix is a function (key, clips) -> (features, valid, targets) for one batch, listed in
`ROADS`. All give the same shapes, so that one compiled program works for them all. `valid` marks
the positions of the spectrogram that are not padding; the network averages over those alone.
"""

import wave
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from matplotlib.figure import Figure

import jax_mixup as jm
from experiments.core.seeds import SeedTrainer, batch_trainer
from experiments.core.step import Metrics, Recipe, Task
from experiments.data import spectrogram
from experiments.data.spoken import NUM_CLASSES, RATE, Recordings
from experiments.models.cnn import CNN

HOP, BANDS = 160, 24
MIXED = 0.5  # of the batches
LOUDNESS = 0.1  # rms that overlapping digits are brought to, as a fraction of the largest sample


class Clips(NamedTuple):
    """Waveforms in [-1, 1], the frames that are not padding, and dense labels."""

    x: Float[Array, "b n"]
    valid: Bool[Array, "b t"]
    targets: Float[Array, "b k"]


Mixed = tuple[Float[Array, "b t f"], Bool[Array, "b t f"], Float[Array, "b k"]]
Road = Callable[[PRNGKeyArray, Clips], Mixed]


class Method(NamedTuple):
    """Numbers, all of which may be traced."""

    road: int = 0  # which way to mix: its place in ROADS
    augment: float = 1.0  # 1: shifts before mixing, SpecAugment's masks after it; 0: neither
    weight_decay: float = 0.01


def place(key: PRNGKeyArray, recordings: Recordings, shift: float | Array) -> Clips:
    """Each recording somewhere within its padding, or at the start where `shift` is 0."""
    x, length = jnp.asarray(recordings.x), jnp.asarray(recordings.length)[:, None]
    n, size = x.shape
    room = shift * jax.random.uniform(key, (n, 1)) * (size - length + 1)
    place = jnp.arange(size) - jnp.minimum(room.astype(jnp.int32), size - length)
    sound = (place >= 0) & (place < length)
    x = jnp.take_along_axis(x, place % size, axis=1).astype(jnp.float32) / 2**15
    targets = jax.nn.one_hot(recordings.y, NUM_CLASSES)
    return Clips(x * sound, sound.reshape(n, -1, HOP).any(axis=-1), targets)


def overlap(key: PRNGKeyArray, clips: Clips) -> Clips:
    """Two digits at once: each clip and one of another digit, equally loud, with both labels."""
    partner = jm.across_class(key, clips.targets.argmax(axis=-1))
    both = jm.Mix(partner, jnp.array([0.5]), jnp.full(len(clips.x), 0.5))
    x = jm.blend(both, clips.x * (LOUDNESS / level(clips))[:, None])
    valid = jm.blend(both, clips.valid, dtype=jnp.float32) > 0
    return Clips(2 * x, valid, 2 * jm.blend_labels(both, clips.targets))


def level(clips: Clips) -> Float[Array, "b"]:
    """Root mean square of the samples before the padding: a linear amplitude."""
    sounding = HOP * jnp.maximum(clips.valid.sum(axis=1), 1)
    return jnp.sqrt(jnp.square(clips.x).sum(axis=1) / sounding + 1e-8)


def features(
    x: Float[Array, "b n"], valid: Bool[Array, "b t"]
) -> tuple[Float[Array, "b t f"], Bool[Array, "b t f"]]:
    """Log-mel minus each clip's mean over valid frames, to remove loudness; and valid places."""
    where = jnp.broadcast_to(valid[:, :, None], (*valid.shape, BANDS))
    spectrum = spectrogram.log_mel(x, hop=HOP, bands=BANDS)
    centred = spectrum - spectrum.mean(axis=(1, 2), where=where, keepdims=True)
    return jnp.where(where, centred / 3, 0), where


def of_waves(mix: jm.Mix, clips: Clips, x: Array | None = None, *, union: bool = False) -> Mixed:
    """Waveforms mixed, so that both are heard wherever one of them sounds."""
    x = jm.blend(mix, clips.x) if x is None else x
    valid = jm.blend(mix, clips.valid, dtype=jnp.float32) > 0
    targets = jm.blend_labels(mix, clips.targets)
    return *features(x, valid), jnp.where(targets > 0, 1.0, 0.0) if union else targets


def of_spectra(mix: jm.Mix, clips: Clips) -> Mixed:
    """Spectrograms mixed; under a mask, a label weighs its clip's fraction of valid positions."""
    spectra, valid = features(clips.x, clips.valid)
    if mix.mask.ndim > 1:
        mix = jm.reweigh(mix, valid)
        heard = jm.blend(mix, valid, dtype=jnp.float32) > 0
        mix = jm.keep(mix, heard.any(axis=(1, 2)))  # a cut may leave nothing but padding
    mixed = jm.blend(mix, spectra), jm.blend(mix, valid, dtype=jnp.float32) > 0
    return *mixed, jm.blend_labels(mix, clips.targets)


def plain(key: PRNGKeyArray, clips: Clips) -> Mixed:
    return *features(clips.x, clips.valid), clips.targets


def mixup_waveforms(key: PRNGKeyArray, clips: Clips, *, union: bool = False) -> Mixed:
    return of_waves(draw(key, clips), clips, union=union)


def mixup_log_mel(key: PRNGKeyArray, clips: Clips) -> Mixed:
    return of_spectra(draw(key, clips), clips)


def bc_plus(key: PRNGKeyArray, clips: Clips) -> Mixed:
    """Tokozume et al. 2018, arXiv:1711.10282: as loud as the labels say, the energy kept."""
    key_partner, key_mix = jax.random.split(key)
    partner = jm.across_class(key_partner, clips.targets.argmax(axis=-1))
    mix = jm.balance(draw(key_mix, clips, pairing=partner), level(clips))
    return of_waves(mix, clips, jm.restore_energy(mix, jm.blend(mix, clips.x)))


def specmix(key: PRNGKeyArray, clips: Clips) -> Mixed:
    """Kim et al. 2021, arXiv:2108.03020: bands of time and of frequency from the partner."""
    return of_spectra(jm.sample_specmix(key, (*clips.valid.shape, BANDS)), clips)


def cutmix_time(key: PRNGKeyArray, clips: Clips) -> Mixed:
    return of_spectra(jm.sample_cutmix(key, (*clips.valid.shape, BANDS), axes=(1,)), clips)


def draw(key: PRNGKeyArray, clips: Clips, **options: Any) -> jm.Mix:
    return jm.sample_mixup(key, clips.x.shape, per="example", **options)


ROADS: dict[str, Road] = {
    "plain": plain,
    "mixup waveforms": mixup_waveforms,
    "mixup log-mel": mixup_log_mel,
    "BC+": bc_plus,
    "SpecMix": specmix,
    "CutMix time": cutmix_time,
    "mixup waveforms, union": partial(mixup_waveforms, union=True),
}


def masked(key: PRNGKeyArray, x: Float[Array, "b t f"], most: float | Array) -> Array:
    """SpecAugment (Park et al. 2019, arXiv:1904.08779): zero a band of time and of frequency."""

    def outside(key: PRNGKeyArray, n: int) -> Bool[Array, "b n"]:
        width, at = jax.random.uniform(key, (2, len(x), 1)) * jnp.array([most, 1.0])[:, None, None]
        start = at * n * (1 - width)
        place = jnp.arange(n) + 0.5
        return (place < start) | (place > start + width * n)

    key_time, key_band = jax.random.split(key)
    time, band = outside(key_time, x.shape[1]), outside(key_band, x.shape[2])
    return x * (time[:, :, None] & band[:, None, :])


def logits(model: Any, x: Array, valid: Array, *, train: bool) -> Float[Array, "b k"]:
    """The network's logits; its last features are averaged over positions that are not padding."""

    def pooled(layer: int, h: Array) -> Array:
        # One position is left, which the network's own average then leaves as it is.
        return h if layer < 4 else valid_mean(h, valid)[:, None, None]

    return model(x[..., None], train=train, tap=pooled)


def valid_mean(h: Float[Array, "b rows columns c"], valid: Bool[Array, "b t f"]) -> Array:
    """The mean over what is valid; a position of coarser features weighs its valid fraction."""
    (n, t, f), (rows, columns) = valid.shape, h.shape[1:3]
    weight = valid.reshape(n, rows, t // rows, columns, f // columns).mean(axis=(2, 4))
    return jnp.einsum("brs,brsc->bc", weight, h) / weight.sum(axis=(1, 2))[:, None]


def recipe_of(pairs: bool, steps: int, width: int, method: Method) -> Recipe:
    """AdamW on a small CNN: cross-entropy to one digit, or BCE to those of two at once."""
    ways = list(ROADS.values())

    def loss(task: Task) -> tuple[Array, Metrics]:
        key_place, key_pair, key_on, key_mix, key_mask = jax.random.split(task.key, 5)
        clips = place(key_place, task.batch, method.augment)
        clips = overlap(key_pair, clips) if pairs else clips
        which = jnp.asarray(method.road, jnp.int32) * jax.random.bernoulli(key_on, MIXED)
        x, valid, targets = jax.lax.switch(which, ways, key_mix, clips)
        out = logits(task.student, masked(key_mask, x, 0.3 * method.augment), valid, train=True)
        losses = optax.sigmoid_binary_cross_entropy if pairs else optax.softmax_cross_entropy
        return losses(out, targets).mean(), {}

    rate = optax.cosine_decay_schedule(3e-3, steps)
    make_model = lambda rngs: CNN(NUM_CLASSES, channels=1, width=width, rngs=rngs)
    return Recipe(make_model, optax.adamw(rate, weight_decay=method.weight_decay), loss)


def batch_of(size: int, key: PRNGKeyArray, data: tuple[Recordings, Recordings]) -> Recordings:
    rows = jax.random.randint(key, (size,), 0, data[0].y.shape[0])
    return Recordings(*(array[rows] for array in data[0]))


def score(pairs: bool, model: nnx.Module, data: tuple[Recordings, Recordings]) -> Metrics:
    """The fraction of the test clips' digits that are not found."""
    key = jax.random.key(0)
    clips = place(key, data[1], 0.0)
    clips = overlap(key, clips) if pairs else clips
    x, valid = features(clips.x, clips.valid)
    out = logits(model, x, valid, train=False)
    found = jax.lax.top_k(out, 1 + pairs)[1]
    hits = jnp.take_along_axis(clips.targets, found, axis=1)
    return {"error": 1 - hits.mean()}


def study(pairs: bool, *, steps: int, batch: int, width: int) -> SeedTrainer:
    """Trainer for all seeds of a method, one after the other, as the network is not small."""
    recipe = partial(recipe_of, pairs, steps, width)
    return batch_trainer(recipe, partial(batch_of, batch), partial(score, pairs), at_once=False)


SHOWN = ("own", "partner", "mixup waveforms", "BC+", "mixup log-mel", "SpecMix", "CutMix time")


@jax.jit
def mixes(pair: Recordings) -> tuple[dict[str, Array], dict[str, tuple[Array, Array, Array]]]:
    """Two recordings mixed at one half: the sound, and each mix's spectrum, mask and λ."""
    clips, half = place(jax.random.key(0), pair, 0.0), jnp.full(2, 0.5)
    mix = jm.Mix(jm.reverse(), half, half)
    balanced = jm.balance(mix, level(clips))
    bc = jm.restore_energy(balanced, jm.blend(balanced, clips.x))
    heard = {"mixup waveforms": jm.blend(mix, clips.x)[0], "BC+": bc[0]}
    own, where = features(clips.x, clips.valid)
    key, even = jax.random.key(6), jm.constant(0.5)
    drawn = {
        "mixup log-mel": mix,
        "SpecMix": jm.sample_specmix(key, own.shape, lam_law=even),
        "CutMix time": jm.sample_cutmix(key, own.shape, axes=(1,), box="inside", lam_law=even),
    }
    flat = jnp.ones(own.shape[1:])
    shown = {"own": (own[0], flat, flat[0, 0]), "partner": (own[1], 0 * flat, 0 * flat[0, 0])}
    for name, x in (("mixup waveforms", None), ("BC+", bc)):
        shown[name] = (of_waves(mix, clips, x)[0][0], flat / 2, half[0])
    for name, mix in drawn.items():
        lam = jm.reweigh(mix, where).lam[0] if mix.mask.ndim > 1 else mix.lam[0]
        shown[name] = (jm.blend(mix, own)[0], mix.mask[0] * flat, lam)
    return {"own": clips.x[0], "partner": clips.x[1], **heard}, shown


def hear(out: Path, data: Recordings) -> None:
    """A loud recording, a quiet one and their mixes: spectra.png, and one by one, mixes.wav."""
    rows = [np.flatnonzero(data.speaker == s) for s in (2, 4)]
    pair = np.array([rows[0][len(rows[0]) * 3 // 10], rows[1][len(rows[1]) * 7 // 10]])
    heard, shown = mixes(Recordings(*(array[pair] for array in data)))
    waves = [np.asarray(heard[name]) for name in SHOWN[:4]]
    sound = np.concatenate([np.pad(x / np.abs(x).max(), (0, RATE // 5)) for x in waves])
    with wave.open(str(out / "mixes.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
        file.writeframes((2**15 * 0.9 * sound).astype("<i2").tobytes())
    figure = Figure(figsize=(2 * len(shown), 3.8), layout="constrained")
    axes = figure.subplots(2, len(shown))
    for column, name in zip(axes.T, SHOWN, strict=True):
        spectrum, mask, lam = shown[name]
        style: dict[str, Any] = {"origin": "lower", "aspect": "auto"}
        column[0].imshow(np.asarray(spectrum).T, vmin=-1.2, vmax=1.8, **style)
        column[1].imshow(np.asarray(mask).T, "gray", vmin=0, vmax=1, **style)
        column[0].set_title(name, size=10)
        column[1].set_xlabel(f"own label {lam:.0%}")
    axes[0, 0].set_ylabel("log-mel over time")
    axes[1, 0].set_ylabel("mask, white: own")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.savefig(out / "spectra.png", dpi=100)
