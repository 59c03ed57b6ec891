"""big_vision, scenic, deit3-jax, vmoe, Perch: what their code gave, and what the page's gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup import distributions
from tests.library.migrating.cases import FILES, Case, shown
from tests.library.parity.cases import KEY, f32, i32, run, same

DEVICES = 8
NAMES = ("big_vision", "scenic", "av_mae", "deit3", "vmoe", "perch_pipeline", "perch_generalized")


def test_each_file_says_where_its_numbers_come_from():
    for path in FILES.glob("*.npz"):
        (repository, commit), what = str(Case(path.stem).source).split(" ", 1)[0].split("@"), path
        assert "/" in repository and len(commit) == 40, what
    assert {path.stem for path in FILES.glob("*.npz")} >= set(NAMES)


def given(case):
    """What the page's code takes: a key, the images, and class ids."""
    names = {"key": KEY, "images": f32(case.images), "labels": i32(case.ids)}
    return names | {"model": lambda x: jnp.zeros((len(x), 10))}


def test_big_vision(monkeypatch):
    case = Case("big_vision")

    def ours(drawn):
        monkeypatch.setattr(distributions, "symmetric_beta", lambda *_: drawn[None])
        names = shown("big_vision", **given(case))
        return (names["x"], names["y"]), names["same"]

    for mixed, labels in run(jax.vmap(ours), case.drawn):
        same(mixed, case.mixed)
        same(labels, case.labels)


def test_big_vision_siglip():
    """The page's loss is theirs of the two texts, by λ and 1 - λ, and so is its gradient."""
    case = Case("big_vision_siglip")
    images = jnp.zeros((16, 2, 2, 1))

    def ours(zimg):
        towers = iter((zimg, f32(case.ztxt)))
        names = {"key": KEY, "images": images, "labels": i32(np.arange(16) % 10)}
        names = shown("big_vision", model=lambda _: next(towers), **names)
        return names["loss"], names["mix"].lam[0]

    (loss, lam), slope = run(jax.value_and_grad(ours, has_aux=True), case.zimg)
    assert 0.01 < lam < 0.99
    for found, name in ((loss, ""), (slope, "_slope")):
        theirs = lam * case[f"own{name}"] + (1 - lam) * case[f"before{name}"]
        np.testing.assert_allclose(found, theirs, rtol=2e-5, atol=2e-6)


def test_big_vision_alone_and_ids():
    """One example on each device, bfloat16, and ids where labels should be one-hot."""
    case = Case("big_vision")
    assert case.change_alone < 1e-6
    alone = f32(case.images[:DEVICES])
    with pytest.raises(ValueError, match="two examples or more"):
        jm.mixup(KEY, alone, i32(case.ids[:DEVICES]), num_classes=10, pairing=jm.roll(1, DEVICES))
    refuses_ids_and_keeps_bfloat16(case)
    same(case.ids_of_ids[:2], [2.77, 3.23], atol=5e-3)
    assert case.ids[:2].tolist() == [1, 5]


def refuses_ids_and_keeps_bfloat16(case):
    assert case.bytes_of_bf16 == 4
    assert (case.ids_of_ids % 1 != 0).any()
    mix = jm.sample_mixup(KEY, case.ids.shape)
    assert jm.blend(mix, jnp.asarray(case.images, jnp.bfloat16)).dtype == jnp.bfloat16
    with pytest.raises(TypeError, match="dtype"):
        jm.blend(mix, i32(case.ids))


def first_of_groups(drawn, rows):
    """These draws for the first example of each group, and others that must not count."""
    return jnp.full((rows, *drawn.shape[1:]), 0.5).at[:: rows // DEVICES].set(drawn)


def test_scenic(draw):
    """Under jit with a draw for each group, and in a mapped step with the axis `batch`."""
    case = Case("scenic")
    parts = [f32(case.images).reshape(DEVICES, 2, 6, 6, 1), i32(case.ids).reshape(DEVICES, 2)]

    def grouped(drawn):
        draw(first_of_groups(drawn, 16))
        names = shown("scenic", **given(case))
        return names["x"], names["y"]

    def mapped(drawn):
        draw(jnp.ones(16))  # for the rest of the page's code
        in_pmap = shown("scenic", **given(case))["in_pmap"]

        def one(drawn, images, labels):
            draw(drawn)
            return in_pmap(KEY, images, labels)

        return jax.vmap(one, axis_name="batch")(drawn, *parts)

    for mixed, labels in (run(grouped, case.drawn), run(mapped, case.drawn)):
        same(mixed.reshape(case.images.shape), case.mixed)
        same(labels.reshape(-1, 10), case.labels)


def test_scenic_batch_and_ids():
    case = Case("scenic")
    assert case.batch_changed and case.batch_last_fails
    refuses_ids_and_keeps_bfloat16(case)
    mix = jm.sample_mixup(KEY, case.ids.shape)
    last = jnp.moveaxis(jm.blend(mix, jnp.moveaxis(f32(case.images).T, -1, 0)), 0, -1)
    same(last.T, jm.blend(mix, f32(case.images)))


def switched(cut, centre):
    """The uniform numbers of a choice between mixup and CutMix, and of a box."""
    return jnp.concatenate([1.0 - cut[None], jnp.zeros(1), centre])


def test_av_mae(draw):
    case = Case("av_mae")

    def ours(cut, lam, centre):
        draw(lam, switched(cut, (centre + 0.5) / f32([12, 10])))
        names = shown("scenic av_mae", blocks=slice(0, 1), **given(case))
        return names["x"], names["y"]

    assert 0 < case.cut.sum() < len(case.cut)
    mixed, labels = run(jax.vmap(ours), case.cut, case.lam, case.centre)
    same(mixed, case.mixed)
    same(labels, case.labels)


def test_av_mae_video(draw):
    case = Case("av_mae")
    first = int(np.argmax(case.cut))

    def ours(cut, lam, centre):
        draw(lam, switched(cut, (centre + 0.5) / f32([12, 10])))
        return shown("scenic av_mae", blocks=slice(1, 2), **given(case))["clips"]

    clips = run(ours, case.cut[first], case.lam[first], case.centre[first])
    same(case.videos, np.stack([case.images, case.images[::-1]], axis=1))
    same(clips, case.video)


def test_av_mae_bfloat16_traced_alpha_and_boxes():
    case = Case("av_mae")
    assert case.bf16_fails and case.traced_alpha_fails
    images = jnp.asarray(case.images, jnp.bfloat16)
    options = {"num_classes": 10, "box": "even"}

    def ours(alpha):
        mixed = jm.mixup_or_cutmix(KEY, images, i32(case.ids), cutmix_alpha=alpha, **options)[0]
        boxes = [
            jm.sample_cutmix(KEY, (20_000, n, n), per="example", box=box).lam.mean()
            for n in (32, 224)
            for box in ("even", "clipped")
        ]
        return mixed.astype(jnp.float32), boxes

    mixed, boxes = run(ours, 1.0)
    assert np.isfinite(mixed).all()
    np.testing.assert_allclose(case.share, [0.701, 0.683], atol=2e-3)
    np.testing.assert_allclose(boxes, [0.701, 0.679, 0.682, 0.679], atol=8e-3)


def test_deit3(draw, monkeypatch):
    """In the last two cases our box has other ends, each at most one pixel away."""
    case = Case("deit3")

    def ours(cut, lam, centre, index):
        draw(lam, switched(cut, centre[::-1]))
        monkeypatch.setattr(jm, "permutation", lambda *_: i32_of(index))
        names = shown("deit3-jax", **given(case))
        soft = jm.blend_labels(names["mix"], i32(case.ids), num_classes=10)
        return names["x"], soft

    arguments = case.cut, case.lam, case.centre, case.index
    mixed, labels = run(jax.vmap(ours), *arguments)
    assert case.cut.tolist() == [0, 0, 1, 1, 1, 1]
    same(mixed[:4], case.mixed[:4])
    same(labels[:4], case.labels[:4])
    for own, theirs, index in zip(mixed[4:], case.mixed[4:], case.index[4:], strict=True):
        assert index[0] != 0
        masks = [(x[0, :, :, 0] == case.images[0, :, :, 0]) for x in (own, theirs)]
        assert (masks[0] != masks[1]).any()
        for axis in (0, 1):
            ends = [np.flatnonzero(~mask.all(axis=1 - axis))[[0, -1]] for mask in masks]
            assert np.abs(ends[0] - ends[1]).max() <= 1


def i32_of(index):
    return index.astype(jnp.int32)


def test_deit3_losses_and_accuracy(draw, monkeypatch):
    case = Case("deit3")

    def ours(lam, index, logits):
        draw(lam, switched(jnp.float32(0), jnp.zeros(2)))
        monkeypatch.setattr(jm, "permutation", lambda *_: i32_of(index))
        names = shown("deit3-jax", **given(case) | {"model": lambda x: logits})
        return [names[name] for name in ("loss", "bce", "top_1", "top_5", "true")]

    loss, bce, top_1, top_5, true = run(ours, case.loss_lam, case.loss_index, case.logits)
    same(loss, case.ce, atol=1e-5)
    same(bce, case.bce, atol=1e-5)
    # Example 0 is taken for itself, example 1 for its partner, which is the heavier one.
    lam = case.loss_lam
    assert lam < 0.5 and case.acc1[:2].tolist() == [False, True]
    same(top_1[:2], [lam, 1 - lam])
    first = np.argsort(-case.logits, axis=1)[:, :5]
    hits = [(first == ids[:, None]).any(axis=1) for ids in (case.ids, case.ids[case.loss_index])]
    same(top_5, lam * hits[0] + (1 - lam) * hits[1])
    # With label smoothing their criterion takes every class for true.
    assert case.true_classes.tolist() == [[1] * 4, [10] * 4]
    assert (true.sum(axis=1) == 2).all()
    assert np.abs(case.bce_smoothed - case.bce).max() > 0.05


def test_vmoe(weigh):
    """Weights for each device, by the page's code; for each example, and for the batch."""
    case = Case("vmoe")
    rows = len(case.ids)
    pairings = tuple(jm.roll(-i, groups=DEVICES) for i in (1, 2))

    def ours(device, example, batch):
        weigh(first_of_groups(device.reshape(DEVICES, 2), rows))
        names = shown("vmoe", **given(case))
        out = [(names["x"], names["y"])]
        for per, weights in (("example", example.reshape(rows, 3)), ("batch", batch[0])):
            weigh(weights)
            options = {"k": 3, "sort": True, "per": per, "pairings": pairings}
            mix = jm.sample_dirichlet(KEY, (rows,), **options)
            images, labels = f32(case.images), i32(case.ids)
            out.append((jm.blend(mix, images), jm.blend_labels(mix, labels, num_classes=10)))
        return out

    names = ("device", "example", "batch")
    out = run(ours, *(case[f"{name}_weights"] for name in names))
    for name, (mixed, labels) in zip(names, out, strict=True):
        same(mixed, case[f"{name}_mixed"])
        same(labels, case[f"{name}_labels"])


def test_vmoe_setting_and_ids():
    case = Case("vmoe")
    assert case.published_setting_fails
    refuses_ids_and_keeps_bfloat16(case)
    with pytest.raises(ValueError, match="groups of 1"):
        jm.sample_dirichlet(KEY, (DEVICES,), k=2, groups=DEVICES)


def around(rows, values):
    """For each case a batch of three, so that roll(1) and roll(2) bring what theirs drew."""
    return f32(values)[i32(np.maximum(rows, 0)[:, [0, 2, 1]])]


def test_perch_generalized(weigh, monkeypatch):
    case = Case("perch_generalized")

    def ours(audio, tags, weights, count):
        weigh(jnp.broadcast_to(weights, (3, 3)))
        monkeypatch.setattr(jm, "beta", lambda *_: lambda *_: jnp.full((3, 1), 0.5))
        u = jnp.where(f32(np.arange(2)) < count - 1, 0.0, 1.0)
        monkeypatch.setattr(jax.random, "uniform", lambda *_: jnp.broadcast_to(u, (3, 2)))
        names = shown_of_perch(audio, tags, blocks=slice(0, 1))
        return [names[name][0] for name in ("mixed", "weighed", "union")]

    count = (case.rows >= 0).sum(axis=1)
    assert set(count) == {1, 2, 3}
    arguments = around(case.rows, case.audio), around(case.rows, case.label), case.weights, count
    mixed, weighed, union = run(jax.vmap(ours), *arguments)
    same(mixed, case.mixed)
    np.testing.assert_array_equal(union, case.union > 0)
    twice = np.array([len(set(row[row >= 0])) < (row >= 0).sum() for row in case.rows])
    same(weighed[~twice], case.weighed[~twice])
    assert case.rows[0].tolist() == [0, 0, 1] and case.documented_fails
    label = [0.753, 0.235, 0.028]  # as it should be, theirs, and theirs a second time
    same([weighed[0, 1], case.weighed[0, 1], case.weighed_again[0, 1]], label, atol=6e-4)


def test_perch_pipeline(monkeypatch):
    """Their first 1, 2, 3 recordings, as the page's last batch has them."""
    case = Case("perch_pipeline")
    audio, tags = (f32(x[:3])[i32([0, 2, 1])] for x in (case.audio, case.label))

    def ours(count):
        drawn = lambda *_, **__: jnp.broadcast_to(i32_of(count - 1), (3,))
        monkeypatch.setattr(jax.random, "categorical", drawn)
        names = shown_of_perch(audio, tags)
        return [names[name][0] for name in ("total", "union", "sources")]

    for i, out in enumerate(zip(*run(jax.vmap(ours), np.arange(1, 4)), strict=True), start=1):
        same(out[0], case[f"mixed_{i}"])
        np.testing.assert_array_equal(out[1], case[f"union_{i}"])
        same(out[2], case[f"source_{i}"])
    assert case.left_of_3000 == 1923


def shown_of_perch(audio, tags, **options):
    return shown("Perch", key=KEY, audio=audio, tags=tags, **options)
