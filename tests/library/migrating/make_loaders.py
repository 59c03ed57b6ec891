"""Run the mixing of five more JAX repositories, most of it in loaders, and keep the numbers.

    python -m tests.library.migrating.make_loaders PATH_OF_CHECKOUTS

It needs TensorFlow, Optax and einops. The functions run on small inputs, with draws that are chosen
here wherever they let us; what came out goes to one .npz file for each repository, next to this.
"""

import enum
import os
import sys
from contextlib import ExitStack
from types import SimpleNamespace
from unittest import mock

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import einops
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tensorflow as tf

from tests.library.migrating.checkouts import Checkout

KEY, CLASSES = jax.random.key(0), 10
DRAWS = 20_000  # for means over draws


def given(**draws):
    """Within it, functions of jax.random return these values, in order."""
    stack = ExitStack()
    for name, values in draws.items():
        values = [jnp.asarray(value) for value in values]
        stack.enter_context(mock.patch.object(jax.random, name, side_effect=values))
    return stack


def pictures(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


def one_hot(ids):
    return np.eye(CLASSES, dtype=np.float32)[ids]


def mapped(function, values):
    """A function of TensorFlow's on each of these, compiled once."""
    spec = tf.TensorSpec((), tf.float32)
    return tf.function(lambda: tf.map_fn(function, values, fn_output_signature=spec))().numpy()


def init2winit(root):
    """Also λ for many keys: what is left of 1 in an example whose partner is 0."""
    checkout = Checkout(root, "google/init2winit")
    path = "init2winit/dataset_lib/image_preprocessing.py"
    theirs = checkout.names(path, "mixup_tf", "mixup", tf=tf, random=jax.random, jnp=jnp)
    x, ids, one = pictures(4, 3, 5, 2), np.int32([0, 2, 1, 1]), tf.constant([[1.0], [0.0]])
    keys = tf.stack([tf.range(5 * DRAWS), tf.ones(5 * DRAWS, tf.int32)], axis=1)

    def lam(alpha, keys):
        return mapped(lambda key: theirs["mixup_tf"](key, one, one, alpha)[0][0, 0], keys)

    mixed, labels = theirs["mixup_tf"](keys[1], tf.constant(x), tf.constant(one_hot(ids)), 0.5)
    with given(beta=[np.float32(0.3)]):
        reverse, reverse_labels = theirs["mixup"](KEY, 0.5, x, one_hot(ids))
    alphas = np.float32([0, 0.01, 0.02, 0.05, 0.2])
    drawn = np.stack([lam(alpha, keys) for alpha in alphas])
    numbers = {"x": x, "ids": ids, "lam": lam(0.5, keys[1:2])[0], "mixed": mixed, "labels": labels}
    numbers |= {"reverse_lam": 0.3, "reverse": reverse, "reverse_labels": reverse_labels}
    numbers |= {"reverse_off": theirs["mixup"](KEY, 0.0, x, one_hot(ids))[0], "alphas": alphas}
    numbers |= {"half": (drawn == 0.5).mean(1), "nan": np.isnan(drawn).mean(1)}
    checkout.save("init2winit", path, **numbers, variance=drawn.var(axis=1))


def algoperf(root):
    checkout = Checkout(root, "mlcommons/algorithmic-efficiency")
    path = "algoperf/workloads/imagenet_resnet/imagenet_jax/input_pipeline.py"
    mixup_tf = checkout.names(path, "mixup_tf", tf=tf)["mixup_tf"]
    gammas, gamma = [], tf.random.stateless_gamma

    def recorded(*arguments):
        gammas.append(gamma(*arguments))
        return gammas[-1]

    x, ids, key = pictures(4, 3, 5, 2), np.int32([7, 0, 999, 7]), tf.constant([3, 4])
    with mock.patch.object(tf.random, "stateless_gamma", recorded):
        mixed, labels = mixup_tf(key, tf.constant(x), tf.constant(ids), 0.2)
    a, b = (drawn.numpy()[0] for drawn in gammas)
    checkout.save("algoperf", path, x=x, ids=ids, lam=a / (a + b), mixed=mixed, labels=labels)


def audax(root):
    """Their loss with the mean that they hand to it, which has no gradient, and with one number
    for each example.
    """
    checkout = Checkout(root, "SarthakYadav/audax")
    modes = checkout.names("audax/training_utils/misc.py", "TrainingMode", enum=enum)
    mode, path = modes["TrainingMode"], "audax/transforms/mixup.py"
    world = {"jax": jax, "jnp": jnp, "TrainingMode": mode}
    theirs = checkout.names(path, "do_mixup", "get_mixedup_xentropy", **world)
    utilities = "audax/training_utils/training_utilities.py"
    mean = checkout.names(utilities, "cross_entropy_loss", jnp=jnp, optax=optax)
    x, logits, ids = pictures(4, 6, 5), 4 * pictures(4, CLASSES), np.int32([0, 2, 1, 1])
    lam, index, several = np.float32([0.75, 0.2, 1, 0.4]), np.int32([2, 1, 3, 0]), one_hot(ids)
    several[0, 4] = 1
    with given(beta=[lam, lam], permutation=[index, index]):
        mixed, labels, *_ = theirs["do_mixup"](KEY, x, several, mode=mode.MULTILABEL)
        _, *drawn = theirs["do_mixup"](KEY, x, one_hot(ids), mode=mode.MULTICLASS)

    def loss(logits, criterion):
        return theirs["get_mixedup_xentropy"](criterion, logits, *drawn, mode.MULTICLASS)

    try:
        error = ""
        jax.grad(loss)(logits, mean["cross_entropy_loss"])
    except TypeError as found:
        error = str(found)
    numbers = {"x": x, "several": several, "ids": ids, "lam": lam, "index": index, "mixed": mixed}
    numbers |= {"labels": labels, "logits": logits, "error": error}
    numbers |= {"loss": loss(logits, mean["cross_entropy_loss"])}
    checkout.save("audax", path, **numbers, each=loss(logits, optax.softmax_cross_entropy))


def datarax(root):
    """The last four boxes have sides that are not whole numbers."""
    checkout = Checkout(root, "avitai/datarax")
    path, name = "src/datarax/operators/batch_mix_operator.py", "BatchMixOperator"
    operator = checkout.names(path, name, jax=jax, jnp=jnp, OperatorModule=object)[name]
    operator = operator.__new__(operator)
    operator.config = SimpleNamespace(alpha=1.0, data_field="image", label_field="label")
    x, ids, index = pictures(4, 8, 8, 2), np.int32([1, 7, 4, 3]), np.int32([2, 0, 1, 3])
    whole = np.uint8([[10], [200], [30], [40]])
    data = {"image": x, "label": one_hot(ids), "ids": ids, "bytes": whole}
    with given(beta=[np.float32(0.5)], permutation=[index]):
        mixed, _ = operator._apply_mixup_raw(data, None, KEY)
    numbers = {"x": x, "ids": ids, "index": index, "bytes": whole, "mixed": mixed["image"]}
    numbers |= {"labels": mixed["label"], "mixed_ids": mixed["ids"], "mixed_bytes": mixed["bytes"]}
    # λ, and the centre's column and row.
    drawn = [[0.75, 3, 4], [0.859375, 0, 6], [0, 4, 4], [1, 2, 2]]
    drawn = np.float32([*drawn, [0.25, 7, 1], [0.6, 3, 4], [0.9, 5, 5], [0.3, 0, 4]])
    boxes = []
    for lam, *centre in drawn:
        with given(beta=[lam], permutation=[index], randint=np.int32(centre)):
            boxes.append(operator._apply_cutmix_raw(data, None, KEY)[0])
    numbers |= {"drawn": drawn, "cut": [box["image"] for box in boxes]}
    numbers |= {"cut_labels": [box["label"] for box in boxes], "sizes": [8, 32, 224]}
    errors = np.array([label_errors(operator, size) for size in (8, 32, 224)])
    checkout.save("datarax", path, **numbers, errors=errors)


def label_errors(operator, size, draws=4096):
    """Mean and largest difference of a label's weight from the fraction of pixels, in pairs."""
    ids = jnp.arange(2.0)
    data = {"image": jnp.broadcast_to(ids[:, None, None, None], (2, size, size, 1))}
    data |= {"label": jnp.eye(2)}

    def weights(key):
        box = operator._apply_cutmix_raw(data, None, key)[0]
        return jnp.stack([box["label"][0, 1], box["image"][0].mean()])

    drawn = jax.jit(lambda keys: jax.lax.map(weights, keys))(jax.random.split(KEY, draws))
    drawn = np.asarray(drawn)[drawn[:, 0] > 0]  # in half of them an example is its own partner
    error = np.abs(drawn[:, 0] - drawn[:, 1])
    return error.mean(), error.max()


def adversarial_robustness(root):
    """The sides of the last three boxes are rounded down to even numbers."""
    checkout, path = deepmind(root, "adversarial_robustness/jax/utils.py")
    names = "cutmix", "_random_box", "_compose_two_images", "_window_mask"
    theirs = checkout.names(path, *names, jax=jax, jnp=jnp, einops=einops)
    x, ids = pictures(8, 8, 12, 2), np.int32([0, 2, 1, 1, 4, 0, 2, 3])
    # λ, and the centre's row and column.
    drawn = [[0.75, 3, 6], [0.75, 0, 11], [1, 2, 2], [0.6, 4, 5], [0.9, 7, 0], [0.05, 3, 3]]
    orders = {"rolled": (1, np.roll(np.arange(8), 1)), "any": (2, np.int32([2, 0, 1, 3]))}
    orders |= {"repeated": (2, np.roll(np.arange(4), 1))}
    numbers = {"x": x, "ids": ids, "drawn": np.float32(drawn), "order": orders["any"][1]}
    for name, (split, order) in orders.items():
        both = []
        for lam, *centre in np.float32(drawn):
            with given(permutation=[order], beta=[lam], randint=np.int32(centre)):
                both.append(theirs["cutmix"](KEY, x, one_hot(ids), split=split))
        numbers |= {f"{name}_{i}": np.stack(part) for i, part in enumerate(zip(*both, strict=True))}
    checkout.save("adversarial_robustness", path, **numbers)


def nfnets(root):
    """Sides are whole and even in every second box. Also, how much a mask keeps on average."""
    checkout, path = deepmind(root, "nfnets/dataset.py")
    names = "cutmix_padding", "my_cutmix", "my_mixup", "my_mixup_cutmix"
    theirs = checkout.names(path, *names, tf=tf)
    padding = theirs["cutmix_padding"]
    # The centre's column and row, and what they draw for λ.
    drawn = [[6, 3, 0.75], [2, 2, 0.6], [0, 7, 0.75], [9, 7, 0.9], [11, 2, 0.75], [5, 0, 0.3]]
    drawn, masks = np.float32([*drawn, [5, 4, 0.75], [6, 3, 0.1]]), []
    for column, row, lam in drawn:
        values = [tf.constant(int(column)), tf.constant(int(row)), tf.constant(lam)]
        with mock.patch.object(tf.random, "uniform", side_effect=values):
            masks.append(padding(8, 12))
    x, ids = pictures(8, 8, 12, 2), np.int32([0, 2, 1, 1, 2, 0, 0, 1])
    ratio = np.float32([0.75, 0.2, 1, 0.4, 0, 0.9, 0.6, 0.1])
    batch = {"images": x, "labels": ids, "mask": np.stack(masks), "mixup_ratio": ratio}
    batch["cutmix_ratio"] = np.mean(masks, axis=(1, 2, 3))
    numbers = {"x": x, "ids": ids, "drawn": drawn, "ratio": ratio}
    for name in ("my_mixup", "my_cutmix", "my_mixup_cutmix"):
        mixed = theirs[name]({k: tf.constant(v) for k, v in batch.items()})
        numbers |= {f"{name}_{key}": value for key, value in mixed.items()}
    tf.random.set_seed(0)
    numbers |= {"sizes": [32, 224], "kept": [kept_by(padding, size) for size in (32, 224)]}
    checkout.save("nfnets", path, **numbers)


def kept_by(padding, size):
    return mapped(lambda _: tf.reduce_mean(padding(size, size)), tf.range(DRAWS)).mean()


def deepmind(root, path):
    return Checkout(root, "google-deepmind/deepmind-research"), path


if __name__ == "__main__":
    for make in (init2winit, algoperf, audax, datarax, adversarial_robustness, nfnets):
        make(sys.argv[1])
