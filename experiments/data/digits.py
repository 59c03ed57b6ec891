"""The 1,797 handwritten digits that scikit-learn ships."""

import numpy as np
from jaxtyping import Float32, Int32
from sklearn.datasets import load_digits

NUM_CLASSES = 10


def digits() -> tuple[Float32[np.ndarray, "1797 8 8 1"], Int32[np.ndarray, "1797"]]:
    """All images, in [0, 1], and their labels."""
    x, y = load_digits(return_X_y=True)
    return (np.reshape(x, (-1, 8, 8, 1)) / 16).astype(np.float32), np.asarray(y, np.int32)
