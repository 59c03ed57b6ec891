"""CutMix and other boxes, against the code of their authors."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np

import jax_mixup as jm
from jax_mixup.samplers import smoothmix
from tests.library.parity.cases import KEY, Case, boxed, f32, i32, run, same, under


def test_cutmix(draw):
    """Theirs floors half of the side, as box="even" does. The default rounds the side: where it is
    an even number it is the same box, else each end of theirs is at most one position inside of it.
    """
    case = Case("cutmix")

    def ours(lam, centre):
        found = []
        for box in ("even", "clipped"):
            draw(lam, centre.T)
            mix = jm.sample_cutmix(KEY, (len(lam), 8, 12), box=box, per="example")
            found.append((mix.mask, under(case.index, mix.mask, case.x), mix.lam))
        return found

    drawn = case.drawn[:, 0]
    even, (mask, mixed, lam) = run(ours, drawn, (case.drawn[:, 1:] + 0.01) / [8, 12])
    same(even[1], case.mixed)
    same(even[2], case.lam)
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
            draw(lam, jnp.stack([cut, always, *(centre / f32([[8, 12]])).T]))
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
        draw(lam, centre / 8)
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
        draw(lam, centre.T)
        mix = jm.sample_gmix(KEY, (len(lam), 8, 8), per="example")
        return under(np.arange(4)[::-1], mix.mask, case.x), mix.lam

    mixed, lam = run(ours, case.drawn[:, 0], (case.drawn[:, 1:] + 0.5) / 8)
    same(mixed, case.mixed, atol=1e-5)
    same(lam, case.lam)


def test_smoothmix(monkeypatch):
    """Theirs centres the spot between positions, so ours is asked on a grid twice as fine. Their λ
    is the mean of the spot, the partner's fraction.
    """
    case = Case("smoothmix")
    sigma, centre = (case.drawn[:, 2] / 8 - 0.25) * 4, (2 * case.drawn[:, :2] - 0.5) / 16

    def ours(u):
        monkeypatch.setattr(smoothmix, "uniforms", lambda *_: u)
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
        draw(1 - tau**2, centre / 12)
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


def test_recursivemix(draw):
    """Their resize is from corner to corner, so that it may be off by half of what a position
    shows.
    """
    case = Case("recursivemix")
    share = inspect.signature(jm.recursivemix).parameters["share"].default
    assert case.bounds.tolist() == [0, share]  # of the share that they draw, uniformly
    x, previous = np.full((4, 12, 12, 2), -1, np.float32), (f32(ramps(12)), f32(case.old_y))

    def ours(share, centre):
        draw(1 - share, centre / 12)
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
        draw(lam)
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
        draw(jnp.repeat(drawn[jnp.array([0, 3])], 4), centre.T)
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
