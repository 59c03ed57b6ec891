"""Segmentation: ids survive, void counts nowhere, and losses are what NumPy says."""

import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image

import jax_mixup as jm
from experiments.core import loop
from experiments.core.step import Task
from experiments.data import camvid
from experiments.data.camvid import CLASSES, VOID
from experiments.models.unet import UNet
from experiments.segmentation import __main__ as segmentation
from experiments.segmentation import figures as pictures
from experiments.segmentation import train as training
from tests.experiments import pinned
from tests.pages import block, run

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)
K = len(CLASSES)
IDS = np.random.default_rng(0).integers(0, VOID + 1, (4, 6, 8)).astype(np.int32)
IDS[0, :, :5] = VOID  # rows with unequal counts of what is labelled
LOGITS = np.random.default_rng(1).normal(size=(4, 6, 8, K)).astype(np.float32)
PARTNER = [3, 2, 1, 0]
HARD = ("CutMix", "CowMix", "ClassMix")


def by_hand(logits, ids, void=VOID):
    """Cross-entropy at each position, 0 where void, and what is labelled."""
    labelled = ids != void
    top = logits.max(-1, keepdims=True)
    log_p = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
    own = np.take_along_axis(log_p, np.where(labelled, ids, 0)[..., None], -1)[..., 0]
    return np.where(labelled, -own, 0), labelled.astype(np.float32)


def shared(weight, logits, ids, void=VOID):
    """Both halves' losses, by weight, over both halves' counts, by weight."""
    (own, counted), (other, others) = (by_hand(logits, i, void) for i in (ids, ids[PARTNER]))
    total = weight * own + (1 - weight) * other
    return total.sum() / max((weight * counted + (1 - weight) * others).sum(), 1)


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
def test_soft_mixing_weighs_losses_not_ids(lam):
    mix = jm.sample_mixup(KEY, IDS.shape, lam_law=jm.constant(lam))
    found = training.mixed_loss(mix, LOGITS, IDS)
    np.testing.assert_allclose(found, shared(lam, LOGITS, IDS), rtol=1e-5)
    # The two mistakes: each row's halves over counts of their own, and ids that are averaged.
    parts = [by_hand(LOGITS, ids) for ids in (IDS, IDS[PARTNER])]
    own, other = (np.mean(loss.sum((1, 2)) / n.sum((1, 2))) for loss, n in parts)
    assert abs(lam * own + (1 - lam) * other - float(found)) > 1e-3
    with pytest.raises(TypeError, match="for ids and bool masks call select"):
        jm.blend(mix, IDS)
    with pytest.raises(TypeError, match="pair_loss"):
        jm.select(mix, IDS)


def test_by_lam_is_by_mask_where_the_mask_is_one_number():
    mix = jm.sample_mixup(KEY, IDS.shape, per="example")
    both = [jm.pair_loss(mix, training.losses, LOGITS, IDS, by=by) for by in ("lam", "mask")]
    np.testing.assert_array_equal(*both)


@pytest.mark.parametrize("void", [VOID, 255])
@pytest.mark.parametrize("name", HARD)
def test_under_hard_masks_every_id_survives(name, void):
    ids = np.where(IDS == VOID, void, IDS).astype(np.uint8)
    mix = training.TEACHER_SAMPLERS[name](KEY, jnp.asarray(ids, jnp.int32))
    assert mix.mask.dtype == jnp.bool_ and 0 < float(mix.lam.mean()) < 1
    found = jm.select(mix, ids)
    np.testing.assert_array_equal(found, np.where(mix.mask, ids, ids[PARTNER]))
    assert found.dtype == jnp.uint8 and void in np.unique(found)
    if void == VOID:  # mixing the losses is the loss to the mixed ids
        loss, n = by_hand(LOGITS, np.asarray(found))
        expected = loss.sum() / n.sum()
        np.testing.assert_allclose(training.mixed_loss(mix, LOGITS, IDS), expected, rtol=1e-5)


@pytest.mark.parametrize("name", training.SAMPLERS)
def test_where_all_is_void_the_loss_is_zero(name):
    ids = jnp.full(IDS.shape, VOID)
    mix = training.SAMPLERS[name](KEY, ids)
    loss, grad = jax.value_and_grad(lambda logits: training.mixed_loss(mix, logits, ids))(LOGITS)
    assert loss == 0 and (grad == 0).all()


def test_an_id_that_is_no_class_is_void_to_the_loss():
    """The loader refuses such ids; a teacher or another loader might still bring them."""
    mix = training.SAMPLERS["CutMix"](KEY, IDS)
    no_class = np.random.default_rng(2).choice([-1, 12, 255], IDS.shape)
    strange = np.where(IDS == VOID, no_class, IDS)
    both = [training.mixed_loss(mix, LOGITS, ids) for ids in (IDS, strange)]
    np.testing.assert_array_equal(*both)
    assert np.isfinite(both[0])


def test_masks_of_another_size_are_refused():
    mix = training.SAMPLERS["CutMix"](KEY, IDS)
    with pytest.raises(ValueError, match="resize_mix"):
        jm.select(mix, IDS[:, ::2, ::2])
    with pytest.raises(ValueError, match="resize_mix"):
        training.mixed_loss(mix, LOGITS[:, ::2, ::2], IDS[:, ::2, ::2])
    images = np.zeros((4, 6, 8, 3), np.uint8)
    with pytest.raises(ValueError, match=r"masks of shape \(4, 3, 4\).*nearest"):
        camvid.smaller(images, IDS[:, ::2, ::2].astype(np.uint8), 1)


def test_the_readmes_loss_at_a_coarser_stride():
    """Logits of stride 2: a cell that the box cuts belongs to both masks, by its fractions."""
    names = run(block("def segmentation_loss"))
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (4, 12, 16, 3)).astype(np.uint8)
    ids = np.where(IDS == VOID, 255, IDS).astype(np.int32)
    kernel = rng.normal(size=(3, K)).astype(np.float32)
    model = lambda x: x[:, ::2, ::2] @ kernel
    found = names["segmentation_loss"](model, KEY, images, ids)
    mix = jm.sample_cutmix(KEY, images.shape[:-1], per="example")
    mask = np.asarray(mix.mask, np.float32)
    mixed = np.where(mask[..., None] > 0, images, images[PARTNER]) / np.float32(255)
    share = mask.reshape(4, 6, 2, 8, 2).mean((2, 4))
    assert ((share > 0) & (share < 1)).any()
    expected = shared(share, np.asarray(model(mixed)), ids, void=255)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    nothing = np.full_like(ids, 255)
    assert names["segmentation_loss"](model, KEY, images, nothing) == 0


def test_a_traced_number_chooses_the_sampler():
    choose = jax.jit(
        lambda which: training.chosen([*training.SAMPLERS.values()], which, KEY, jnp.asarray(IDS))
    )
    for which, name in enumerate(training.SAMPLERS):
        mix = choose(jnp.float32(which))
        mask, lam = np.asarray(mix.mask), np.asarray(mix.lam)
        np.testing.assert_allclose(mask.mean((1, 2)), lam, atol=1e-6)
        hard = set(np.unique(mask)) <= {0, 1}
        assert hard == (name != "mixup")
        assert (lam == 1).all() == (name == "plain")
        if name == "ClassMix":  # whole classes stay or go
            for ids, own in zip(IDS, mask, strict=True):
                assert all(len(np.unique(own[ids == i])) == 1 for i in np.unique(ids))
                assert not own[ids == VOID].any()


def test_crops_go_with_their_masks_and_labels_stay_where_they_are():
    masks = np.random.default_rng(4).integers(0, VOID + 1, (9, 10, 12)).astype(np.int32)
    masks[:, 0, 0] = np.arange(9)  # a frame can be recognised
    place = np.arange(9)[:, None, None] * np.ones((1, 10, 12), int)
    images = np.stack([masks, place, np.ones_like(masks)], axis=-1).astype(np.uint8)
    scenes = camvid.Scenes(*[camvid.Frames(images, masks)] * 3)
    data = training.data_of(scenes, scenes.test, range(2), 3)
    assert data.order.shape == (2, 9) and (data.order[0] != data.order[1]).any()
    mine = jax.tree.map(lambda a: a[1], data)
    seen, others, flipped = set(), set(), 0
    draw = jax.jit(lambda key: training.batch_of(key, mine, batch=8, crop=(6, 7)))
    for key in jax.random.split(KEY, 12):
        found = draw(key)
        np.testing.assert_array_equal(found.images[..., 0], found.masks)
        seen |= set(np.unique(found.images[..., 1]).tolist())
        others |= set(np.unique(found.unlabelled[..., 1]).tolist())
        for crop, frame in zip(np.asarray(found.masks), np.asarray(found.images), strict=True):
            whole = np.lib.stride_tricks.sliding_window_view(masks[frame[0, 0, 1]], (6, 7))
            straight = (whole == crop).all((2, 3)).any()
            assert straight or (whole == crop[:, ::-1]).all((2, 3)).any()
            flipped += not straight
    known = set(np.asarray(mine.order[:3]).tolist())
    assert seen == known and others == set(range(9)) - known and 24 < flipped < 72


@pytest.mark.parametrize("labelled", [1, 8, 9])
def test_other_frames_are_those_without_labels_or_any_where_all_have_them(labelled):
    masks = np.zeros((9, 4, 4), np.int32)
    images = (np.arange(9)[:, None, None, None] * np.ones((1, 4, 4, 3))).astype(np.uint8)
    scenes = camvid.Scenes(*[camvid.Frames(images, masks)] * 3)
    data = jax.tree.map(lambda a: a[0], training.data_of(scenes, scenes.test, range(1), labelled))
    draw = jax.jit(lambda key: training.batch_of(key, data, batch=64, crop=(4, 4)))
    found = [np.asarray(draw(key).unlabelled) for key in jax.random.split(KEY, 4)]
    others = np.asarray(data.order[labelled:] if labelled < 9 else data.order)
    np.testing.assert_array_equal(np.unique(found), np.sort(others))


def test_the_teachers_loss_by_hand():
    """The mean over a frame's positions, times its fraction of sure ones; and the labelled part."""
    weak = np.zeros((2, 4, 4, K), np.float32)
    weak[0, :3, :, 5] = 20.0  # three quarters of frame 0 are sure of class 5
    weak[1, ..., 7] = 20.0
    weak[1, :1] = 0.0
    rng = np.random.default_rng(5)
    said = rng.normal(size=(4, 4, 4, K)).astype(np.float32)  # labelled frames, then mixed ones
    ids = rng.integers(0, VOID + 1, (2, 4, 4)).astype(np.int32)
    frames = rng.integers(0, 256, (2, 2, 4, 4, 3)).astype(np.uint8)
    mask = np.zeros((2, 4, 4), bool)
    mask[0, :2], mask[1, :, :1] = True, True
    mix_of = lambda key, guessed: jm.Mix(jm.reverse(), jnp.asarray(mask), jnp.array([0.5, 0.25]))
    inputs = []

    def student(x, train):
        inputs.append(x)
        return jnp.asarray(said)

    batch = training.Batch(frames[0], ids, frames[1])
    teacher = lambda x, train: jnp.asarray(weak)
    task = Task(student, teacher, KEY, jnp.int32(0), batch)
    loss, scores = training.taught(mix_of, task)
    labelled, n = by_hand(said[:2], ids)
    guess = weak.argmax(-1)
    sure = (weak.max(-1) > 0).astype(np.float32)
    guess, sure = (np.where(mask, a, a[::-1]) for a in (guess, sure))
    agree = by_hand(said[2:], guess)[0].mean((1, 2)) * sure.mean((1, 2))
    np.testing.assert_allclose(loss, labelled.sum() / n.sum() + agree.mean(), rtol=1e-5)
    np.testing.assert_allclose(scores["sure"], sure.mean(), rtol=1e-6)
    np.testing.assert_allclose(inputs[0][:2], training.normalise(frames[0]), rtol=1e-5)
    assert np.isfinite(inputs[0]).all() and inputs[0].shape == (4, 4, 4, 3)


def test_scores_by_hand():
    """Void is scored nowhere; all frames make one matrix of counts."""
    rng = np.random.default_rng(6)
    images = rng.integers(0, 256, (4, 6, 8, 3)).astype(np.uint8)
    kernel = rng.normal(size=(3, K)).astype(np.float32)
    model = lambda x, train: x @ kernel
    logits = np.asarray(model(training.normalise(jnp.asarray(images)), False))
    found = logits.argmax(-1)
    # No pixel is near a tie, which another order of summation could decide differently.
    first, second = np.moveaxis(np.sort(logits, axis=-1)[..., :-3:-1], -1, 0)
    assert (first - second).min() > 1e-4 and len(np.unique(found)) > 1
    test = camvid.Frames(images, IDS)
    data = training.data_of(camvid.Scenes(test, test, test), test, range(1), 2)
    scores = training.score(model, jax.tree.map(lambda a: a[0], data))
    kept = IDS != VOID
    ious = []
    for k in range(K):
        both = ((found == k) & (IDS == k)).sum()
        ious.append(both / max((((found == k) | (IDS == k)) & kept).sum(), 1))
    np.testing.assert_allclose(scores["ious"], ious, rtol=1e-6)
    np.testing.assert_allclose(scores["miou"], np.mean(ious), rtol=1e-6)
    np.testing.assert_allclose(scores["accuracy"], (found == IDS)[kept].mean(), rtol=1e-6)
    np.testing.assert_array_equal(scores["shown"], found[pictures.shown_of(4)])
    packed = pictures.packed(found)
    np.testing.assert_array_equal(pictures.unpacked(packed, found.shape), found)


def test_unet_puts_each_pixel_where_it_belongs():
    model = UNet(2, widths=(4, 6), rngs=nnx.Rngs(0))
    model.head.kernel[...] = jnp.zeros_like(model.head.kernel[...])
    model.head.bias[...] = jnp.arange(8.0)  # top left: 0, 1; top right: 2, 3; ...
    out = np.asarray(model(jnp.ones((1, 5, 7, 3)), train=False))
    assert out.shape == (1, 5, 7, 2)
    rows, columns = np.meshgrid(np.arange(5) % 2, np.arange(7) % 2, indexing="ij")
    np.testing.assert_array_equal(out[0, ..., 0], 2 * (2 * rows + columns))
    np.testing.assert_array_equal(out[0, ..., 1], 2 * (2 * rows + columns) + 1)


def archive(path, change=lambda arrays: None):
    """Two frames of 6 x 9 in each part, of one colour each: JPEG keeps such."""
    arrays = {}
    for part in camvid.PARTS:
        files = []
        for grey in (40, 200):
            file = io.BytesIO()
            Image.fromarray(np.full((6, 9, 3), grey, np.uint8)).save(file, "JPEG")
            files.append(np.frombuffer(file.getvalue(), np.uint8))
        arrays[f"{part}_jpeg"] = np.concatenate(files)
        arrays[f"{part}_offsets"] = np.cumsum([0, *map(len, files)])
        arrays[f"{part}_masks"] = np.arange(108, dtype=np.uint8).reshape(2, 6, 9) % (VOID + 1)
    change(arrays)
    np.savez(path, **arrays)
    return path


def test_frames_are_averaged_and_masks_are_not(tmp_path):
    scenes = camvid.read(archive(tmp_path / "a.npz"), factor=3)
    images, masks = scenes.train
    assert images.shape == (2, 2, 3, 3) and images.dtype == np.uint8
    np.testing.assert_allclose(images.mean((1, 2, 3)), [40, 200], atol=1)
    whole = np.arange(108).reshape(2, 6, 9) % (VOID + 1)
    np.testing.assert_array_equal(masks, whole[:, 1::3, 1::3])
    pixels = np.random.default_rng(7).integers(0, 256, (2, 6, 9, 3)).astype(np.uint8)
    found = camvid.smaller(pixels, whole.astype(np.uint8), 3).images
    expected = pixels.reshape(2, 2, 3, 3, 3, 3).astype(float).mean((2, 4))
    np.testing.assert_allclose(found, expected, atol=0.5)


def spoiled(**changes):
    return lambda arrays: arrays.update({k: f(arrays[k]) for k, f in changes.items()})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (spoiled(test_masks=lambda m: np.where(m == 3, 255, m)), "id 255 in a mask.*11 for void"),
        (spoiled(val_masks=lambda m: m[:, :3]), r"masks of shape \(2, 3, 9\).*\(2, 6, 9, 3\)"),
        (spoiled(train_masks=lambda m: m[:1]), "3 train_offsets for 1 masks"),
        (lambda arrays: arrays.pop("val_jpeg"), "without val_jpeg.*train_offsets"),
    ],
)
def test_archives_that_are_refused(tmp_path, change, said):
    with pytest.raises(ValueError, match=said):
        camvid.read(archive(tmp_path / "a.npz", change))


def test_what_the_command_refuses(tmp_path):
    config = segmentation.Config(out=tmp_path)
    with pytest.raises(loop.Stop, match=r"no --data.*train_jpeg.*experiments.data.fetch"):
        segmentation.main(config)
    missing = segmentation.Config(out=tmp_path, data=tmp_path / "none.npz")
    with pytest.raises(loop.Stop, match=r"cannot read 'none.npz'"):
        segmentation.main(missing)
    with pytest.raises(loop.Stop, match="--steps got 7"):
        segmentation.main(segmentation.Config(out=tmp_path, steps=7))
    with pytest.raises(ValueError, match="factor=4 for frames of 6 x 9"):
        camvid.read(archive(tmp_path / "a.npz"), factor=4)


@pytest.mark.slow
def test_smoke_writes_runs_a_table_and_pictures(tmp_path):
    assert segmentation.main(segmentation.Config(out=tmp_path, smoke=True)) == 0
    pinned.check("segmentation", tmp_path / "smoke")
    out = tmp_path / "smoke"
    files = {path.name for path in out.iterdir()}
    pictures = {"plot.png", "predictions.png", "mixes.png"}
    assert files == {"runs.jsonl", "choose.jsonl", "table.md", *pictures}
    runs = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
    assert len(runs) == 2 * len(segmentation.METHODS)
    first = {line["method"]: line for line in runs if line["seed"] == 0}
    losses = {found["loss"] for found in first.values()}
    assert len(losses) == len(first)  # each learns something else
    for found in first.values():
        assert len(found["curve"]) == segmentation.CHECKS and found["chosen"] in segmentation.DECAYS
        assert 0 <= found["miou"] <= 100 and found["miss"] == pytest.approx(100 - found["miou"])
        assert found["curve"][-1] == pytest.approx(found["miss"])  # what is chosen by falls
    table = (out / "table.md").read_text()
    assert segmentation.GROUP in table and "mIoU" in table
    assert str(tmp_path) not in (out / "runs.jsonl").read_text()
    for name in pictures:
        with Image.open(out / name) as picture:
            assert picture.size[0] > 500


def test_the_verdict_is_the_rule():
    group = segmentation.GROUP

    def runs(*gains, taught=58.0, rare=9.0):
        misses = {"no teacher": 60.0, "teacher": taught}
        return [
            {"group": group, "method": method, "seed": seed, "miss": miss, "rare": rare}
            for seed, gain in enumerate(gains)
            for method, miss in (misses | {"teacher, CutMix": taught - gain}).items()
        ]

    for gains, said in (((2, 2.1, 2.2), "PASS"), ((0.5, 0.6, 0.5), "FAIL"), ((-5, 8, 3), "FAIL")):
        assert segmentation.RULE(runs(*gains)).endswith(f"{said}.")
    for missed in ({"taught": 60.5}, {"rare": 5.0}):  # nothing to learn from the teacher, or at all
        found = segmentation.RULE(runs(2, 2.1, 2.2, **missed))
        assert found.endswith("missed, so that there is no verdict.")
