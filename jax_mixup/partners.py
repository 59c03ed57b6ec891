"""Partners that are drawn, or depend on labels and features: index arrays `i32[B]` for `pairing=`.

Row i is mixed with row p(i). A row whose targets or features are missing, NaN or infinite, is
nobody's partner and its own. On a batch that is sharded over devices an index array gathers the
whole batch on every device: prefer a static pairing there. Every function is defined for a batch of
one, which is its own partner.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Integer, PRNGKeyArray, Shaped

from jax_mixup import _checks
from jax_mixup._entry import public


@public
def permutation(key: PRNGKeyArray, n: int) -> Int[Array, "b"]:
    """Draw a uniformly random permutation, the pairing of the original paper's code.

        p ~ U(S_n)

    A row is its own partner with probability 1/n. On a batch sharded over devices this is the
    pairing that gathers the whole batch on every device: prefer a static one there.

    Args:
      key: a PRNG key.
      n: the number of rows B.

    Returns:
      i32[B].

    Example:
      >>> sorted(jm.permutation(jax.random.key(0), 4).tolist())
      [0, 1, 2, 3]
    """
    return jax.random.permutation(key, n).astype(jnp.int32)


@public
def derangement(key: PRNGKeyArray, n: int) -> Int[Array, "b"]:
    """Draw a random cyclic permutation: no row is its own partner.

        p(s_k) = s_(k+1 mod n) for a uniformly random order s

    Uniform over the (n-1)! cycles of length n, so every other row is equally likely as a partner;
    derangements of more than one cycle are not drawn. Sharded batches: see `permutation`.

    Args:
      key: a PRNG key.
      n: the number of rows B.

    Returns:
      i32[B]; [0] for n = 1, which has nobody else.

    Example:
      >>> p = jm.derangement(jax.random.key(0), 5)
      >>> bool((p == jnp.arange(5)).any())
      False
    """
    order = permutation(key, n)
    return jnp.zeros(n, jnp.int32).at[order].set(jnp.roll(order, 1))


@public
def within_class(key: PRNGKeyArray, labels: Integer[ArrayLike, "b"]) -> Int[Array, "b"]:
    """Pair each row with another of its class: a random cycle through each class.

        y[p(i)] = y[i], and p(i) = i only where a class has one row

    Args:
      key: a PRNG key.
      labels: integer class ids, i[B].

    Returns:
      i32[B], a permutation.

    Raises:
      TypeError: for labels that are not integer ids of shape (B,).

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
    """Pair each row with a uniformly random row of another class.

        P(p(i) = j) ∝ [y_j ≠ y_i]

    A row may be the partner of several. Where the batch holds one class, rows stay their own
    partners. Costs O(B²).

    Args:
      key: a PRNG key.
      labels: integer class ids, i[B].

    Returns:
      i32[B].

    Raises:
      TypeError: for labels that are not integer ids of shape (B,).

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
    """Draw each partner from a uniformly random class, then uniformly within it.

        P(p(i) = j) ∝ 1 / #{k : y_k = y_j}

    The classes are those present in the batch. Draws are independent; a row may be its own partner.
    Costs O(B²).

    Args:
      key: a PRNG key.
      labels: integer class ids, i[B].

    Returns:
      i32[B].

    Raises:
      TypeError: for labels that are not integer ids of shape (B,).

    Example:
      >>> labels = jnp.array([0] * 99 + [1])
      >>> partner = jm.class_balanced(jax.random.key(0), labels)
      >>> bool(labels[partner].sum() > 30)  # one row in a hundred serves about half of them
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
      bandwidth: h > 0 in the targets' units; may be traced. Multiples of their standard deviation
        carry over between data sets. Where a traced one is not positive, rows are their own.

    Returns:
      i32[B]; the row itself is among the candidates, as in the authors' code.

    Raises:
      ValueError: for a static `bandwidth` <= 0, or more than one.

    Example:
      >>> jm.by_label_kernel(jax.random.key(0), jnp.array([0.0, 9.0, 0.1]), 1e-3).tolist()
      [0, 1, 2]

    C-Mixup, Yao et al. 2022, arXiv:2210.05775. Their code draws over the whole training set on the
    host; this draws within the batch.
    """
    _checks.positive("by_label_kernel", "bandwidth", bandwidth)
    h = jnp.asarray(bandwidth).astype(jnp.float32)
    h = _checks.shaped("by_label_kernel", "bandwidth", h, ())
    y, missing = whole_rows("by_label_kernel", "targets", targets)
    on = h > 0
    logits = -_square_distances(y, 1 / jnp.where(on, jnp.clip(h, 1e-37, 1e37), 1.0)) / 2
    drawn = _categorical(key, jnp.where(missing[None, :], -jnp.inf, logits))
    return jnp.where(missing | ~on, jnp.arange(y.shape[0], dtype=jnp.int32), drawn)


@public
def nearest(
    key: PRNGKeyArray, features: Shaped[ArrayLike, "b *dims"], *, k: int = 1
) -> Int[Array, "b"]:
    """Draw each partner among the row's k nearest other rows.

        p(i) ~ U(the k rows j ≠ i of least ‖f_i - f_j‖²)

    Args:
      key: a PRNG key; for k = 1 nothing is random.
      features: f[B, ...]: inputs, hidden features, targets. Costs O(B²).
      k: how many neighbours; a batch with fewer other rows offers them all.

    Returns:
      i32[B]; [0] for a batch of one.

    Raises:
      ValueError: for k < 1.

    Example:
      >>> jm.nearest(jax.random.key(0), jnp.array([0.0, 5.0, 0.1])).tolist()
      [2, 2, 0]
    """
    k = _checks.whole("nearest", "k", k, 1)
    x, missing = whole_rows("nearest", "features", features)
    n = x.shape[0]
    itself = jnp.arange(n, dtype=jnp.int32)
    if n == 1:
        return itself
    k = min(k, n - 1)
    distances = _square_distances(x / largest(x))
    others = jnp.where(jnp.eye(n, dtype=bool) | missing[None, :], jnp.inf, distances)
    _, candidates = jax.lax.top_k(-others, k)
    available = n - 1 - missing.sum(dtype=jnp.int32)  # to a row that is not missing itself
    pick = jax.random.randint(key, (n, 1), 0, jnp.clip(available, 1, k), jnp.int32)
    drawn = jnp.take_along_axis(candidates, pick, axis=1)[:, 0].astype(jnp.int32)
    return jnp.where(missing | (available < 1), itself, drawn)


def whole_rows(
    function: str, name: str, x: Shaped[ArrayLike, "b *dims"]
) -> tuple[Float[Array, "b d"], Bool[Array, "b"]]:
    """The rows, flat and float32, zero where something of a row is missing; and which those are."""
    x = jnp.asarray(x)
    if x.ndim == 0 or not x.size:
        raise ValueError(f"{function} got {name} of shape {x.shape}; it needs (B, ...).")
    flat = x.reshape(x.shape[0], -1).astype(jnp.float32)
    missing = ~jnp.isfinite(flat).all(axis=1)
    return jnp.where(missing[:, None], 0.0, flat), missing


def largest(x: Float[Array, "b d"]) -> Float[Array, ""]:
    """What to divide by so that squares of differences neither overflow nor vanish: 1 as a rule."""
    most = jnp.abs(x).max()
    usual = (most == 0) | ((most > 1e-15) & (most < 1e15))
    return jnp.where(usual, 1.0, jnp.maximum(most, 1e-37))


def around(partner: Int[Array, "b"], missing: Bool[Array, "b"]) -> Int[Array, "b"]:
    """The permutation with missing rows spliced out of its cycles: each is its own partner."""
    itself = jnp.arange(partner.shape[0], dtype=jnp.int32)
    follow = jnp.where(missing, partner, itself)
    for _ in range((partner.shape[0] - 1).bit_length()):  # each time twice as far
        follow = follow[follow]
    return jnp.where(missing, itself, follow[partner])


def _categorical(key: PRNGKeyArray, logits: Array) -> Int[Array, "b"]:
    # In float32 also under x64, whose floats would be drawn from other bits.
    return jax.random.categorical(key, logits.astype(jnp.float32), axis=-1).astype(jnp.int32)


@jax.jit  # eagerly too, so that the B² D differences go into their sums and are never an array
def _square_distances(
    x: Float[Array, "b d"], scale: Float[Array, ""] | None = None
) -> Float[Array, "b b"]:
    # By differences, not by ‖a‖² + ‖b‖² - 2ab: that cancels where rows are close, and close rows
    # are the ones asked for. A scale comes after them, for its rounding must not cancel either.
    def from_row(row: Array) -> Array:
        steps = x - row[None, :]
        return jnp.square(steps if scale is None else steps * scale).sum(axis=-1)

    return jax.vmap(from_row)(x)
