"""Run five JAX repositories' own mixing, and keep the numbers: needs Flax, SciPy and TensorFlow.

    python -m tests.library.migrating.make PATH_OF_CHECKOUTS [NAME ...]

Their functions are taken out of their files and run on small inputs; what jax.random gave, what
came out, and the numbers behind MIGRATING.md's sentences on faults, go to NAME.npz next to this.
"""

import ast
import os
import sys
from types import SimpleNamespace

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.library.migrating.checkouts import Checkout, fails, recorded

DEVICES, CLASSES = 8, 10
NUMERIC = {"jax": jax, "jnp": jnp, "np": np}


def batch(rows=16, spatial=(6, 6)):
    """Images of one channel, and class ids."""
    generator = np.random.default_rng(rows)
    images = generator.random((rows, *spatial, 1), np.float32)
    return images, generator.permutation(np.arange(rows) % CLASSES).astype(np.int32)


def one_hot(ids):
    return np.eye(CLASSES, dtype=np.float32)[ids]


def big_vision(root):
    checkout = Checkout(root, "google-research/big_vision")
    get_mixup = checkout.names("big_vision/utils.py", "get_mixup", **NUMERIC)["get_mixup"]
    images, ids = batch()
    spec = jax.sharding.PartitionSpec

    def sharded(key, *arrays):
        with recorded("beta") as seen:
            mixed = get_mixup(jax.random.PRNGKey(key), 0.5)
        out = (spec(), spec("data"), spec("data"))
        mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
        mixed = jax.shard_map(mixed, mesh=mesh, in_specs=spec("data"), out_specs=out)
        return *mixed(*arrays)[1], seen["beta"][0]

    mixed, labels, drawn = zip(*(sharded(key, images, one_hot(ids)) for key in (0, 1)), strict=True)
    brain, swapped, _ = sharded(0, jnp.asarray(images, jnp.bfloat16), ids)
    alone = sharded(0, images[:DEVICES], one_hot(ids[:DEVICES]))[0]
    checkout.save(
        "big_vision",
        "big_vision/utils.py get_mixup in a shard_map of 8 devices, p = 0.5",
        **{"images": images, "ids": ids, "drawn": drawn, "mixed": mixed, "labels": labels},
        bytes_of_bf16=brain.dtype.itemsize,
        ids_of_ids=swapped,
        change_alone=np.abs(alone - images[:DEVICES]).max(),
    )


def big_vision_siglip(root):
    """The loss of the image-text trainer, for each picture's own text, and for others."""
    checkout = Checkout(root, "google-research/big_vision")
    path = "big_vision/trainers/proj/image_text/siglip.py"
    nodes = ast.walk(ast.parse(checkout._git("show", f"HEAD:{path}")))
    nested = [node for node in nodes if getattr(node, "name", "") == "loss_fn"]
    generator = np.random.default_rng(7)
    zimg, ztxt = generator.normal(size=(2, 16, 4)).astype(np.float32) / 2
    extras = {"t": 10.0, "b": -10.0}

    def loss(zimg, ztxt):
        towers = SimpleNamespace(apply=lambda *_, **__: (zimg, ztxt, extras))
        names = {"model": towers, "images": None, "labels": None, "rng_model": None, **NUMERIC}
        exec(compile(ast.Module(nested, type_ignores=[]), path, "exec"), names)
        return names["loss_fn"](None)

    saved = {}
    for name, texts in (("own", ztxt), ("before", ztxt.reshape(8, 2, 4)[:, ::-1].reshape(16, 4))):
        saved[name], saved[f"{name}_slope"] = jax.value_and_grad(loss)(zimg, texts)
    checkout.save(
        "big_vision_siglip",
        f"{path} loss_fn of update_fn, with t = 10 and b = -10, also with texts swapped in pairs",
        **{"zimg": zimg, "ztxt": ztxt, **saved},
    )


def scenic(root):
    """The function of the pmapped step, called for each device with the key that it has there."""
    checkout = Checkout(root, "google-research/scenic")
    mixup = checkout.names("scenic/dataset_lib/dataset_utils.py", "mixup", **NUMERIC)["mixup"]
    images, ids = batch()
    key = jax.random.PRNGKey(0)

    def call(images, labels, key=key, **options):
        return mixup({"inputs": images, "label": labels}, rng=key, alpha=0.5, **options)

    with recorded("beta") as seen:
        parts = [
            call(x, y, jax.random.fold_in(key, device))
            for device, (x, y) in enumerate(
                zip(np.split(images, DEVICES), np.split(one_hot(ids), DEVICES), strict=True)
            )
        ]
    given = {"inputs": images, "label": one_hot(ids)}
    mixup(given, rng=key)
    last = np.moveaxis(images, 0, -1)
    checkout.save(
        "scenic",
        "scenic/dataset_lib/dataset_utils.py mixup for each of 8 devices, alpha = 0.5",
        **{"images": images, "ids": ids, "drawn": seen["beta"]},
        mixed=np.concatenate([part["inputs"] for part in parts]),
        labels=np.concatenate([part["label"] for part in parts]),
        bytes_of_bf16=call(jnp.asarray(images, jnp.bfloat16), one_hot(ids))["inputs"].itemsize,
        ids_of_ids=call(images, jnp.asarray(ids))["label"],
        batch_changed=given["inputs"] is not images,
        batch_last_fails=fails(call, last, one_hot(ids), image_format="HWCN"),
    )


def av_mae(root):
    checkout = Checkout(root, "google-research/scenic")
    smooth = checkout.names(
        "scenic/model_lib/base_models/model_utils.py", "apply_label_smoothing", **NUMERIC
    )["apply_label_smoothing"]
    wanted = ("get_random_bounding_box", "_do_mixup", "_do_cutmix", "mixup_cutmix")
    path = "scenic/projects/av_mae/train_utils.py"
    utils = SimpleNamespace(apply_label_smoothing=smooth)
    names = checkout.names(path, *wanted, model_utils=utils, **NUMERIC)
    images, ids = batch(4, (12, 10))

    def call(images, key, cutmix_alpha=1.0):
        given = {"inputs": images, "label": one_hot(ids)}
        options = {"mixup_alpha": 0.8, "cutmix_alpha": cutmix_alpha, "label_smoothing": 0.1}
        return names["mixup_cutmix"](given, jax.random.PRNGKey(key), **options)

    cases = []
    cond = jax.lax.cond
    for key in range(6):
        jax.lax.cond = lambda on, yes, no, *args: (yes if on else no)(*args)  # outside of tracing
        with recorded("bernoulli", "beta", "randint") as seen:
            given = call(images, key)
        jax.lax.cond = cond
        cut, centre = bool(seen["bernoulli"][0]), [int(x[0]) for x in seen["randint"]] or [0, 0]
        cases.append((given["inputs"], given["label"], cut, seen["beta"][0], centre))
    mixed, labels, cut, lam, centre = map(np.stack, zip(*cases, strict=True))
    box = names["get_random_bounding_box"]
    videos = np.stack([images, images[::-1]], axis=1)  # [B, T, H, W, C]
    video = call(videos, int(np.argmax(cut)))["inputs"]
    checkout.save(
        "av_mae",
        f"{path} mixup_cutmix, alphas 0.8 and 1, smoothing 0.1",
        **{"images": images, "ids": ids, "mixed": mixed, "labels": labels},
        **{"cut": cut, "lam": lam, "centre": centre, "videos": videos, "video": video},
        bf16_fails=fails(call, jnp.asarray(images, jnp.bfloat16), 0),
        traced_alpha_fails=fails(jax.jit(lambda alpha: call(images, 0, alpha)), 1.0),
        share=[own_share(box, size) for size in (32, 224)],
    )


def own_share(box, size, draws=100_000):
    """The mean part of an image outside their box at alpha 1."""

    def share(key):
        key_lam, key = jax.random.split(key)
        ratio = jnp.sqrt(1 - jax.random.uniform(key_lam))
        top, bottom, left, right = box((size, size), ratio, key)
        return 1 - (bottom - top) * (right - left) / size**2

    keys = jax.random.split(jax.random.key(0), draws)
    return jax.jit(lambda keys: jax.vmap(share)(keys).mean())(keys)


def deit3(root):
    checkout = Checkout(root, "affjljoo3581/deit3-jax")
    theirs = checkout.names("src/utils.py", "Mixup", nn=nn, **NUMERIC)["Mixup"]
    images, ids = batch(4, (12, 10))
    cases = []
    for key in (0, 3, 9, 29, 11, 12):  # mixup, CutMix, CutMix with a box that ours has not
        draws = ("beta", "permutation", "uniform")
        with recorded(*draws) as seen:
            rngs = {"mixup": jax.random.PRNGKey(key)}
            mixed, labels = theirs().apply({}, images, one_hot(ids), rngs=rngs)
        centre, switch = seen["uniform"]
        cut = int(switch <= 0.5)
        cases.append((mixed, labels, cut, seen["beta"][cut], seen["permutation"][cut], centre))
    mixed, labels, cut, lam, index, centre = map(np.stack, zip(*cases, strict=True))
    checkout.save(
        "deit3",
        "src/utils.py Mixup, and src/training.py TrainModule of fixed logits",
        **{"images": images, "ids": ids, "mixed": mixed, "labels": labels},
        **{"cut": cut, "lam": lam, "index": index, "centre": centre},
        **deit3_losses(checkout, theirs, ids),
    )


def deit3_losses(checkout, theirs, ids):
    """The loss and the accuracies of their module, where example 1 is taken for its partner."""
    wanted = ("CRITERION_COLLECTION", "TrainModule")
    mean = {"IMAGENET_DEFAULT_MEAN": 0.0, "IMAGENET_DEFAULT_STD": 1.0}
    names = {"nn": nn, "optax": optax, "ViT": nn.Module, "Mixup": theirs, **mean, **NUMERIC}
    names = checkout.names("src/training.py", *wanted, **names)
    logits = np.random.default_rng(3).normal(size=(len(ids), CLASSES)).astype(np.float32)
    pixels = np.zeros((len(ids), 3, 12, 10), np.uint8)

    class Fixed(nn.Module):
        labels: int = CLASSES

        def __call__(self, images, det):
            return jnp.asarray(logits)

    def run(name, smoothing):
        mixup = theirs(mixup_alpha=0.8, cutmix_alpha=0.0)
        module = names["TrainModule"](
            Fixed(), mixup, smoothing, names["CRITERION_COLLECTION"][name]
        )
        rngs = {"mixup": jax.random.PRNGKey(14)}
        with recorded("beta", "permutation") as seen:
            return module.apply({}, pixels, ids, det=False, rngs=rngs), seen

    index = np.asarray(run("ce", 0.1)[1]["permutation"][0])
    logits[0, ids[0]] = logits[1, ids[index[1]]] = 9
    out, seen = run("ce", 0.1)
    smoothed = optax.smooth_labels(one_hot(ids), 0.1)
    return {
        **{"logits": logits, "loss_index": index, "loss_lam": seen["beta"][0]},
        **{"ce": out["loss"], "acc1": out["acc1"], "acc5": out["acc5"]},
        **{"bce": run("bce", 0.0)[0]["loss"], "bce_smoothed": run("bce", 0.1)[0]["loss"]},
        # What their criterion takes for true: it compares with 0.
        "true_classes": [(one_hot(ids) > 0).sum(1), (smoothed > 0).sum(1)],
    }


def vmoe(root):
    checkout = Checkout(root, "google-research/vmoe")
    same = SimpleNamespace(with_sharding_constraint=lambda x, spec: x)
    silent = SimpleNamespace(warning=lambda *_: None)
    names = {"flax": flax, "partitioning": same, "logging": silent, **NUMERIC}
    names = checkout.names("vmoe/train/trainer.py", "mixup", "wrap_train_step_with_mixup", **names)
    images, ids = batch(32, (3, 3))

    class State(SimpleNamespace):
        def replace(self, **changed):
            return State(**{**vars(self), **changed})

    def step(state, images, labels):
        return state, (images, labels)

    wrap, saved = names["wrap_train_step_with_mixup"], {}
    for granularity, size in (("device", 2), ("example", 3), ("batch", 3)):
        options = {"concentration": 0.5, "granularity": granularity, "size": size}
        state = State(rngs={"mixup": jax.random.PRNGKey(1)})
        with recorded("dirichlet") as seen:
            _, (mixed, labels) = wrap(step, **options)(state, images, one_hot(ids))
        saved[f"{granularity}_weights"] = seen["dirichlet"][0]
        saved[f"{granularity}_mixed"], saved[f"{granularity}_labels"] = mixed, labels
    state = State(rngs={"mixup": jax.random.PRNGKey(1)})
    of_ids = wrap(step, concentration=0.5)(state, jnp.asarray(images, jnp.bfloat16), ids)[1]
    checkout.save(
        "vmoe",
        "vmoe/train/trainer.py wrap_train_step_with_mixup on 8 devices, concentration = 0.5",
        **{"images": images, "ids": ids, **saved},
        bytes_of_bf16=of_ids[0].itemsize,
        ids_of_ids=of_ids[1],
        published_setting_fails=fails(wrap, step, concentration=0.5, mixup_size=2),
    )


def perch_pipeline(root):
    import tensorflow as tf  # only here

    checkout = Checkout(root, "google-research/perch")
    import dataclasses

    names = {"tf": tf, "dataclasses": dataclasses, "DatasetPreprocessOp": object, **NUMERIC}
    theirs = checkout.names("chirp/preprocessing/pipeline.py", "MixAudio", **names)["MixAudio"]
    theirs = theirs(target_dist=(1.0, 0.5, 0.25))
    generator = np.random.default_rng(5)
    audio = generator.normal(size=(6, 20)).astype(np.float32)
    label = (generator.random((6, CLASSES)) < 0.2).astype(np.int32)
    saved = {"audio": audio, "label": label}
    for k in (1, 2, 3):
        given = {"audio": tf.constant(audio[:k]), "label": tf.constant(label[:k])}
        out = theirs._mix_audio(given)
        saved |= {f"mixed_{k}": out["audio"], f"union_{k}": out["label"]}
        saved[f"source_{k}"] = out["source_audio"]
    stream = tf.data.Dataset.from_tensor_slices({"audio": np.zeros((3000, 1), np.float32)})
    tf.random.set_seed(0)
    left = sum(1 for _ in theirs(stream, None))
    checkout.save(
        "perch_pipeline", "chirp/preprocessing/pipeline.py MixAudio", left_of_3000=left, **saved
    )


class Parent:
    """A data set whose labels are sparse, and a note of which examples were asked for."""

    def __init__(self, audio, label, sparse):
        self.asked, self.audio = [], audio
        self.labels = [sparse.csr_matrix(y[None]) for y in label]

    def __len__(self):
        return len(self.audio)

    def __getitem__(self, index):
        self.asked.append(int(index))
        return {"audio": self.audio[index], "label": self.labels[index]}


def perch_generalized(root):
    import functools

    from scipy import sparse, stats

    checkout = Checkout(root, "google-research/perch")
    names = {"functools": functools, "stats": stats, "sys": sys, **NUMERIC}
    names = checkout.names("chirp/models/perch_2.py", "GeneralizedMixup", "_mix", **names)
    theirs, generator = names["GeneralizedMixup"], np.random.default_rng(6)
    audio = generator.normal(size=(6, 20)).astype(np.float32)
    label = (generator.random((6, CLASSES)) < 0.3).astype(np.float32)

    own, drawn, cases = stats.dirichlet.rvs, [], []
    stats.dirichlet.rvs = lambda *args, **options: drawn.append(own(*args, **options)) or drawn[-1]
    for index in range(12):
        out = []
        for weigh in (False, True):
            parent = Parent(audio, label, sparse)  # a new one: it is changed in place
            options = {"max_num_signals": 3, "dirichlet_concentration": 1.0, "weigh_labels": weigh}
            out.append(theirs(parent, **options)[index])
        rows, weights = np.full(3, -1), np.zeros(3)
        rows[: len(parent.asked)], weights[: len(parent.asked)] = parent.asked, drawn[-1][0]
        union, weighed = (np.asarray(each["label"].todense())[0] for each in out)
        again = np.asarray(theirs(parent, **options)[index]["label"].todense())[0]
        cases.append((rows, weights, out[0]["audio"], union, weighed, again))
    stats.dirichlet.rvs = own
    rows, weights, mixed, union, weighed, again = map(np.stack, zip(*cases, strict=True))
    documented = {0: {"audio": audio[0], "label": sparse.csr_matrix(label[:1]), "index": 0}}
    checkout.save(
        "perch_generalized",
        "chirp/models/perch_2.py GeneralizedMixup, 3 signals, concentration 1",
        **{"audio": audio, "label": label, "rows": rows, "weights": weights, "mixed": mixed},
        **{"union": union, "weighed": weighed, "weighed_again": again},
        documented_fails=any(
            fails(theirs(documented, 3, dirichlet_concentration=1.0).__getitem__, index)
            for index in range(5)
        ),
    )


def main(root, *only):
    for make in (
        big_vision,
        big_vision_siglip,
        scenic,
        av_mae,
        deit3,
        vmoe,
        perch_pipeline,
        perch_generalized,
    ):
        if not only or make.__name__ in only:
            print(make.__name__)
            make(root)


if __name__ == "__main__":
    main(*sys.argv[1:])
