"""jax_mixup: mixup and its family as pure functions on a `Mix` value.

mix = jm.sample_mixup(key, images.shape[:-1], alpha=0.2)        # draw
logits = model(jm.blend(mix, images))                           # apply
loss = jm.pair_loss(mix, cross_entropy, logits, labels).mean()
"""

# The value and its verbs
from jax_mixup.mix import Mix as Mix
from jax_mixup.mix import take_partner as take_partner
from jax_mixup.mix import blend as blend
from jax_mixup.mix import select as select
from jax_mixup.labels import blend_labels as blend_labels
from jax_mixup.labels import pair_loss as pair_loss
from jax_mixup.labels import mixed_accuracy as mixed_accuracy
from jax_mixup.mix import resize_mix as resize_mix
from jax_mixup.mix import keep as keep
from jax_mixup.boxes import mix_boxes as mix_boxes
from jax_mixup.boxes import mix_points as mix_points

# Other weights for a mix
from jax_mixup.weights import reweigh as reweigh
from jax_mixup.weights import remix as remix
from jax_mixup.weights import mamix as mamix
from jax_mixup.weights import balance as balance
from jax_mixup.weights import restore_energy as restore_energy

# Samplers
from jax_mixup.samplers import sample_mixup as sample_mixup
from jax_mixup.samplers import sample_cutmix as sample_cutmix
from jax_mixup.samplers import sample_mixup_or_cutmix as sample_mixup_or_cutmix

# Samplers of other masks
from jax_mixup.patterns import sample_gridmix as sample_gridmix
from jax_mixup.patterns import sample_cowmix as sample_cowmix
from jax_mixup.patterns import sample_fademix as sample_fademix
from jax_mixup.patterns import sample_specmix as sample_specmix

# Samplers whose masks follow data
from jax_mixup.guided import sample_classmix as sample_classmix
from jax_mixup.guided import sample_span as sample_span

# Laws of λ
from jax_mixup.laws import symmetric_beta as symmetric_beta
from jax_mixup.laws import beta as beta
from jax_mixup.laws import uniform as uniform
from jax_mixup.laws import constant as constant
from jax_mixup.laws import folded_beta as folded_beta
from jax_mixup.laws import affine_uniform as affine_uniform

# Static pairings
from jax_mixup.pairing import StaticPairing as StaticPairing
from jax_mixup.pairing import reverse as reverse
from jax_mixup.pairing import roll as roll
from jax_mixup.pairing import neighbours as neighbours
from jax_mixup.pairing import pairing_for as pairing_for
from jax_mixup.pairing import partner_index as partner_index

# Partners that are drawn, or depend on data
from jax_mixup.partners import permutation as permutation
from jax_mixup.partners import derangement as derangement
from jax_mixup.partners import within_class as within_class
from jax_mixup.partners import across_class as across_class
from jax_mixup.partners import class_balanced as class_balanced
from jax_mixup.partners import by_label_kernel as by_label_kernel
from jax_mixup.partners import nearest as nearest

# Policies
from jax_mixup.policies import one_of as one_of
from jax_mixup.policies import sometimes as sometimes

# One-call recipes
from jax_mixup.recipes import mixup as mixup
from jax_mixup.recipes import cutmix as cutmix
from jax_mixup.recipes import mixup_or_cutmix as mixup_or_cutmix

__version__ = "0.1.0"

__all__ = [
    "Mix",
    "StaticPairing",
    "across_class",
    "affine_uniform",
    "balance",
    "beta",
    "blend",
    "blend_labels",
    "by_label_kernel",
    "class_balanced",
    "constant",
    "cutmix",
    "derangement",
    "folded_beta",
    "keep",
    "mamix",
    "mix_boxes",
    "mix_points",
    "mixed_accuracy",
    "mixup",
    "mixup_or_cutmix",
    "nearest",
    "neighbours",
    "one_of",
    "pair_loss",
    "pairing_for",
    "partner_index",
    "permutation",
    "remix",
    "resize_mix",
    "restore_energy",
    "reverse",
    "reweigh",
    "roll",
    "sample_classmix",
    "sample_cowmix",
    "sample_cutmix",
    "sample_fademix",
    "sample_gridmix",
    "sample_mixup",
    "sample_mixup_or_cutmix",
    "sample_span",
    "sample_specmix",
    "select",
    "sometimes",
    "symmetric_beta",
    "take_partner",
    "uniform",
    "within_class",
]
