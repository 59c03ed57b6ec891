"""Recipes: images and labels in, mixed ones out."""

import jax
import jax.numpy as jnp

import jax_mixup as jm
from tests.library.calls.base import Call, K

RECIPES = [
    Call(
        "mixup, other",
        lambda key, images, before, ids, other_ids: jm.mixup(
            key, images, ids, num_classes=K, other=(before, other_ids)
        ),
    ),
    Call("mixup", lambda key, images, ids: jm.mixup(key, images, ids, num_classes=K)),
    Call(
        "mixup, pixels and soft labels",
        lambda key, pixels, soft, alpha, share: jm.mixup(
            key, pixels, soft, alpha=alpha, smoothing=share, dtype=jnp.uint8, per="pair"
        ),
    ),
    Call(
        "mixup, numbers and index",
        lambda key, table, targets, partners: jm.mixup(
            key, table, targets, per="example", pairing=partners
        ),
    ),
    Call(
        "mixup, trees",
        lambda key, images, table, ids, targets: jm.mixup(
            key, {"i": images, "t": table}, (ids, targets), num_classes=K
        ),
    ),
    Call(
        "cutmix, other",
        lambda key, images, before, ids, other_ids: jm.cutmix(
            key, images, ids, num_classes=K, per="example", other=(before, other_ids)
        ),
    ),
    Call(
        "cutmix",
        lambda key, images, ids: jm.cutmix(key, images, ids, num_classes=K, smoothing=0.1),
    ),
    Call(
        "cutmix, pixels and index",
        lambda key, pixels, soft, partners: jm.cutmix(
            key, pixels, soft, dtype=jnp.bfloat16, per="example", pairing=partners, box="inside"
        ),
    ),
    Call(
        "mixup_or_cutmix, other",
        lambda key, images, before, soft: jm.mixup_or_cutmix(
            key, images, soft, other=(before, soft[::-1])
        ),
    ),
    Call(
        "mixup_or_cutmix",
        lambda key, images, ids: jm.mixup_or_cutmix(key, images, ids, num_classes=K),
    ),
    Call(
        "mixup_or_cutmix, example",
        lambda key, pixels, soft, share: jm.mixup_or_cutmix(
            key, pixels, soft, switch_prob=share, per="example", dtype=jnp.float32
        ),
    ),
    Call(
        "mix_batch, other",
        lambda key, images, before, targets, level: jm.mix_batch(
            key, images, targets, jm.sample_gmix, other=(before, level)
        ),
    ),
    Call(
        "mix_batch",
        lambda key, images, ids: jm.mix_batch(key, images, ids, jm.sample_gmix, num_classes=K),
    ),
    Call(
        "mix_batch, tuple",
        lambda key, pixels, soft: jm.mix_batch(
            key, pixels, soft, jm.sample_ricap, smoothing=0.1, dtype=jnp.uint8
        ),
    ),
    Call(
        "mix_batch, preset",
        lambda key, images, ids: jm.mix_batch(key, images, ids, jm.preset("rsb"), num_classes=K),
    ),
    Call(
        "resizemix, other",
        lambda key, images, before, ids, other_ids: jm.resizemix(
            key, images, ids, num_classes=K, other=(before, other_ids)
        ),
    ),
    Call("resizemix", lambda key, images, ids: jm.resizemix(key, images, ids, num_classes=K)),
    Call(
        "resizemix, example",
        lambda key, pixels, soft: jm.resizemix(
            key, pixels, soft, smoothing=0.1, dtype=jnp.uint8, per="example"
        ),
    ),
    Call(
        "randommix, other",
        lambda key, images, before, ids, other_ids: jm.randommix(
            key, images, ids, num_classes=K, other=(before, other_ids)
        ),
    ),
    Call(
        "randommix",
        lambda key, images, ids: jm.randommix(
            key, images, ids, alphas=(0.2, 1.0), num_classes=K, smoothing=0.1
        ),
    ),
    Call(
        "randommix, soft", lambda key, pixels, soft: jm.randommix(key, pixels, soft, dtype="uint8")
    ),
    Call(
        "stackmix, other",
        lambda key, images, before, ids, other_ids: jm.stackmix(
            key, images, ids, num_classes=K, other=(before, other_ids)
        ),
    ),
    Call("stackmix", lambda key, images, ids: jm.stackmix(key, images, ids, num_classes=K)),
    Call(
        "stackmix, axis",
        lambda key, pixels, soft: jm.stackmix(key, pixels, soft, axis=2, smoothing=0.1),
    ),
    Call(
        "recursivemix",
        lambda key, images, ids, before, soft: jm.recursivemix(
            key, images, ids, (before, soft), num_classes=K
        ),
        cannot={"bf16": "the last step's labels are float32, as those of ids are"},
    ),
    Call(
        "recursivemix, traced",
        lambda key, images, soft, before, share: jm.recursivemix(
            key, images, soft, (before, soft), share=share, per="example"
        ),
    ),
    Call(
        "pixmix",
        lambda key, images, before: jm.pixmix(key, images, before, lambda key, x: 1 - x),
    ),
    Call(
        "pixmix, traced",
        lambda key, targets, lam, alpha: jm.pixmix(
            key,
            targets,
            lam,
            lambda key, x: x * jax.random.uniform(key, (), x.dtype),
            k=2,
            beta=alpha,
        ),
    ),
    Call("splicemix", lambda key, images, soft: jm.splicemix(key, images, soft)),
    Call(
        "splicemix, pixels and ids",
        lambda key, pixels, ids, step: jm.splicemix(
            key, pixels, ids, grid=(1, 3), n=2, drop=step - 64, num_classes=K, method="antialias"
        ),
    ),
    Call(
        "splicemix, maps",
        lambda key, images, maps, soft: jm.splicemix(
            key, {"x": images, "y": maps}, soft, grid=(1, 2), method="nearest"
        ),
    ),
    Call("mochi", lambda key, soft: jm.mochi(key, soft, jnp.eye(K), hardest=3, pairs=4)),
    Call(
        "mochi, with query",
        lambda key, table: jm.mochi(key, table, jnp.eye(3), hardest=2, pairs=0, with_query=2),
    ),
]
