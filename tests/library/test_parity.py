"""The authors' own code, run on small inputs, and our functions on the same draws.

Each file in `parity` holds inputs, the random numbers, and what the code that its `source` names
gave for them: numbers only. Images have channels last there. Where a method differs by design the
test says how, and checks what must be the same all the same.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup import blobs, blocks, guided, laws, masks, patterns, puzzle, salient, samplers

FILES = Path(__file__).parent / "parity"
KEY = jax.random.key(0)


class Case(dict):
    """The arrays of one file, as attributes."""

    def __init__(self, name):
        with np.load(FILES / f"{name}.npz") as file:
            super().__init__(file)

    __getattr__ = dict.__getitem__


def test_each_file_says_where_its_numbers_come_from():
    sources = [str(Case(path.stem).source) for path in FILES.glob("*.npz")]
    assert len(sources) >= 45
    for source in sources:
        (repository, commit), what = source.split(" ", 1)[0].split("@"), source.split(" ", 1)[1]
        assert "/" in repository and ".py" in what
        assert len(commit) == 40 or commit.startswith("timm-")


@pytest.fixture
def draw(monkeypatch):
    """Give a sampler of `module` these λ, and these uniform numbers, in place of what it draws."""

    def drawn(module, lam, u=()):
        lam = jnp.atleast_1d(lam)
        u = jnp.reshape(jnp.asarray(u, jnp.float32), (-1, lam.size))
        monkeypatch.setattr(module, "law_and_uniforms", lambda *_: (lambda alpha: lam, u))

    return drawn


def run(function, *arguments):
    """All of a test's own work in one compile."""
    arguments = jax.tree.map(f32, arguments)
    return jax.tree.map(np.asarray, jax.jit(function)(*arguments))


def f32(x):
    return jnp.asarray(np.asarray(x, np.float32))


def i32(x):
    return jnp.asarray(np.asarray(x, np.int32))


def same(ours, theirs, atol=2e-6):
    np.testing.assert_allclose(ours, theirs, atol=atol, rtol=2e-6)


def mixup(index, lam):
    """A mix of one λ for all rows."""
    index, lam = i32(index), jnp.asarray(lam, jnp.float32)
    return jm.Mix(index, lam[None], jnp.broadcast_to(lam, index.shape))


def under(index, mask, x):
    """The blend under each of many masks, [cases, B, *spatial, C]."""
    blend = lambda mask: jm.blend(jm.Mix(i32(index), mask[None], jnp.zeros(len(x))), f32(x))
    return jax.vmap(blend)(mask)


def cross_entropy(logits, ids):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), ids[:, None], axis=1)[:, 0]


def boxed(boxes, spatial):
    """Masks that are False inside (first row, first column, row after, column after)."""
    masks = np.ones((len(boxes), *spatial), bool)
    for mask, (top, left, bottom, right) in zip(masks, np.asarray(boxes, int), strict=True):
        mask[top:bottom, left:right] = False
    return masks


# Blends, labels, losses


def test_mixup():
    case = Case("mixup")

    def ours(lam):
        law = jm.constant(lam)
        mix = jm.sample_mixup(KEY, (4, 8, 12), lam_law=law, pairing=i32(case.index))
        loss = jm.pair_loss(mix, cross_entropy, f32(case.logits), i32(case.y))
        return jm.blend(mix, f32(case.x)), loss.mean()

    mixed, loss = run(ours, case.lam)
    same(mixed, case.mixed)
    same(loss, case.loss)


def test_manifold_mixup():
    case = Case("manifold")

    def ours(layer):
        mix = mixup(case.index, case.lam)
        labels = jm.blend_labels(mix, i32(case.y), num_classes=3)
        return [jm.blend_at(mix, f32(case.h), layer=layer, at=at) for at in (1, 2)], labels

    (first, second), labels = run(ours, 2)
    same(first, case.h)
    same(second, case.mixed)
    same(labels, case.labels)


@pytest.mark.parametrize("name", ["mixmatch", "dividemix", "imix"])
def test_the_larger_share_is_the_rows_own(name, monkeypatch):
    case = Case(name)

    def ours(drawn):
        monkeypatch.setattr(laws, "symmetric_beta", lambda *_: drawn)
        index = i32(case.index)
        law = jm.folded_beta(0.75)
        mix = jm.sample_mixup(KEY, index.shape, lam_law=law, per="example", pairing=index)
        soft = f32(case.get("labels", np.eye(4)))
        return jm.blend(mix, f32(case.x)), jm.blend_labels(mix, soft), mix.lam

    mixed, labels, lam = run(ours, np.broadcast_to(case.drawn, len(case.x)))
    same(mixed, case.mixed)
    if name == "imix":
        same(lam, case.lam)
    else:
        same(labels, case.mixed_labels)


def test_mixreg():
    """Theirs swaps the two rows where λ < ½, so that the first one always leads: the sums are the
    same, and the action is that of the larger share. Observations there are cut to uint8, here
    rounded.
    """
    case = Case("mixreg")
    names = ("oldneglogpac", "oldvpred", "r", "adv")

    def ours(lam):
        mix = jm.Mix(i32(case.permutation), lam, lam)
        seen = jnp.asarray(case.observations)
        actions = jm.select(jm.Mix(mix.partner, lam > 0.5, lam), i32(case.a))
        numbers = jm.blend_labels(mix, {name: f32(case[name]) for name in names})
        return [jm.blend(mix, seen, dtype=d) for d in (jnp.float32, jnp.uint8)], numbers, actions

    (exact, rounded), numbers, actions = run(ours, case.drawn)
    cut = exact - case.mixed_observations
    assert cut.min() > -1e-3 and cut.max() < 1 + 1e-3
    np.testing.assert_array_equal(rounded, np.round(exact))
    for name in names:
        same(numbers[name], case["mixed_" + name])
    np.testing.assert_array_equal(actions, case.mixed_a)


def test_balanced_mixup():
    """λ there is the share of the class-balanced row, here the row's own."""
    case = Case("balancedmixup")

    def ours(lam):
        mix = mixup(np.arange(4), 1 - lam)
        soft = jax.nn.one_hot(i32(case.balanced_y), 3)
        labels = jm.blend_labels(mix, i32(case.y), other=soft, num_classes=3)
        return jm.blend(mix, f32(case.x), other=f32(case.balanced)), labels

    mixed, labels = run(ours, case.lam)
    same(mixed, case.mixed)
    same(labels, case.labels)


def test_regmixup():
    """Theirs is the mean over all 2B rows, the clean ones first: half of ours."""
    case = Case("regmixup")

    def ours(lam):
        mix = mixup(case.index, lam)
        loss = jm.regmixup_loss(mix, cross_entropy, f32(case.logits), i32(case.y))
        return loss.mean(), jm.blend(mix, f32(case.logits[:4]))  # their model is linear

    loss, mixed = run(ours, case.lam)
    same(loss / 2, case.loss)
    same(mixed, case.logits[4:], atol=1e-5)


def test_decoupled_mixup():
    case = Case("decoupled")

    def ours(eta):
        mix = mixup(case.index, case.lam)
        logits, ids = f32(case.logits), i32(case.y)
        return [
            jm.decoupled_loss(mix, logits, ids, eta=eta[i], power=float(power))
            for i, power in enumerate(case.power)
        ]

    same(run(ours, case.eta), case.loss, atol=1e-5)


def test_mixupe():
    """Before they scale the sum back to the size of the mixup loss."""
    case = Case("mixupe")

    def penalty(logits, threshold):
        ids, alpha = i32(case.y), float(case.alpha)
        return jm.mixupe_penalty(logits, ids, alpha=alpha, threshold=threshold).mean()

    def ours(logits):
        return [jax.value_and_grad(penalty)(logits, float(t)) for t in case.thresholds]

    for (value, grad), tag in zip(run(ours, case.logits), ("1_0", "0_25"), strict=True):
        same(value, case["penalty_" + tag])
        same(grad, case["grad_" + tag])


def test_mixup_without_hesitation():
    ours = jax.vmap(lambda epoch: jm.hesitation(epoch, steps=100, turn=1))
    same(run(ours, np.arange(100)), Case("mwh").probability)


def test_remix_and_mamix():
    """λ in the code of MAMix is the partner's share of the input."""
    remix, mamix = Case("remix"), Case("mamix")
    np.testing.assert_array_equal(remix.index, mamix.index)

    def ours(lam):
        mix = mixup(remix.index, lam)
        labels, counts = i32(remix.y), i32(remix.counts)
        new = [jm.remix(mix, labels, counts).lam, jm.mamix(mix, labels, counts, omega=0.25).lam]
        return jm.blend(mix, f32(remix.x)), *new

    (mixed, lam, _), (other_mixed, _, other_lam) = (
        run(jax.vmap(ours), lams) for lams in (remix.lam, 1 - mamix.partner_share)
    )
    same(mixed, remix.mixed)
    same(lam, remix.lam_y)
    same(other_mixed, mamix.mixed)
    same(other_lam, mamix.lam_y)


def test_between_class_learning():
    """How loud the two are is an input of ours: the deviation of images; for sound theirs, which
    is A-weighted, in decibels.
    """
    images, sounds = Case("bcplus"), Case("bcsound")

    def ours(r, x, level):
        mix = jm.balance(mixup([1, 0], r), level)
        labels = jm.blend_labels(mix, i32([0, 2]), num_classes=3)
        return jm.restore_energy(mix, jm.blend(mix, x))[0], labels[0]

    def both(of_images, of_sounds, x, sound, gain):
        seen = jax.vmap(ours, (0, None, None))(of_images, x, x.std(axis=(1, 2, 3)))
        return seen, jax.vmap(ours, (0, None, None))(of_sounds, sound, 10 ** (gain / 20))[0]

    (seen, labels), heard = run(both, images.r, sounds.r, images.x, sounds.x, sounds.gain_db)
    same(seen, images.mixed, atol=1e-5)
    same(labels, images.label)
    same(heard, sounds.mixed, atol=1e-5)


def test_local_mixup():
    """Theirs weighs a pair's loss by exp(-0.0005 distance), ours drops pairs beyond a radius."""
    case = Case("localmixup")
    distance = -np.log(case.weight) / 0.0005
    radius = np.array([distance.min() - 1, np.sort(distance)[1] + 0.5, distance.max() + 1])

    def ours(radius):
        mix, x = mixup(case.index, case.lam), f32(case.x)
        return jm.blend(mix, x), jm.keep_local(mix, x, radius=radius).lam

    mixed, lam = run(jax.vmap(ours), radius)
    same(mixed[0], case.mixed)
    same(lam, np.where(distance <= radius[:, None], case.lam, 1.0))


def test_c_mixup(monkeypatch):
    case = Case("cmixup")

    def ours(bandwidths):
        seen = []

        def spy(key, logits, axis):
            seen.append(jax.nn.softmax(logits, axis))
            return logits.argmax(axis)

        monkeypatch.setattr(jax.random, "categorical", spy)
        for i in range(len(case.bandwidth)):
            jm.by_label_kernel(KEY, f32(case.targets), bandwidths[i])
        return seen

    same(run(ours, case.bandwidth), case.probability, atol=1e-5)


# Boxes


def test_cutmix(draw):
    """Theirs floors the side and then half of it: where both are whole it is the same box, else
    each of its ends is at most one position inside of ours.
    """
    case = Case("cutmix")

    def ours(lam, centre):
        draw(samplers, lam, centre.T)
        mix = jm.sample_cutmix(KEY, (len(lam), 8, 12), per="example")
        return mix.mask, under(case.index, mix.mask, case.x), mix.lam

    drawn = case.drawn[:, 0]
    mask, mixed, lam = run(ours, drawn, case.drawn[:, 1:] / [8, 12])
    exact = (drawn == 0.75) | (drawn == 1)
    assert exact.sum() == 3
    same(mixed[exact], case.mixed[exact])
    same(lam[exact], case.lam[exact])
    theirs = boxed(case.boxes, (8, 12))
    same(1 - theirs.mean((1, 2)), 1 - case.lam)
    assert not (mask & ~theirs).any() and (mask != theirs).any()
    for axis in (1, 2):
        sides = [(~m).any(3 - axis).sum(1) for m in (mask, theirs)]
        assert (sides[0] - sides[1] <= 2).all()


def test_timm_switch(draw):
    """In timm's modes "elem" and "pair"."""
    case = Case("timm")
    drawn = {  # λ, whether CutMix (below ½), the centre of the box
        "elem": ([0.75, 0.6, 0.75, 0.2], [0.2, 0.9, 0.3, 0.8], [[3, 6], [0, 0], [1, 10], [0, 0]]),
        "pair": ([0.75, 0.6, 0, 0], [0.2, 0.9, 0, 0], [[3, 6], [0, 0], [0, 0], [0, 0]]),
    }

    def ours(drawn):
        out = {}
        for mode, (lam, cut, centre) in drawn.items():
            per = "example" if mode == "elem" else "pair"
            always = jnp.zeros_like(cut)
            draw(samplers, lam, jnp.stack([cut, always, *(centre / f32([[8, 12]])).T]))
            mix = jm.sample_mixup_or_cutmix(KEY, (4, 8, 12), per=per)
            labels = jm.blend_labels(mix, i32(case.y), num_classes=3, smoothing=0.1)
            out[mode] = jm.blend(mix, f32(case.x)), labels
        return out

    leaf = lambda value: isinstance(value, list)
    drawn = jax.tree.map(lambda value: np.asarray(value, np.float32), drawn, is_leaf=leaf)
    for mode, (mixed, labels) in run(ours, drawn).items():
        same(mixed, case[mode])
        same(labels, case[mode + "_y"])


def test_hmix(draw):
    """λ is kept whatever of the box is cut off. Sides are theirs where those are even numbers."""
    case = Case("hmix")

    def ours(lam, ratio, centre):
        draw(samplers, lam, centre / 8)
        mix = jm.sample_hmix(KEY, (4, 8, 8), ratio=ratio)
        return jm.blend(mix, f32(case.x)), mix.lam

    lam, ratio, centre = case.drawn[:, 0], case.drawn[:, 1], case.drawn[:, 2:]
    mixed, label = run(jax.vmap(ours), lam, ratio, centre)
    exact = 8 * np.sqrt((1 - lam) * ratio) % 2 == 0
    assert exact.sum() == 2
    same(mixed[exact], case.mixed[exact])
    same(label, np.repeat(case.lam[:, None], 4, axis=1))


def test_gmix(draw):
    case = Case("gmix")

    def ours(lam, centre):
        draw(blobs, lam, centre.T)
        mix = jm.sample_gmix(KEY, (len(lam), 8, 8), per="example")
        return under(np.arange(4)[::-1], mix.mask, case.x), mix.lam

    mixed, lam = run(ours, case.drawn[:, 0], (case.drawn[:, 1:] + 0.5) / 8)
    same(mixed, case.mixed, atol=1e-5)
    same(lam, case.lam)


def test_smoothmix(monkeypatch):
    """Theirs centres the spot between positions, so ours is asked on a grid twice as fine. Their λ
    is the mean of the spot, the partner's share.
    """
    case = Case("smoothmix")
    sigma, centre = (case.drawn[:, 2] / 8 - 0.25) * 4, (2 * case.drawn[:, :2] - 0.5) / 16

    def ours(u):
        monkeypatch.setattr(jax.random, "uniform", lambda *_: u)
        mix = jm.sample_smoothmix(KEY, (4, 16, 16), per="example")
        return under(case.index, mix.mask[:, ::2, ::2], case.x), mix.lam

    mixed, lam = run(ours, np.column_stack([sigma, centre]))
    same(mixed, case.mixed, atol=1e-5)
    same(1 - lam, case.lam, atol=0.03)


def ramps(n):
    """Pictures whose channels number the rows and the columns, so that one sees what is where."""
    places = np.stack(np.broadcast_arrays(np.arange(n)[:, None], np.arange(n)[None]), axis=-1)
    return np.asarray(places[None] + 100 * np.arange(4)[:, None, None, None], np.float32)


def inside_agrees(ours, theirs, kept, x, source=None):
    """As it was outside of the box; inside the same, but for half of what a position there shows,
    to the next whole one.
    """
    np.testing.assert_array_equal(ours[:, kept], x[:, kept])
    np.testing.assert_array_equal(theirs[:, kept], x[:, kept])
    sides = np.array([(~kept).any(1).sum(), (~kept).any(0).sum()])
    shown = np.maximum((kept.shape if source is None else source) / sides, 1)
    error = np.abs(ours - theirs)[:, ~kept].max(axis=(0, 1))
    assert (error <= np.ceil(shown / 2) + 0.01).all(), (error, shown)


def test_resizemix(draw):
    """Of the positions that one shows, "nearest" there takes the first, here the middle one;
    "bilinear" there looks at two, here at all, much the same on a slope but near its ends.
    """
    nearest, bilinear = Case("resizemix_nearest"), Case("resizemix_bilinear")
    x = ramps(12)

    def ours(tau, centre):
        draw(samplers, 1 - tau**2, centre / 12)
        index = i32(nearest.index)
        mix = jm.sample_resizemix(KEY, (4, 12, 12), box="clipped", pairing=index)
        others = [jm.fit_partner(mix, f32(x), method=name) for name in ("nearest", "linear")]
        return [jm.blend(mix, f32(x), other=other) for other in others], mix.mask, mix.lam

    both, masks, lam = run(jax.vmap(ours), nearest.drawn[:, 0], nearest.drawn[:, 1:])
    same(lam[:, 0], nearest.lam)
    for i, kept in enumerate(masks[:, 0]):
        for mixed, case in zip(both, (nearest, bilinear), strict=True):
            inside_agrees(mixed[i], case.mixed[i], kept, x)
        rows, columns = np.flatnonzero((~kept).any(1)), np.flatnonzero((~kept).any(0))
        box = np.s_[:, rows[1] : rows[-1], columns[1] : columns[-1]]
        same(both[1][i][box], bilinear.mixed[i][box], atol=0.05)


def test_recursivemix(monkeypatch):
    """Their resize is from corner to corner, so that it may be off by half of what a position
    shows.
    """
    case = Case("recursivemix")
    low, high = case.bounds.tolist()  # of the share that they draw, uniformly
    x, previous = np.full((4, 12, 12, 2), -1, np.float32), (f32(ramps(12)), f32(case.old_y))

    def ours(share, centre):
        kept = (high - share) / (high - low)
        drawn = {(1,): kept[None], (2, 1): centre[:, None] / 12}
        monkeypatch.setattr(jax.random, "uniform", lambda key, shape, *_: drawn[shape])
        return jm.recursivemix(KEY, f32(x), i32(case.y), previous, num_classes=3)

    mixed, labels = run(jax.vmap(ours), case.drawn[:, 0], case.drawn[:, 1:])
    for row, theirs, kept in zip(
        mixed, case.mixed, boxed(case.boxes[:, [1, 0, 3, 2]], (12, 12)), strict=True
    ):
        inside_agrees(row, theirs, kept, x)
    same(labels, case.labels)


def test_saliencymix(draw):
    """About the peak, as `sample_cutmix` rounds; theirs follows one image for all of the batch."""
    case = Case("saliencymix")

    def ours(lam):
        draw(salient, lam)
        mix = jm.sample_saliencymix(KEY, f32(case.saliency), pairing=jnp.arange(5))
        return mix.mask, mix.lam

    mask, lam = run(ours, case.lam)
    theirs = boxed(case.boxes, (8, 12))
    np.testing.assert_array_equal(mask[:3], theirs[:3])
    same(lam[:3], theirs[:3].mean((1, 2)))
    assert not (mask & ~theirs).any()


def test_attentive_cutmix():
    case = Case("attentivecutmix")
    features = np.kron(case.features, np.ones((4, 4)))

    def ours(saliency):
        mix = jm.sample_attentive_cutmix(KEY, saliency, grid=(7, 7), k=6)
        return jm.select(mix, jnp.asarray(case.x))[0], mix.lam[0]

    mixed, lam = run(ours, np.stack([features * 0, features]))
    np.testing.assert_array_equal(mixed, case.mixed)
    same(lam, 1 - 6 / 49)


def test_snapmix(draw):
    """Theirs draws both boxes for the batch, resizes from corner to corner, and gives each label
    of a pair the weight of both where they are the same.
    """
    case = Case("snapmix")
    x, alike = ramps(16), case.y == case.y[case.index]
    assert alike.any() and not alike.all()

    def ours(drawn):
        centre = jnp.stack([drawn[1:3]] * 4 + [drawn[4:]] * 4) / 16
        draw(salient, jnp.repeat(drawn[jnp.array([0, 3])], 4), centre.T)
        mix, source, total = jm.sample_snapmix(KEY, f32(case.cam), pairing=i32(case.index))
        mixed = jm.blend(mix, f32(x), other=jm.fit_partner(mix, f32(x), source=source))
        return mixed, mix.mask, source, mix.lam * total, (1 - mix.lam) * total

    mixed, mask, (start, stop), own, other = run(jax.vmap(ours), case.drawn)
    same(np.where(alike, own + other, own), case.lam_a, atol=1e-5)
    same(np.where(alike, own + other, other), case.lam_b, atol=1e-5)
    for i, theirs in enumerate(case.mixed):
        inside_agrees(mixed[i], theirs, mask[i, 0], x, source=(stop - start)[i, 0])


def test_smmix(monkeypatch):
    """Theirs draws one side for the batch: 2, 3, 4 of the 1 to 4 patches that it may have."""
    case = Case("smmix")

    def ours(side):
        u = jnp.full((4, 1), (side - 0.5) / 4)
        monkeypatch.setattr(jax.random, "uniform", lambda *_: u)
        mix, source = jm.sample_smmix(KEY, f32(case.attention), patch=2)
        other = jm.fit_partner(mix, f32(case.x), source=source, method="nearest")
        return jm.blend(mix, f32(case.x), other=other), mix.mask[:, ::2, ::2], mix.lam

    mixed, kept, lam = run(jax.vmap(ours), case.sides)
    np.testing.assert_array_equal(kept, case.kept)
    same(lam, np.repeat(case.lam[:, None], 4, axis=1))
    same(mixed, case.mixed)


def test_ricap():
    """Where theirs cuts each quarter from the place it is pasted at, as ours always does."""
    case = Case("ricap")
    corner, below, right, opposite = map(i32, case.indices)
    np.testing.assert_array_equal(corner, np.arange(4))

    def ours(shares):
        left = list(shares)
        law = lambda key, shape: jnp.broadcast_to(left.pop(0), shape)
        pairings = (right, below, opposite)
        mix = jm.sample_ricap(KEY, (4, 8, 10), lam_law=law, pairings=pairings)
        return jm.blend(mix, f32(case.x)), jm.blend_labels(mix, i32(case.y), num_classes=3)

    mixed, labels = run(ours, case.share)
    same(mixed, case.mixed)
    same(labels, np.einsum("k,kbc->bc", case.weights, np.eye(3)[case.labels]))


# Patterns


def test_gridmixup(draw):
    """On squares and from the corner, where cells agree. Their holes are cut to whole positions:
    2.83 of a cell's 4 are 2 there, and 3 here.
    """
    case = Case("gridmixup")

    def ours(lam, number):  # of 2 to 4 holes
        draw(patterns, lam, jnp.stack([(number - 1.5) / 3, 0 * number, 0 * number]))
        mix = jm.sample_gridmixup(KEY, (4, 8, 8), holes=(2, 4), pairing=i32(case.index))
        return jm.blend(mix, f32(case.x)), mix.lam[0]

    mixed, lam = run(jax.vmap(ours), case.drawn[:, 0], case.drawn[:, 1])
    same(mixed[:3], case.mixed[:3])
    same(lam[:3], case.lam[:3])
    assert (lam[3], case.lam[3]) == (1 - 9 / 16, 1 - 4 / 16)


def test_mixed_examples(draw):
    """The first row is theirs. Intervals and squares from places of their own are not ours."""
    case = Case("mixedexample")
    shape = (2, 8, 8)

    def ours(rows, pixels):
        mixes = {}
        for name, axis, lam in (("vert_concat", 1, 3 / 8), ("horiz_concat", 2, 5 / 8)):
            draw(samplers, f32(lam), [0.0])
            mixes[name] = jm.sample_cutmix(KEY, shape, axes=(axis,), box="corner")
        draw(patterns, f32([3 / 8, 5 / 8, 0.3]))
        mixes["vh_mixup"] = jm.sample_vhmixup(KEY, shape)
        mixes["mixed_concat"] = jm.sample_vhmixup(KEY, shape, checkered=True)
        for name, lam, u, grid in (
            ("random_rows", 0.4, rows, (8, 1)),
            ("random_pixels", 0.55, pixels, None),
        ):
            draw(patterns, f32(lam), u)
            mixes[name] = jm.sample_gridmix(KEY, shape, grid=grid)
        draw(patterns, f32(0.5), [0.25, 0.75, 0.625, 0.125, 0.25, 0.75])  # lines at 3 and 5 of 8
        mixes["random_2x2"] = jm.sample_gridmix(KEY, shape, grid=(2, 2), jitter=0.5)
        apply = lambda mix: (jm.blend(mix, f32(case.x))[0], jm.blend_labels(mix, jnp.eye(2))[0])
        return {name: apply(mix) for name, mix in mixes.items()}

    for name, (image, label) in run(ours, case.rows_u, case.pixels_u).items():
        same(image, case[name + "_image"])
        same(label, case[name + "_label"])


def test_fmix(draw, monkeypatch):
    """Their spectrum has the same scale, but for the mean, which moves no rank. What they make of
    it differs: two rows of frequencies are taken for its real and imaginary parts, so that an image
    has two frequencies along its last axis. Given that grey image, masks agree; theirs round λ
    either way, here to the nearest, and have λ as it was drawn for a label.
    """
    case = Case("fmix")
    shape = case.grey.shape

    def ours(lam):
        draw(blobs, lam)
        responses = []

        def grey(noise, response):
            responses.append(response)
            return jnp.broadcast_to(f32(case.grey)[None], noise.shape)

        monkeypatch.setattr(masks, "filtered", grey)
        mix = jm.sample_fmix(KEY, (3, *shape), per="example")
        return mix.mask, mix.lam, responses[0][0]

    mask, lam, response = run(ours, case.lam)
    np.testing.assert_array_equal(mask, case.mask)
    assert (np.abs(lam - case.lam) <= 0.5 / mask[0].size + 1e-6).all()
    same(response.ravel()[1:], case.scale.ravel()[1:] / max(shape) ** 3, atol=1e-5)


def test_cowmix(draw, monkeypatch):
    """Their blur ends at the border and ours goes round; their threshold is a normal quantile, and
    their p the share below it. Away from the border, and at the same share, it is the same mask.
    """
    case = Case("cowmix")

    def ours(sigma, share):
        blurred = masks.blur(jnp.stack([f32(case.noise)] * 2), sigma)
        draw(blobs, share, jnp.zeros(2))
        monkeypatch.setattr(masks, "blur", lambda *_: f32(case.smooth))
        return blurred, jm.sample_cowmix(KEY, (2, 32, 40), per="example").mask

    blurred, mask = run(ours, case.drawn[:, 0], case.mask.mean((1, 2)))
    np.testing.assert_array_equal(mask, case.mask)
    same(blurred[:, 9:-9, 9:-9], case.smooth[:, 9:-9, 9:-9], atol=1e-3)


def test_maskmix(draw):
    """MixPro's masks, which round the number of cells up, and its label by attention."""
    case = Case("maskmix")
    u = np.zeros((4, 16))
    np.put_along_axis(u, case.order, np.linspace(1, 0.1, 16)[None], axis=1)

    def ours(lam, u):
        draw(patterns, lam, u.T)
        mix = jm.sample_gridmix(
            KEY, (4, 16, 16), grid=(4, 4), exact=True, per="example", pairing=i32(case.index)
        )
        seen = jm.transmix(mix, f32(case.attention), area=0.0)
        return jm.blend(mix, f32(case.x)), mix.lam, seen.lam

    mixed, lam, seen = run(ours, np.full(4, case.drawn), u)
    same(mixed, case.mixed)
    same(lam, case.lam)
    same(seen, case.attention_lam)


def test_tokenmix():
    """Theirs adds 14 tokens to half of them, and lays blocks until ten in a row do not fit. Draws
    are not alike, so laws are compared: as many tokens, in blocks as large.
    """
    case = Case("tokenmix")

    def ours(key):
        law = jm.constant(0.5 - 14 / 196)
        return ~jm.sample_tokenmix(KEY, (40, 14, 14), lam_law=law, per="example").mask

    given = run(ours, 0)
    count, theirs = given.sum((1, 2)), case.mask.sum((1, 2))
    same(case.lam, 1 - theirs / 196)
    assert max(count.max(), theirs.max()) <= 98 + 14
    assert abs(count.mean() - theirs.mean()) < 6
    borders = lambda mask: np.abs(np.diff(mask.astype(int), axis=1)).sum((1, 2)).mean()
    assert 0.5 < borders(given) / borders(case.mask) < 1.1


def test_patchup(draw):
    """Their blocks are centred anywhere and cut at the border, ours start where they fit. So one
    block of theirs, in a corner of channel 0, is not among ours.
    """
    case = Case("patchup")
    seeds = case.seeds[1:-1, 1:-1]  # by the first corner of each block of 3 x 3
    assert case.seeds.sum() - seeds.sum() == 1

    def ours(lam, u):
        draw(blocks, lam, u)
        index, gamma, block = i32(case.index), float(case.gamma), (3, 3, 1)
        soft, hard = (
            jm.sample_patchup(
                KEY, (4, 8, 8, 2), gamma=gamma, block=block, lam_law=law, pairing=index
            )
            for law in (jm.beta(2.0, 2.0), None)
        )
        given = (~hard.mask).mean()
        return jm.blend(soft, f32(case.x)), jm.blend(hard, f32(case.x)), given, soft.lam

    soft, hard, given, lam = run(ours, case.lam, np.where(seeds, 0.0, 0.99).ravel())
    corner = np.zeros((8, 8, 2), bool)
    corner[:2, -2:, 0] = True
    for mixed, theirs in ((soft, case.soft), (hard, case.hard)):
        same(mixed[:, ~corner], theirs[:, ~corner])
    same(given + 4 / 128, 1 - case.unchanged)  # the corner's four of 128
    same(lam, np.full(4, 1 - given * (1 - case.lam)))
    same(case.gamma_adjusted, case.gamma * 8**2 / (3 * (8 - 3 + 1)) ** 2)


def test_noisy_mixup(draw, monkeypatch):
    """Their label has λ as it was drawn, ours the mean of the mask."""
    case = Case("mixedexample")

    def ours(noise):
        draw(blobs, f32(0.4))
        monkeypatch.setattr(jax.random, "normal", lambda *_: noise[None])
        mix = jm.sample_noisymixup(KEY, (2, 8, 8))
        return jm.blend(mix, f32(case.x))[0], mix.lam

    image, lam = run(ours, case.noise)
    same(image, case.noisy_mixup_image)
    same(lam, np.full(2, 0.4 + 0.025 * case.noise.mean()))
    same(case.noisy_mixup_label, [0.4, 0.6])


def test_overlap():
    """timm's mix of images of several sizes, which lie in the middle of a canvas here."""
    case = Case("naflex")

    def ours(lam, kept):
        soft, hard = mixup(case.index, lam), jm.Mix(i32(case.index), kept > 0.5, jnp.zeros(4))
        soft, hard = (jm.keep_overlap(mix, jnp.asarray(case.valid)) for mix in (soft, hard))
        return [(jm.blend(mix, f32(case.x)), mix.lam) for mix in (soft, hard)]

    (mixed, lam), (cut, cut_lam) = run(ours, case.lam, case.kept)
    same(mixed, case.mixed)
    same(lam, case.mixed_lam)
    same(cut, case.cut)
    same(cut_lam, case.cut_lam)


# Masks that follow data


def test_gradient_saliency():
    """Theirs is the root of the mean over channels, ours of the sum."""
    case = Case("gradientsaliency")

    def ours(x):
        logits = lambda x: jnp.tanh(0.3 * x.reshape(2, -1)) @ f32(case.w)
        loss = lambda x: cross_entropy(logits(x), i32(case.y)).mean()
        return jm.gradient_saliency(loss, x) / jnp.sqrt(jnp.float32(3))

    same(run(ours, case.x), case.saliency)


def test_spectral_residual():
    """Theirs averages the spectrum as if it ended at frequency 0, and gives the amplitude where
    ours gives its square: close, not equal.
    """
    case = Case("spectralresidual")
    ours = run(lambda x: jnp.sqrt(jm.spectral_residual(x, blur=0.0)), case.x)
    for a, b in zip(ours, case.saliency, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.9


def test_classmix(monkeypatch):
    case = Case("classmix")

    def ours(u):
        monkeypatch.setattr(jax.random, "uniform", lambda *_: u)
        mix = jm.sample_classmix(KEY, i32(case.ids), num_classes=5, pairing=jm.roll(-1))
        return mix.mask, jm.blend(mix, f32(case.x)), jm.select(mix, i32(case.ids))

    mask, mixed, ids = run(ours, np.where(case.kept, 0.1, 0.9))
    np.testing.assert_array_equal(mask, case.mask)
    same(mixed, case.mixed)
    np.testing.assert_array_equal(ids, case.mixed_ids)


def test_ssmix(draw):
    """Rows here are what is between their first and last token, which they never take. Their span
    is a share of the row's own length, and one token at least: λ is chosen to give it.
    """
    case = Case("ssmix")
    ids, worth = (
        np.concatenate([case[a], case[b]])[:, 1:-1]
        for a, b in (("ids", "other"), ("saliency", "other_saliency"))
    )
    lengths = np.concatenate([case.lengths, case.other_lengths]) - 2
    span = np.maximum(lengths[:4] * case.window[:, None] // 100, 1)
    share = 1 - span / np.minimum(lengths[:4], lengths[4:])

    def ours(lam):
        draw(guided, jnp.tile(lam, 2), jnp.zeros((2, 8)))
        mix, source = jm.sample_span(KEY, i32(lengths), 8, saliency=f32(worth), pairing=jm.roll(4))
        given = jnp.take_along_axis(jm.take_partner(mix, i32(ids)), source, axis=1)
        return jm.select(mix, i32(ids), other=given)[:4], mix.lam[:4]

    mixed, lam = run(jax.vmap(ours), share)
    np.testing.assert_array_equal(mixed, case.mixed[:, :, 1:-1])
    same(lam, case.lam)


def test_guidedmixup():
    """From saliency that is not blurred."""
    case = Case("guidedmixup")

    def ours(s):
        pairs = jm.salient_pairs(s, blur=0.0)
        mix = jm.sample_guidedmixup(KEY, s, blur=0.0, pairing=pairs)
        return pairs, jm.blend(mix, f32(case.x)), mix.lam

    pairs, mixed, lam = run(ours, case.saliency)
    np.testing.assert_array_equal(pairs, case.index)
    same(mixed, case.mixed, atol=1e-5)
    same(lam, case.lam)


def test_transmix():
    """Of a patch that the box cuts theirs takes the first pixel's side, ours its share."""
    case = Case("transmix")
    kept = boxed(case.boxes[:, [0, 2, 1, 3]], (8, 8))

    def ours(mask):
        mix = jm.Mix(jm.reverse(), mask[None] > 0.5, jnp.full(4, mask.mean()))
        return jm.transmix(mix, f32(case.attention)).lam

    lam = run(jax.vmap(ours), kept)
    whole = (case.boxes % 2 == 0).all(axis=1)
    assert whole.tolist() == [True, True, False]
    same(lam[whole], case.lam[whole])
    assert np.abs(lam - case.lam).max() < 0.15


def test_tl_align():
    case = Case("tlalign")

    def ours(attentions):
        mix = jm.Mix(jm.reverse(), f32(case.mask)[None] > 0.5, jnp.full(2, f32(case.lam)))
        return [jm.align_labels(mix, list(attentions), read=read).lam for read in ("cls", "mean")]

    cls, mean = run(ours, case.attentions)
    own, other = case.labels[[0, 1], :, [0, 1]], case.labels[[0, 1], :, [1, 0]]
    same(cls, own[:, 0])
    same(mean, own[:, 1:].mean(axis=1))
    same(own + other, np.ones_like(own))


def test_alignmix():
    """Theirs starts from the cost as it is, stops early, and ends with the columns; ours ends with
    the rows, whose sums are then exact. So plans are the same as far as they have converged.
    """
    case = Case("alignmix")
    n = case.plan.shape[-1]

    def ours(h):
        flat = h.reshape(4, n, -1)
        cost = jnp.square(flat[:, :, None] - flat[i32(case.index)][:, None]).sum(-1)
        steps = int(case.iterations)
        other = jm.align_partner(mixup(case.index, case.lam), h, iterations=steps)
        return jm.sinkhorn(cost, epsilon=0.1, iterations=steps), other.reshape(flat.shape)

    plan, other = run(ours, case.h)
    rows = n * case.plan.sum(-1, keepdims=True)
    same(plan, case.plan / rows, atol=1e-3)
    given = (case.own - case.lam * case.h) / (1 - case.lam)
    same(other, given.reshape(other.shape) / rows, atol=1e-2)
    assert np.abs(other - case.h.reshape(other.shape)[case.index]).max() > 0.5


@pytest.mark.parametrize("tag", "bc")
def test_puzzlemix(draw, tag):
    """The authors' energy, cut by their graph solver, where jumps are measured at whole cells."""
    case = Case("puzzlemix")
    cells, levels, lam, gamma = case["drawn_" + tag].tolist()
    step = int(16 // cells)

    def ours(lam):
        draw(puzzle, lam)
        mix = jm.sample_puzzlemix(
            KEY,
            f32(case.saliency),
            x=f32(case.x),
            grid=(int(cells), int(cells)),
            labels=int(levels),
            gamma=gamma,
            pairing=i32(case.index),
        )
        return mix.mask[:, ::step, ::step], mix.lam

    mask, label = run(ours, np.full(4, lam))
    same(mask, case["mask_" + tag], atol=1e-3)
    same(label, case["ratio_" + tag])


def test_move_blocks():
    """Puzzle Mix's blocks, moved by its own plans. A place that no block won turns black there;
    our plan is another one, a permutation.
    """
    case = Case("puzzletransport")
    plans = np.stack([case.plan_80, case.plan_40])
    won, source = plans.any(axis=2), plans.argmax(axis=2)
    ours = jax.vmap(lambda source: jm.move_blocks(f32(case.x), source, grid=(4, 4)))
    moved = np.asarray(jax.jit(ours)(i32(source)))
    black = ~np.kron(won.reshape(2, 4, 4, 4), np.ones((2, 2), bool))
    same(np.where(black[..., None], 0.0, moved), [case.moved_80, case.moved_40])
    assert black.any() and (source != np.arange(16))[won].any()  # something moved


# Features


def test_mixstyle():
    case = Case("mixstyle")

    def ours(lam):
        mix = jm.Mix(i32(case.index), lam, lam)
        return jm.blend_moments(mix, f32(case.x), axes=(1, 2), epsilon=1e-6, detach=True)

    same(run(ours, case.lam), case.mixed, atol=1e-5)


def test_moex():
    case = Case("moex")
    axes = {"pono": (-1,), "instance": (1, 2), "layer": (1, 2, 3)}

    def ours(x):
        swap = jm.Mix(i32(case.index), jnp.zeros(1), jnp.full(4, 0.9))
        blend = lambda axes: jm.blend_moments(swap, x, axes=axes, epsilon=1e-5)
        return {name: blend(taken) for name, taken in axes.items()}

    for name, mixed in run(ours, case.x).items():
        same(mixed, case[name], atol=2e-5)


def test_noisy_feature_mixup(monkeypatch):
    case = Case("nfm")
    strength = np.repeat([[case.beta_mult], [case.beta_add]], 6, axis=1)

    def ours(strength, uniform, normal):
        uniforms = lambda key, shape, *_: strength if shape == (2, 6) else 2 * uniform - 1
        monkeypatch.setattr(jax.random, "uniform", uniforms)
        monkeypatch.setattr(jax.random, "normal", lambda *_: normal)
        mixed = jm.blend(mixup(case.index, case.lam), f32(case.x))
        return jm.add_noise(KEY, mixed, additive=0.4, multiplicative=0.2)

    same(run(ours, strength, case.uniform, case.normal), case.mixed)


def test_mixup_inference(monkeypatch):
    """With examples of the predicted class, one at a time."""
    case = Case("mixupinference")

    def ours(w, pick):
        monkeypatch.setattr(
            jax.random, "categorical", lambda key, logits, axis: logits.argmax(axis)
        )
        monkeypatch.setattr(jax.random, "uniform", lambda *_: pick / 2 + 0.1)
        pool = f32(case.x), f32(case.pool), i32(case.labels)
        predict = lambda x: jax.nn.relu(x) @ w
        return jm.mixup_inference(KEY, predict, *pool, which="predicted", samples=1)

    same(run(ours, case.w, case.pick), case.probability, atol=1e-5)
