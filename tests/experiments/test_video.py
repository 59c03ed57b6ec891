"""Video: what is tied over time and what is not, by hand."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jax_mixup as jm
from experiments.data import moving_digits
from experiments.models.cnn3d import CNN3D, Layer
from experiments.video import __main__ as video
from experiments.video import train as video_train
from tests.experiments import pinned
from tests.pages import block, run

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)


def test_readme_ties_the_box_and_fades():
    clips = np.random.default_rng(0).integers(0, 256, (4, 5, 7, 6, 3)).astype(np.uint8)
    labels, motions = np.array([0, 3, 1, 2]), np.array([1, 0, 0, 1])
    names = {"key": KEY, "clips": jnp.asarray(clips), "labels": labels, "motions": motions}
    found = run(block("axes=(2, 3)"), **names)
    mask = np.asarray(found["mix"].mask)
    assert mask.shape == (1, 5, 7, 6) and (mask == mask[:, :1]).all() and 0 < mask.mean() < 1
    lam = mask.mean()
    np.testing.assert_allclose(found["mix"].lam, lam, rtol=1e-6)
    weight = mask[..., None]
    mixed = np.where(weight, clips, clips[::-1]) / 255
    np.testing.assert_allclose(found["inputs"], mixed, rtol=1e-6)
    for name, ids, k in (("label", labels, 10), ("motion", motions, 4)):
        one_hot = np.eye(k)[ids]
        by_hand = lam * one_hot + (1 - lam) * one_hot[::-1]
        np.testing.assert_allclose(found[name], by_hand, rtol=1e-5)
    weights = np.asarray(found["fade"].mask)
    assert weights.shape == (1, 5) and np.ptp(np.diff(weights[0])) < 1e-6
    np.testing.assert_allclose(weights.mean(), found["fade"].lam, rtol=1e-5)
    faded = (
        weights[..., None, None, None] * clips + (1 - weights[..., None, None, None]) * clips[::-1]
    )
    np.testing.assert_allclose(found["faded"], faded / 255, rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, 7, 9, 5), (4, 1, 3, 3), (1, 5, 4, 4)])
def test_cuts_along_their_axes(shape):
    """Odd lengths, one frame, one clip."""
    for key in jax.random.split(KEY, 4):
        for axes in ((2, 3), (1,), None):
            mix = jm.sample_cutmix(key, shape, axes=axes)
            mask = np.asarray(mix.mask)
            assert mask.shape == (1, *shape[1:])
            np.testing.assert_allclose(mix.lam, mask.mean(), rtol=1e-6)
            if axes is not None:
                others = tuple(axis for axis in (1, 2, 3) if axis not in axes)
                whole = mask.any(axis=others, keepdims=True)
                assert (mask == whole).all()
            if axes == (1,) and not mask.all():
                cut = np.flatnonzero(~mask[0, :, 0, 0])
                assert len(cut) == np.ptp(cut) + 1  # one interval


def test_a_frame_of_weights_is_a_mask():
    x = np.random.default_rng(0).random((2, 3, 4, 4, 1)).astype(np.float32)
    weights = np.array([[1.0, 0.5, 0.0], [0.25, 0.5, 1.0]], np.float32)
    mix = jm.Mix(jm.reverse(), jnp.asarray(weights), jnp.asarray(weights.mean(axis=1)))
    for i, t in np.ndindex(2, 3):
        by_hand = weights[i, t] * x[i, t] + (1 - weights[i, t]) * x[1 - i, t]
        np.testing.assert_allclose(jm.blend(mix, x)[i, t], by_hand, rtol=1e-6)
    with pytest.raises(ValueError, match="mask"):  # weights of another number of frames
        jm.blend(mix, x[:, :2])


def test_the_mistakes_are_not_tied_over_frames():
    shape = (2, 8, 16, 16)
    loose, flicker = (
        video_train.SAMPLERS[name](KEY, shape) for name in ("box a frame", "λ a frame")
    )
    frames = np.asarray(loose.mask)[0].reshape(8, -1)
    assert len(np.unique(frames, axis=0)) > 4
    np.testing.assert_allclose(loose.lam, frames.mean(), rtol=1e-5)
    assert len(np.unique(flicker.mask)) == 8 and flicker.mask.shape == (1, 8)
    np.testing.assert_allclose(flicker.lam, np.asarray(flicker.mask).mean(), rtol=1e-5)
    tied = np.asarray(video_train.SAMPLERS["box in all frames"](KEY, shape).mask)[0]
    assert len(np.unique(tied.reshape(8, -1), axis=0)) == 1


def test_digits_go_where_their_label_says():
    made, rest = moving_digits.split(0, train=200, test=3, noise=0.0)
    assert made.x.shape == (200, 10, 18, 18, 1) and len(rest.digit) == 3
    assert set(made.digit) == set(range(5)) and set(made.motion) == set(range(4))
    film = made.x[..., 0]
    total = film.sum((2, 3))
    assert np.ptp(total, axis=1).max() < 1e-3  # the digit is whole in every frame
    grid = np.arange(18)
    centre = np.stack([(film * g).sum((2, 3)) / total for g in (grid[:, None], grid)], axis=-1)
    moved = centre[:, 8:].mean(axis=1) - centre[:, :2].mean(axis=1)
    along = (moved * moving_digits.STEPS[made.motion]).sum(axis=1)
    across = moved - along[:, None] * moving_digits.STEPS[made.motion]
    assert along.min() >= 2 and along.mean() == pytest.approx(4, abs=0.2)
    assert np.abs(across).max() <= 2.001 and abs(across.mean()) < 0.2
    # One frame does not tell the way back from the way there.
    middle = [centre[made.motion == m, :, 1].mean() for m in (0, 1)]
    assert middle[0] == pytest.approx(middle[1], abs=1.0)


def test_windows_are_tied_over_frames_and_refuse_short_clips():
    x = np.arange(2 * 5 * 4 * 4, dtype=np.float32).reshape(2, 5, 4, 4, 1)
    middle = moving_digits.window(None, jnp.asarray(x), (3, 4, 2))
    np.testing.assert_array_equal(middle, x[:, 1:4, :, 1:3])
    for key in jax.random.split(KEY, 3):
        cut = np.asarray(moving_digits.window(key, jnp.asarray(x), (3, 2, 2)))
        first = cut[:, 0, 0, 0, 0].astype(int) % 80
        for row, at in enumerate(first):
            t, i, j = np.unravel_index(at, (5, 4, 4))
            np.testing.assert_array_equal(cut[row], x[row, t : t + 3, i : i + 2, j : j + 2])
    whole = moving_digits.window(KEY, jnp.asarray(x), (5, 4, 4))
    np.testing.assert_array_equal(whole, x)
    one = moving_digits.window(KEY, jnp.asarray(x[:, :1]), (1, 4, 4))
    np.testing.assert_array_equal(one, x[:, :1])
    for shape in ((6, 4, 4), (3, 5, 4), (0, 4, 4)):
        with pytest.raises(ValueError, match="needs clips as large as the window"):
            moving_digits.window(KEY, jnp.asarray(x), shape)


def test_paths_that_do_not_fit_are_refused():
    rng, x, y = np.random.default_rng(0), np.ones((2, 8, 8, 1), np.float32), np.arange(2)
    one = moving_digits.clips(rng, x, y, frames=1, side=10)  # T = 1: no way to go, but a clip
    assert one.x.shape == (2, 1, 10, 10, 1) and (one.x.sum((1, 2, 3, 4)) == 64).all()
    with pytest.raises(ValueError, match="a side of 14 or more: take fewer frames"):
        moving_digits.clips(rng, x, y, frames=9, side=13)
    with pytest.raises(ValueError, match="0 frames"):
        moving_digits.clips(rng, x, y, frames=0, side=13)


def test_the_layer_is_a_convolution():
    layer = Layer(2, 3, (1, 2), dtype=jnp.float32, rngs=nnx.Rngs(0))
    x = jax.random.normal(KEY, (2, 5, 7, 6, 2))  # odd sizes
    found = layer(x, False)
    kernel = layer.linear.kernel[...].reshape(3, 3, 3, 2, 3)  # x, y, t: as the slices are joined
    kernel = kernel.transpose(2, 1, 0, 3, 4)
    dims = ("NDHWC", "DHWIO", "NDHWC")
    same = [(1, 1)] * 3
    by_jax = jax.lax.conv_general_dilated(x, kernel, (1, 2, 2), same, dimension_numbers=dims)
    np.testing.assert_allclose(found, jnp.maximum(by_jax, 0), atol=1e-4)


def test_one_frame_is_a_clip():
    model = CNN3D(7, width=2, rngs=nnx.Rngs(0))
    assert model(jnp.ones((2, 1, 5, 5, 1))).shape == (2, 7)


def test_smoke(tmp_path):
    assert video.main(video.Config(out=tmp_path, smoke=True)) == 0
    pinned.check("video", tmp_path / "smoke")
    out = tmp_path / "smoke"
    assert {path.name for path in out.iterdir()} == {"runs.jsonl", "table.md", "plot.png"}
    runs = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
    assert [done["method"] for done in runs[::2]] == list(video.METHODS)
    for done in runs:  # percent; either label wrong is no less than each, no more than both
        assert max(done["digit"], done["motion"]) <= done["last_error"] + 1e-3
        assert done["last_error"] <= done["digit"] + done["motion"] + 1e-3
