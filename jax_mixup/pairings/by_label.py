"""Partners by label: of the same class, of another, balanced over classes, or by near target."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Int, Integer, PRNGKeyArray, Shaped

from jax_mixup import _checks
from jax_mixup._distances import by_differences, whole_rows
from jax_mixup._entry import public
from jax_mixup.pairings.random import permutation


@public
def within_class(key: PRNGKeyArray, labels: Integer[ArrayLike, "b"]) -> Int[Array, "b"]:
    """Pair each example with another one of its class: a random cycle through each class.

        y[p(i)] = y[i], and p(i) = i only where a class has one example

    Args:
      key: a PRNG key.
      labels: integer class ids, i[B].

    Returns:
      i32[B], a permutation.

    Raises:
      TypeError: If labels are not integer ids of shape (B,).

    Example:
      >>> jm.within_class(jax.random.key(0), jnp.array([7, 3, 7, 3, 5])).tolist()
      [2, 3, 0, 1, 4]
    """
    labels = jnp.asarray(labels)
    _checks.integer_ids("within_class", "labels", labels)
    n = labels.shape[0]
    shuffled = permutation(key, n)
    order = shuffled[jnp.argsort(labels[shuffled], stable=True)]
    ranked = labels[order]
    first = jnp.searchsorted(ranked, ranked, side="left")
    last = jnp.searchsorted(ranked, ranked, side="right") - 1
    place = jnp.arange(n, dtype=first.dtype)
    successor = order[jnp.where(place == last, first, place + 1)]
    return jnp.zeros(n, jnp.int32).at[order].set(successor)


@public
def across_class(key: PRNGKeyArray, labels: Integer[ArrayLike, "b"]) -> Int[Array, "b"]:
    """Pair each example with a uniformly random example of another class.

        P(p(i) = j) ∝ [y_j ≠ y_i]

    An example may be the partner of several others. If the batch holds only one class, every
    example is its own partner. Costs O(B²).

    Args:
      key: a PRNG key.
      labels: integer class ids, i[B].

    Returns:
      i32[B].

    Raises:
      TypeError: If labels are not integer ids of shape (B,).

    Example:
      >>> jm.across_class(jax.random.key(0), jnp.array([0, 1, 1])).tolist()[1:]
      [0, 0]
    """
    labels = jnp.asarray(labels)
    _checks.integer_ids("across_class", "labels", labels)
    differs = labels[:, None] != labels[None, :]
    drawn = _categorical(key, jnp.where(differs, 0.0, -jnp.inf))
    return jnp.where(differs.any(axis=1), drawn, jnp.arange(labels.shape[0], dtype=jnp.int32))


@public
def class_balanced(key: PRNGKeyArray, labels: Integer[ArrayLike, "b"]) -> Int[Array, "b"]:
    """Draw each partner from a uniformly random class, then uniformly within this class.

        P(p(i) = j) ∝ 1 / #{k : y_k = y_j}

    Only classes that are present in the batch are drawn. Draws are independent; an example may be
    its own partner. Costs O(B²).

    Args:
      key: a PRNG key.
      labels: integer class ids, i[B].

    Returns:
      i32[B].

    Raises:
      TypeError: If labels are not integer ids of shape (B,).

    Example:
      >>> labels = jnp.array([0] * 99 + [1])
      >>> partner = jm.class_balanced(jax.random.key(0), labels)
      >>> bool(labels[partner].sum() > 30)  # one example in 100 is the partner of about half
      True
    """
    labels = jnp.asarray(labels)
    _checks.integer_ids("class_balanced", "labels", labels)
    counts = (labels[:, None] == labels[None, :]).sum(axis=1).astype(jnp.float32)
    n = labels.shape[0]
    return _categorical(key, jnp.broadcast_to(-jnp.log(counts)[None, :], (n, n)))


@public
def by_label_kernel(
    key: PRNGKeyArray, targets: Shaped[ArrayLike, "b *dims"], bandwidth: ArrayLike
) -> Int[Array, "b"]:
    """Draw each partner by a Gaussian kernel on the targets, for regression.

        P(p(i) = j) ∝ exp(-‖y_i - y_j‖² / 2h²)

    Args:
      key: a PRNG key.
      targets: f[B] or f[B, ...], in any units.
      bandwidth: h > 0 in the units of the targets; may be traced. A multiple of their standard
        deviation carries over between data sets. If a traced one is not positive, every example is
        its own partner.

    Returns:
      i32[B]; the example itself is among the candidates, as in the authors' code. An example with
      NaN or infinite targets is its own partner, and not a partner of others.

    Raises:
      ValueError: If a static `bandwidth` is not positive, or if there is more than one.

    Example:
      >>> jm.by_label_kernel(jax.random.key(0), jnp.array([0.0, 9.0, 0.1]), 1e-3).tolist()
      [0, 1, 2]

    C-Mixup, Yao et al. 2022, arXiv:2210.05775. Their code draws over the whole training set on the
    host; this function draws within the batch.
    """
    _checks.positive("by_label_kernel", "bandwidth", bandwidth)
    h = jnp.asarray(bandwidth).astype(jnp.float32)
    h = _checks.shaped("by_label_kernel", "bandwidth", h, ())
    y, missing = whole_rows("by_label_kernel", "targets", targets)
    on = h > 0
    logits = -by_differences(y, 1 / jnp.where(on, jnp.clip(h, 1e-37, 1e37), 1.0)) / 2
    drawn = _categorical(key, jnp.where(missing[None, :], -jnp.inf, logits))
    return jnp.where(missing | ~on, jnp.arange(y.shape[0], dtype=jnp.int32), drawn)


def _categorical(key: PRNGKeyArray, logits: Array) -> Int[Array, "b"]:
    # In float32 under x64 too, where float64 numbers would be drawn from other random bits.
    return jax.random.categorical(key, logits.astype(jnp.float32), axis=-1).astype(jnp.int32)
