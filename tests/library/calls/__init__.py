"""The table of calls: what is public, with the options that matter, ready to run in any setting.

A row is a name and a function `(key, arrays...)`, whose parameters are names of `ARRAYS` or
`SHARED`: so that whoever runs it may shard, trace, vmap or cast what it takes. A new function is a
new row in the file of its layer, and `test_calls` then tries it in all settings. A row's name
starts with the public name that it calls; what comes after a comma is for the reader.
"""

from tests.library.calls.adjust import ADJUST
from tests.library.calls.apply import APPLY
from tests.library.calls.base import ARRAYS, SHARED, Call
from tests.library.calls.boxes import BOXES
from tests.library.calls.distributions import DISTRIBUTIONS
from tests.library.calls.learned import LEARNED
from tests.library.calls.losses import LOSSES
from tests.library.calls.pairings import PAIRINGS
from tests.library.calls.policies import POLICIES
from tests.library.calls.recipes import RECIPES
from tests.library.calls.saliency import SALIENCY
from tests.library.calls.samplers import SAMPLERS

CALLS = [
    *SAMPLERS,
    *APPLY,
    *LOSSES,
    *BOXES,
    *ADJUST,
    *PAIRINGS,
    *DISTRIBUTIONS,
    *POLICIES,
    *SALIENCY,
    *RECIPES,
    *LEARNED,
]
# Functions whose results have the dtype of what they are given, float64 and int64 too.
FOLLOW = {
    "Mix",
    "add_noise",
    "align_partner",
    "blend",
    "blend_amplitude",
    "blend_at",
    "blend_labels",
    "blend_moments",
    "blend_quantiles",
    "blend_sphere",
    "combine",
    "cutmix",
    "fit_partner",
    "mix_batch",
    "mix_boxes",
    "mix_instances",
    "mix_objects",
    "mix_points",
    "mixup",
    "mixup_or_cutmix",
    "mochi",
    "move_blocks",
    "neighbours",
    "pair_loss",
    "pairing_for",
    "pixmix",
    "PolicyRegion",
    "randommix",
    "recursivemix",
    "place_partner",
    "regmixup_loss",
    "resizemix",
    "restore_energy",
    "reverse",
    "roll",
    "rotate_points",
    "select",
    "splicemix",
    "stackmix",
    "StaticPairing",
    "take_partner",
    "unmix",
}

__all__ = ["ARRAYS", "CALLS", "FOLLOW", "SHARED", "Call"]
