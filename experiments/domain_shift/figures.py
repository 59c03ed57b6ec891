"""A picture of the looks: what each method makes of a frame by day."""

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.domain_shift.frames import Domains
from experiments.domain_shift.train import Method, looking, numbers_of

COLUMNS = 5


def looks(path: Path, domains: Domains, methods: Mapping[str, Method], *, seed: int = 0) -> None:
    """A frame by day, one at dusk, and the first under each look that changes it."""
    images = jnp.asarray(domains.train.images)
    day, dusk = images[domains.by_day // 2], images[domains.by_day]
    pair = jnp.stack([day, images[0]])  # FACT takes the other one's amplitudes
    shown = {"by day": day, "at dusk": dusk}
    for name, method in methods.items():
        if method.look != "as it is":
            given = pair, jnp.stack([dusk, dusk])
            shown[name] = looking(numbers_of(method), jax.random.key(seed), *given)[0]
    rows = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(2.1 * COLUMNS, 1.8 * rows), layout="constrained")
    panes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in panes:
        axes.axis("off")
    for axes, (name, picture) in zip(panes, shown.items(), strict=False):
        axes.imshow(np.asarray(picture).astype(np.uint8))
        axes.set_title(name, fontsize=9)
    figure.savefig(path, dpi=110, pil_kwargs={"optimize": True})
