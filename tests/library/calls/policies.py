"""Policies, schedules and presets."""

from functools import partial

import jax_mixup as jm
from tests.library.calls.base import SHAPE, Call, K

small = partial(jm.sample_mixup, alpha=0.2)
two = [small, jm.sample_cutmix]

POLICIES = [
    Call("until", lambda key: jm.until(7, 10)),
    Call("until, traced", lambda key, step: jm.until(step, step + 1)),
    Call("ramp", lambda key: jm.ramp(7, 0, 10)),
    Call("ramp, traced", lambda key, step: jm.ramp(step, 0, step + 1)),
    Call("hesitation", lambda key: jm.hesitation(7, steps=100, turn=3)),
    Call("hesitation, traced", lambda key, step: jm.hesitation(step, steps=100, turn=3)),
    Call("one_of", lambda key: jm.one_of(two, (0.5, 0.5))(key, SHAPE)),
    Call("one_of, pair", lambda key: jm.one_of(two, (0.5, 0.5), per="pair")(key, SHAPE)),
    Call(
        "one_of, example, traced, two pairings",
        lambda key, share: jm.one_of(
            [jm.sample_cutmix, partial(jm.sample_mixup, pairing=jm.roll())],
            [share, 1 - share],
            per="example",
        )(key, SHAPE),
    ),
    Call(
        "one_of, array of probs",
        lambda key, soft: jm.one_of([small, jm.sample_cutmix, small, small, small], soft[0])(
            key, SHAPE
        ),
        cannot={"mesh": "a row of a sharded batch is not what a policy is drawn by"},
    ),
    Call("one_of, tuples", lambda key: jm.one_of([jm.sample_ricap] * 2, (0.5, 0.5))(key, SHAPE)),
    Call("sometimes", lambda key, share: jm.sometimes(jm.sample_cutmix, share)(key, SHAPE)),
    Call(
        "one_of, group",
        lambda key: partial(jm.one_of(two, (0.5, 0.5)), pairing=jm.roll(1, 4))(
            key, SHAPE, per="group"
        ),
    ),
    Call("preset, shards", lambda key: jm.preset("deit", shards=4)(key, SHAPE)),
    Call("sometimes, pair", lambda key: jm.sometimes(small, 0.5, per="pair")(key, SHAPE)),
    Call(
        "sometimes, example and index",
        lambda key, partners: jm.sometimes(
            partial(jm.sample_cutmix, pairing=partners), 0.5, per="example"
        )(key, SHAPE),
    ),
    Call(
        "sometimes, tuple",
        lambda key: jm.sometimes(jm.sample_ricap, 0.5, per="example")(key, SHAPE),
    ),
    Call("own_label", lambda key: jm.own_label(jm.sample_cutmix)(key, SHAPE)),
    Call("own_label, tuple", lambda key: jm.own_label(jm.sample_dirichlet)(key, SHAPE)),
    Call("preset, deit", lambda key: jm.preset("deit")(key, SHAPE)),
    Call("preset, cutmix-cifar", lambda key: jm.preset("cutmix-cifar")(key, SHAPE)),
    Call("preset, big_vision", lambda key: jm.preset("big_vision-light2")(key, SHAPE)),
    Call("preset, samplepairing", lambda key: jm.preset("samplepairing")(key, SHAPE)),
    Call("preset, interval", lambda key: jm.preset("random-row-interval")(key, SHAPE)),
    Call("preset, rows", lambda key: jm.preset("random-rows")(key, SHAPE)),
    Call("preset, random-2x2", lambda key: jm.preset("random-2x2")(key, SHAPE)),
    Call(
        "preset_smoothing",
        lambda key, ids: jm.blend_labels(
            jm.preset("deit")(key, SHAPE), ids, num_classes=K, smoothing=jm.preset_smoothing("deit")
        ),
    ),
]
