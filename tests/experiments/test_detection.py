"""Detection: boxes, weights and their losses by hand, what a mix does to them, and the script."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from experiments.core import loop
from experiments.data import digits, scenes
from experiments.data.scenes import Found, Scenes
from experiments.detection import __main__ as detection
from experiments.detection import train as detection_train
from experiments.models import detector
from tests.experiments import pinned
from tests.pages import block, run

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)
X, Y = digits.digits()
MIXED = jax.jit(detection_train.mixed, static_argnums=0)
JITTERED = jax.jit(detection_train.jittered)
NOTHING = lambda n: jm.Mix(jm.reverse(), jnp.ones((1, 32, 32), bool), jnp.ones(n))
HALF = jm.Mix(jm.reverse(), jnp.broadcast_to(jnp.arange(16) < 8, (1, 16, 16)), jnp.full(2, 0.5))


def pair(*boxes, weights=((1.0, 0.0), (1.0, 1.0))):
    """Two scenes of 16 x 16, all 0 and all 1, with two boxes each; class 99 is padding."""
    images = jnp.broadcast_to(jnp.array([0.0, 1.0])[:, None, None, None], (2, 16, 16, 1))
    boxes, weights = jnp.array(boxes, jnp.float32).reshape(2, 2, 4), jnp.array(weights)
    labels = jnp.where(weights > 0, jnp.array([[1, 2], [3, 4]]), 99)
    return Scenes(images, boxes, weights, labels, (boxes[..., :2] + boxes[..., 2:]) / 2, weights)


PAIR = pair([2, 2, 6, 6], [0, 0, 0, 0], [4, 7, 8, 11], [10, 1, 14, 5])


def test_scenes_hold_what_their_lists_say():
    made, ids = scenes.compose(np.random.default_rng(0), X[:100], Y[:100], 30)
    counts = made.weights.sum(1)
    assert set(counts) == {1, 2, 3, 4} and made.images.shape == (30, 32, 32, 1)
    for image, boxes, weights, labels, points, visible in zip(*made, strict=True):
        n = int(weights.sum())
        assert (weights[:n] == 1).all() and (visible == weights).all() and not boxes[n:].any()
        outside = np.ones((32, 32), bool)
        for box, point in zip(boxes[:n].astype(int), points[:n], strict=True):
            inside = image[box[0] : box[2], box[1] : box[3], 0]
            outside[box[0] : box[2], box[1] : box[3]] = False
            assert inside.size and all(e.max() > scenes.INK for e in (inside[0], inside[-1]))
            assert all(edge.max() > scenes.INK for edge in inside.T[[0, -1]])  # tight
            assert (box[:2] < point).all() and (point < box[2:]).all()
        assert image[outside].max() < 0.25 and (labels[n:] == 0).all()
        for i in range(n):
            assert (scenes.iou(boxes[i], np.delete(boxes[:n], i, axis=0)) < 0.05).all()
    wrong = (ids > 0) != (made.images[..., 0] > scenes.INK)  # where rounding decides
    assert wrong.mean() < 1e-3 and ids.dtype == np.int32
    boxes = jm.mix_objects(NOTHING(30), ids, made.weights)[2][:, :4]
    assert (boxes != made.boxes).mean() < 0.02  # where a later digit hides an earlier one's edge


def test_overlap_by_hand():
    box = np.array([0.0, 0, 2, 4])
    others = np.array([[0, 0, 2, 4], [1, 0, 3, 4], [0, 2, 2, 8], [2, 4, 4, 6], [1, 1, 1, 1]])
    expected = [1, 4 / 12, 4 / 16, 0, 0]
    np.testing.assert_allclose(scenes.iou(box, others.astype(float)), expected)
    assert scenes.iou(np.zeros(4), np.zeros((1, 4))).tolist() == [0]  # no area, no NaN


def truth(boxes, labels, weights):
    n, m = np.shape(labels)
    arrays = [np.array(a, np.float32) for a in (boxes, weights)]
    places = np.zeros((n, m, 2), np.float32), arrays[1]
    return Scenes(np.zeros((n, 4, 4, 1), np.float32), *arrays, np.array(labels), *places)


def test_average_precision_by_hand():
    a, b, away = [0, 0, 4, 4], [8, 8, 12, 12], [20, 20, 24, 24]
    objects = truth([[a, b], [a, b]], [[1, 1], [1, 1]], [[1, 1], [1, 0]])  # three count
    found = lambda *rows: Found(*(np.array(part) for part in rows))
    ap = lambda *rows: scenes.average_precision(found(*rows), objects)
    # By score: right, a second one on the same object, right, one on padding, never the third.
    scores, labels = [[0.9, 0.7, 0.0], [0.8, 0.6, 0.0]], [[1, 1, 0], [1, 1, 0]]
    boxes = [[a, b, away], [a, b, away]]
    assert ap(scores, labels, boxes) == pytest.approx((1 + 1 + 1) / 3)
    twice = [[a, a, away], [away, b, away]]
    assert ap(scores, labels, twice) == pytest.approx(1 / 3)  # hit, miss, miss, miss
    late = [[away, a, away], [a, b, away]]  # miss, hit, hit, miss: the precision at 2 hits is 2/3
    assert ap(scores, labels, late) == pytest.approx((2 / 3 + 2 / 3) / 3)
    assert ap(scores, [[2, 2, 2]] * 2, boxes) == 0
    shifted = lambda by: np.array(boxes) + np.array([0, by, 0, by])
    assert ap(scores, labels, shifted(1.3)) == pytest.approx(1)  # IoU 2.7/5.3 is enough
    assert ap(scores, labels, shifted(1.4)) == 0  # 2.6/5.4 is not
    two = truth([[a, b]], [[1, 2]], [[1, 1]])
    half = found([[0.9, 0.2]], [[1, 1]], [[a, away]])
    assert scenes.average_precision(half, two) == pytest.approx((1 + 0) / 2)  # a mean of classes
    left_out = [[0.9, 0.7, 0.0]], [[1, 1, 0]], [[a, b, away]]
    alone = scenes.average_precision(found(*left_out), jax.tree.map(lambda a: a[:1], objects))
    without = scenes.without_each(found(scores, labels, late), objects, 2)
    assert without == [pytest.approx(1), pytest.approx(1 / 4)] and alone == 1
    with pytest.raises(ValueError, match="scenes without an object"):
        scenes.average_precision(half, truth([[a, b]], [[1, 2]], [[0, 0]]))


def test_under_mixup_boxes_are_joined_and_not_averaged():
    mix = jm.Mix(jm.reverse(), jnp.array([0.25]), jnp.full(2, 0.25))
    out = detection_train.joined(mix, PAIR)
    np.testing.assert_allclose(out.images[:, 0, 0, 0], [0.75, 0.25])
    assert out.weights.tolist() == [[0.25, 0, 0.75, 0.75], [0.25, 0.25, 0.75, 0]]
    assert out.visible.tolist() == out.weights.tolist()
    assert out.labels.tolist() == [[1, 99, 3, 4], [3, 4, 1, 99]]
    both = np.asarray(PAIR.boxes)
    np.testing.assert_array_equal(out.boxes[0], np.concatenate([both[0], both[1]]))
    wrong = 0.25 * both[0, 0] + 0.75 * both[1, 0]  # of a 2 by 2 and a 4 by 7 corner
    assert (scenes.iou(wrong, both[:, 0]) < 0.5).all()


def test_under_cutmix_what_lies_outside_is_dropped_and_the_rest_cut():
    """Columns 0 to 7 are the example's own, the others its partner's."""
    out = detection_train.joined(HALF, PAIR)
    # Row 1's box at columns 7 to 11: one of four is its own. Row 0 gets the other three.
    assert out.weights.tolist() == [[1, 0, 1, 0], [0, 1, 0, 0]]
    np.testing.assert_array_equal(out.boxes[0, 2], [4, 8, 8, 11])
    np.testing.assert_array_equal(out.boxes[0, 0], [2, 2, 6, 6])
    np.testing.assert_array_equal(out.boxes[1, 1], [10, 1, 14, 5])
    assert out.visible.tolist() == [[1, 0, 1, 0], [0, 1, 0, 0]]  # of the centres at column 9, 3


@pytest.mark.slow
def test_padding_and_boxes_without_an_area_never_come_alive():
    flat = pair([2, 2, 2, 6], [0, 0, 0, 0], [4, 6, 8, 11], [-9, -9, -5, -5])
    four = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), PAIR, flat)
    ids = jnp.zeros((4, 16, 16), jnp.int32).at[:, 2:6, 2:6].set(1).at[1, 10:, 1:5].set(2)
    for kind, times in zip(detection_train.KINDS, (1, 2, 2, 4, 2), strict=True):
        for key in jax.random.split(KEY, 5):
            out = MIXED(kind, key, four, ids)
            assert out.weights.shape == (4, 2 * times) == out.labels.shape
            assert (out.weights[out.labels == 99] == 0).all() and (out.weights > 0).any()
            if kind in ("CutMix", "mosaic", "copy-paste"):
                assert (detection_train.area(out.boxes)[out.weights > 0] > 0).all()
                assert out.boxes[out.weights > 0].min() >= 0
    moved, _ = JITTERED(KEY, four, ids, 1.0)
    assert moved.weights[0, 1] == moved.weights[2, 0] == moved.weights[3, 1] == 0
    room = detection_train.padded(four, 5)
    assert room.boxes.shape == (4, 5, 4) and (room.weights[:, 2:] == 0).all()
    np.testing.assert_array_equal(room.weights[:, :2], four.weights)


def test_a_mosaic_shows_four_scenes_each_at_its_place():
    rows = jnp.arange(8.0)
    place = jnp.stack(jnp.meshgrid(jnp.arange(16.0), jnp.arange(16.0), indexing="ij"), -1)
    images = 1000 * rows[:, None, None, None] + (16 * place[..., :1] + place[..., 1:])[None]
    empty = jax.tree.map(lambda a: jnp.tile(a[:1], (8,) + (1,) * (a.ndim - 1)), PAIR)
    boxes = jnp.tile(jnp.array([0.0, 0, 16, 16]), (8, 2, 1))
    scene = empty._replace(images=images, boxes=boxes, labels=jnp.tile(rows[:, None], 2))
    down, right = detection_train.cuts(KEY, 8, (16, 16))
    out = MIXED("mosaic", KEY, scene, jnp.zeros((8, 16, 16), jnp.int32))
    image = np.asarray(out.images[..., 0])
    np.testing.assert_array_equal(image % 1000, images[0, ..., 0][None].repeat(8, 0))
    for row in range(8):
        corners = [int(image[row, y, x] // 1000) for y in (0, -1) for x in (0, -1)]
        assert len(set(corners)) == 4 and corners[0] == row
        cut = int(down.mask[row, :, 0].sum()), int(right.mask[row, 0].sum())
        assert (image[row, : cut[0], : cut[1]] // 1000 == row).all()
        # A box of the whole scene becomes its visible part.
        alive = np.asarray(out.weights[row]) > 0
        lists = np.asarray(out.labels[row])[alive], np.asarray(out.boxes[row])[alive]
        seen = {int(name): box.tolist() for name, box in zip(*lists, strict=True)}
        assert set(seen) <= set(corners)
        if row in seen:
            assert seen[row] == [0, 0, *cut]
        for name, box in seen.items():
            y0, x0, y1, x1 = map(int, box)
            assert (image[row, y0:y1, x0:x1] // 1000 == name).all()
    assert all(4 <= count <= 12 for count in down.mask[:, :, 0].sum(1))
    np.testing.assert_allclose(right.lam, right.mask[:, 0].mean(-1))


def test_pasted_digits_bring_their_classes_and_hide_what_lies_below():
    ids = jnp.zeros((2, 16, 16), jnp.int32).at[0, 2:6, 2:6].set(1)
    ids = ids.at[1, 4:8, 7:11].set(1).at[1, 3:7, 2:6].set(2)
    scene = pair([2, 2, 6, 6], [0, 0, 0, 0], [4, 7, 8, 11], [3, 2, 7, 6])
    seen = set()
    for key in jax.random.split(KEY, 20):
        out = MIXED("copy-paste", key, scene, ids)
        one, two = (np.asarray(out.weights[0, k]) > 0 for k in (2, 3))
        seen.add((bool(one), bool(two)))
        assert out.labels.tolist() == [[1, 99, 3, 4], [3, 4, 1, 99]]
        expected = np.zeros((16, 16))
        expected[4:8, 7:11] = one
        expected[3:7, 2:6] = two
        np.testing.assert_array_equal(out.images[0, ..., 0], expected)
        # Under the pasted second digit three quarters of the own one are hidden: it drops out.
        assert out.weights[0, :2].tolist() == [float(not two), 0]
        assert not one or out.boxes[0, 2].tolist() == [4, 7, 8, 11]
        assert not two or out.boxes[0, 3].tolist() == [3, 2, 7, 6]
        assert out.visible[0, 0] == float(not two) and out.visible[0, 2] == float(one)
    assert len(seen) == 4
    off = MIXED("copy-paste", KEY, scene, ids, 0.0)
    np.testing.assert_array_equal(off.images, scene.images)
    np.testing.assert_array_equal(off.boxes[:, :2] * off.weights[:, :2, None], scene.boxes)


def test_ids_move_with_their_digits():
    made, ids = scenes.compose(np.random.default_rng(1), X[:100], Y[:100], 40)
    made, ids = jax.tree.map(jnp.asarray, (made, ids))
    _, same = JITTERED(KEY, made, ids, 0.0)
    np.testing.assert_array_equal(same, ids)
    moved, there = JITTERED(KEY, made, ids, 1.0)
    boxes = np.asarray(jm.mix_objects(NOTHING(40), there, moved.weights)[2][:, :4])
    counts = np.asarray(moved.weights) > 0
    assert np.abs(boxes - np.asarray(moved.boxes))[counts].mean() < 0.5 and counts.sum() > 50
    ink, bare = (np.asarray(moved.images)[..., 0][m] for m in (np.asarray(there) > 0, there == 0))
    assert ink.mean() > 0.6 and bare.mean() < 0.2


def test_jitter_moves_boxes_and_centres_with_the_picture():
    image = np.zeros((40, 32, 32, 1), np.float32)
    image[:, 10:18, 12:20] = 1
    box = np.tile(np.float32([10, 12, 18, 20]), (40, 1, 1))
    made = truth(box, np.ones((40, 1), int), np.ones((40, 1)))
    made = made._replace(images=image, points=np.tile(np.float32([14, 16]), (40, 1, 1)))
    made = jax.tree.map(jnp.asarray, made)
    none = jnp.zeros((40, 32, 32), jnp.int32)
    still, moved = (JITTERED(KEY, made, none, strength)[0] for strength in (0.0, 1.0))
    np.testing.assert_allclose(still.images, image, atol=1e-5)
    np.testing.assert_allclose(still.boxes, box, atol=1e-5)
    at = np.arange(32) + 0.5
    mass = np.asarray(moved.images[..., 0])
    centre = np.stack([(mass.sum(2) * at).sum(1), (mass.sum(1) * at).sum(1)], 1)
    centre = centre / mass.sum((1, 2))[:, None]
    assert (moved.weights == 1).all() and (moved.visible == 1).all()
    np.testing.assert_allclose(moved.points[:, 0], centre, atol=0.1)
    np.testing.assert_allclose(
        (moved.boxes[:, 0, :2] + moved.boxes[:, 0, 2:]) / 2, centre, atol=0.1
    )
    sides = np.sqrt(mass.sum((1, 2)))
    np.testing.assert_allclose(moved.boxes[:, 0, 2] - moved.boxes[:, 0, 0], sides, atol=0.15)
    assert sides.min() < 6.7 and sides.max() > 9.6 and np.ptp(centre[:, 0]) > 4
    corner = made._replace(boxes=made.boxes - 16, points=made.points - 16)
    gone, _ = JITTERED(KEY, corner, none, 1.0)
    assert (gone.weights == 0).any() and (gone.visible == 0).any()
    assert gone.boxes[gone.weights > 0].min() >= 0


def softplus(x):
    return np.log1p(np.exp(x))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_each_object_s_loss_has_its_weight():
    """One scene of one by two cells, three classes; objects in the first cell only."""
    rng = np.random.default_rng(0)
    heat, shape = rng.normal(size=(1, 1, 2, 3)), rng.normal(size=(1, 1, 2, 4))
    boxes = np.array([[[0, 0, 4, 2], [1, 1, 3, 3], [0, 4, 4, 8], [0, 4, 4, 8.0]]])
    weights, labels = np.array([[0.25, 0.75, 0, 0]]), np.array([[0, 2, 1, 1]])
    maps = detector.Maps(jnp.float32(heat), jnp.float32(shape))
    got = detector.loss(maps, *map(jnp.asarray, (boxes, weights, labels)))
    ask = [
        np.concatenate([[(y / 4 - 0.5), x / 4 - 0.5], np.log(np.array(sides) / 10)])
        for (y, x), sides in (((2, 1), (4, 2)), ((2, 2), (2, 2)))
    ]
    z = heat[0, 0]
    missed = lambda z: sigmoid(-z) ** 2 * softplus(-z)
    expected = sum(
        w * (missed(z[0, k]) + np.abs(shape[0, 0, 0] - a).sum())
        for w, k, a in zip((0.25, 0.75), (0, 2), ask, strict=True)
    )
    false = sigmoid(z) ** 2 * softplus(z)
    expected += false[0, 1] + false[1].sum()  # all that is no object, padding's cell too
    np.testing.assert_allclose(got, expected, rtol=1e-5)  # the weights' sum is 1
    other = detector.loss(maps, jnp.asarray(boxes), jnp.asarray(weights), jnp.array([[0, 2, 0, 2]]))
    np.testing.assert_array_equal(got, other)


def test_an_empty_list_and_a_box_without_an_area_have_a_loss_and_a_gradient():
    maps = detector.Maps(jnp.zeros((1, 2, 2, 3)), jnp.zeros((1, 2, 2, 4)))
    ids = jnp.zeros((1, 2), jnp.int32)
    of = lambda maps, boxes, weights: detector.loss(maps, boxes, weights, ids)
    empty = of(maps, jnp.zeros((1, 2, 4)), jnp.zeros((1, 2)))
    np.testing.assert_allclose(empty, 12 * 0.25 * np.log(2), rtol=1e-6)  # 12 places without one
    flat = jnp.array([[[3.0, 3, 3, 3], [2, 2, 2, 5]]])
    grads = jax.grad(of)(maps, flat, jnp.array([[1.0, 0.5]]))
    assert all(jnp.isfinite(g).all() for g in grads) and jnp.isfinite(
        of(maps, flat, jnp.ones((1, 2)))
    )


def test_detections_are_the_peaks_and_boxes_come_back():
    boxes = jnp.array([[[1.0, 2, 9, 14], [20, 21, 31, 30]]])
    cells = detector.cells_of(boxes, (8, 8))
    assert cells.tolist() == [[[1, 2], [6, 6]]]
    beyond = jnp.array([[[-9.0, -9, -5, -5], [40, 40, 44, 44]]])
    assert detector.cells_of(beyond, (8, 8)).tolist() == [[[0, 0], [7, 7]]]
    shape = jnp.zeros((1, 8, 8, 4)).at[0, [1, 6], [2, 6]].set(detector.shapes_of(boxes, cells)[0])
    heat = jnp.full((1, 8, 8, 3), -9.0).at[0, 1, 2, 1].set(2.0).at[0, 6, 6, 2].set(1.0)
    heat = heat.at[0, 1, 3, 1].set(1.5).at[0, 2, 3, 0].set(0.5)  # a neighbour; another class
    scores, labels, found = detector.detect(detector.Maps(heat, shape), most=4)
    np.testing.assert_allclose(scores[0, :3], sigmoid(np.array([2, 1, 0.5])), rtol=1e-6)
    assert labels[0, :3].tolist() == [1, 2, 0] and scores[0, 3] < 1e-3
    np.testing.assert_allclose(found[0, :2], boxes[0], rtol=1e-5)


def test_the_readme_s_block():
    images = jnp.zeros((2, 16, 16, 3), jnp.uint8).at[1].set(255)
    given = {"key": KEY, "images": images, "boxes": PAIR.boxes, "weights": PAIR.weights}
    given |= {"ids": PAIR.labels, "points": PAIR.points, "visible": PAIR.visible}
    sums = lambda inputs, boxes, ids: ids + inputs.mean((1, 2, 3))[:, None]
    names = run(block("mix_boxes"), box_losses=sums, **given)
    lam = float(names["mix"].lam[0])
    assert 0 < lam < 1
    np.testing.assert_allclose(names["inputs"][:, 0, 0, 0], [1 - lam, lam], atol=1e-6)
    weights = np.array([[lam, 0, 1 - lam, 1 - lam], [lam, lam, 1 - lam, 0]])
    np.testing.assert_allclose(names["weights"], weights, atol=1e-6)
    np.testing.assert_allclose(names["visible"], weights, atol=1e-6)
    losses = np.array([[1, 99, 3, 4], [3, 4, 1, 99]]) + np.array([[1 - lam], [lam]])
    loss = names["loss_fn"](lambda inputs: inputs)
    np.testing.assert_allclose(loss, (weights * losses).sum() / weights.sum(), rtol=1e-5)
    nothing = run(block("mix_boxes"), box_losses=sums, **given | {"weights": jnp.zeros((2, 2))})
    assert nothing["loss_fn"](lambda inputs: inputs) == 0


@pytest.mark.slow
def test_smoke(tmp_path):
    assert detection.main(detection.Config(smoke=True, out=tmp_path)) == 0
    pinned.check("detection", tmp_path / "smoke")
    out = tmp_path / "smoke"
    assert {path.name for path in out.iterdir()} == {
        "choose.jsonl", "runs.jsonl", "table.md", "plot.png",
    }  # fmt: skip
    written = (out / "table.md").read_text()
    assert all(f"| {name} |" in written for name in detection.METHODS)
    assert all(group in written for group in detection.GROUPS) and "Pass rule" not in written
    with pytest.raises(loop.Stop, match="--steps got 6; it needs a multiple of 4"):
        detection.main(detection.Config(out=tmp_path, steps=6))


def test_the_verdict_is_on_scenes_that_are_shifted():
    run = lambda group, method, seed, missed: {
        "group": group, "method": method, "seed": seed, "missed": missed
    }  # fmt: skip
    runs = [run(g, "plain", s, 50.0 + s) for g in detection.GROUPS for s in range(3)]
    better = [run(detection.MAIN, "mixup", s, 48.0 + 1.1 * s) for s in range(3)]
    assert detection.RULE(runs + better).endswith("PASS.")
    worse = [r | {"missed": 60.0 + r["seed"]} for r in better]
    assert detection.RULE(runs + worse).endswith("FAIL.")


def test_the_verdict_on_copy_paste():
    def verdict(gain, ratio=40.0, unlike=0.0):
        runs = []
        for name, more in (("plain", 0.0), ("copy-paste", gain)):
            for s in range(10):
                ap = 60.0 + s + more + 0.5 * (s % 2) * (more > 0)
                without = ap + unlike * (more > 0) * np.linspace(-0.5, 0.5, detection.PARTS)
                numbers = {"ap": ap, "without": without.tolist(), "loss_ratio": ratio}
                runs.append({"group": detection.MAIN, "method": name, "seed": s} | numbers)
        return detection.PASTE_RULE(runs)

    assert verdict(1.0).endswith(
        "PASS."
    ) and "gains with shifts and scales: +1.2 ± 0.2," in verdict(1)
    assert verdict(0.7).endswith("FAIL.")
    assert verdict(1.0, ratio=51.0).endswith("so that there is no verdict.")
    assert verdict(1.0, unlike=1.0).endswith("FAIL.")  # it depends on which scenes test
    variance = (detection.PARTS - 1) * np.linspace(-0.5, 0.5, detection.PARTS).var()
    half = np.hypot(1.96 * variance**0.5, 2.262 * 0.25 / 3)
    assert f"± {half:.1f}" in verdict(1.0, unlike=1.0)


def test_choosing_sees_no_digit_that_a_result_tests_on():
    small = detection.Config(scenes=20, test=30)
    results = [detection.drawn(small, seed) for seed in (0, 1)]
    choosing = detection.drawn(small, 1000, choosing=True)
    np.testing.assert_array_equal(results[0].test.images, results[1].test.images)
    assert (results[0].train.images != results[1].train.images).any()
    again = detection.drawn(small, 1000)
    np.testing.assert_array_equal(again.train.images, choosing.train.images)
    assert (again.test.images != choosing.test.images).any()
    names = set(detection.OPEN["plain"]) | set(detection.OPEN["copy-paste"])
    assert len(names) == 8 and set(detection.CANDIDATES) == names
