"""jax_mixup: mixup and its family as pure functions on a `Mix` value.

mix = jm.sample_mixup(key, images.shape[:-1], alpha=0.2)        # draw
logits = model(jm.blend(mix, images))                           # apply
loss = jm.pair_loss(mix, cross_entropy, logits, labels).mean()
"""

# The value
from jax_mixup.mix import Mix as Mix
from jax_mixup.constructors import no_mix as no_mix
from jax_mixup.constructors import from_weights as from_weights

# Draw a mix: samplers
from jax_mixup.samplers.mixup import sample_mixup as sample_mixup
from jax_mixup.samplers.cutmix import sample_cutmix as sample_cutmix
from jax_mixup.samplers.mixup_or_cutmix import sample_mixup_or_cutmix as sample_mixup_or_cutmix
from jax_mixup.samplers.attentive_cutmix import sample_attentive_cutmix as sample_attentive_cutmix
from jax_mixup.samplers.avoiding_cutmix import sample_avoiding_cutmix as sample_avoiding_cutmix
from jax_mixup.samplers.classmix import sample_classmix as sample_classmix
from jax_mixup.samplers.copy_paste import sample_copy_paste as sample_copy_paste
from jax_mixup.samplers.cowmix import sample_cowmix as sample_cowmix
from jax_mixup.samplers.dirichlet import sample_dirichlet as sample_dirichlet
from jax_mixup.samplers.fademix import sample_fademix as sample_fademix
from jax_mixup.samplers.fmix import sample_fmix as sample_fmix
from jax_mixup.samplers.gmix import sample_gmix as sample_gmix
from jax_mixup.samplers.grafting import sample_grafting as sample_grafting
from jax_mixup.samplers.gridmix import sample_gridmix as sample_gridmix
from jax_mixup.samplers.gridmixup import sample_gridmixup as sample_gridmixup
from jax_mixup.samplers.guidedmixup import sample_guidedmixup as sample_guidedmixup
from jax_mixup.samplers.hmix import sample_hmix as sample_hmix
from jax_mixup.samplers.lasermix import sample_lasermix as sample_lasermix
from jax_mixup.samplers.noisymixup import sample_noisymixup as sample_noisymixup
from jax_mixup.samplers.patchup import sample_patchup as sample_patchup
from jax_mixup.samplers.pointcutmix import sample_pointcutmix as sample_pointcutmix
from jax_mixup.samplers.polarmix import sample_polarmix as sample_polarmix
from jax_mixup.samplers.puzzlemix import sample_puzzlemix as sample_puzzlemix
from jax_mixup.samplers.puzzlemix import puzzle_transport as puzzle_transport
from jax_mixup.samplers.puzzlemix import move_blocks as move_blocks
from jax_mixup.samplers.resizemix import sample_resizemix as sample_resizemix
from jax_mixup.samplers.ricap import sample_ricap as sample_ricap
from jax_mixup.samplers.saliencymix import sample_saliencymix as sample_saliencymix
from jax_mixup.samplers.smmix import sample_smmix as sample_smmix
from jax_mixup.samplers.smoothmix import sample_smoothmix as sample_smoothmix
from jax_mixup.samplers.snapmix import sample_snapmix as sample_snapmix
from jax_mixup.samplers.specmix import sample_specmix as sample_specmix
from jax_mixup.samplers.ssmix import sample_span as sample_span
from jax_mixup.samplers.tokenmix import sample_tokenmix as sample_tokenmix
from jax_mixup.samplers.vhmixup import sample_vhmixup as sample_vhmixup

# Apply a mix: verbs
from jax_mixup.apply.inputs import take_partner as take_partner
from jax_mixup.apply.inputs import blend as blend
from jax_mixup.apply.inputs import select as select
from jax_mixup.apply.inputs import restore_energy as restore_energy
from jax_mixup.apply.fit import fit_partner as fit_partner
from jax_mixup.apply.fit import pool_given as pool_given
from jax_mixup.apply.labels import blend_labels as blend_labels
from jax_mixup.apply.losses import pair_loss as pair_loss
from jax_mixup.apply.losses import regmixup_loss as regmixup_loss
from jax_mixup.apply.losses import decoupled_loss as decoupled_loss
from jax_mixup.apply.losses import mixupe_penalty as mixupe_penalty
from jax_mixup.apply.robust_losses import rankmixup_loss as rankmixup_loss
from jax_mixup.apply.robust_losses import sumix_penalty as sumix_penalty
from jax_mixup.apply.robust_losses import jsd_loss as jsd_loss
from jax_mixup.apply.mask_losses import intrusion_loss as intrusion_loss
from jax_mixup.apply.mask_losses import mask_loss as mask_loss
from jax_mixup.apply.mask_losses import adautomix_loss as adautomix_loss
from jax_mixup.apply.metrics import mixed_accuracy as mixed_accuracy
from jax_mixup.apply.features import blend_at as blend_at
from jax_mixup.apply.features import add_noise as add_noise
from jax_mixup.apply.features import align_partner as align_partner
from jax_mixup.apply.style import blend_moments as blend_moments
from jax_mixup.apply.style import blend_quantiles as blend_quantiles
from jax_mixup.apply.style import blend_amplitude as blend_amplitude
from jax_mixup.apply.tokens import same_source as same_source
from jax_mixup.apply.tokens import unmix as unmix
from jax_mixup.apply.sphere import blend_sphere as blend_sphere
from jax_mixup.apply.boxes import mix_boxes as mix_boxes
from jax_mixup.apply.boxes import mix_points as mix_points
from jax_mixup.apply.boxes import mix_instances as mix_instances
from jax_mixup.apply.objects import mix_objects as mix_objects
from jax_mixup.apply.points import place_partner as place_partner
from jax_mixup.apply.points import rotate_points as rotate_points
from jax_mixup.apply.inference import mixup_inference as mixup_inference

# Rows by a matrix, where outputs are not pairs
from jax_mixup.apply.combine import combine as combine
from jax_mixup.apply.combine import zeta_weights as zeta_weights
from jax_mixup.apply.combine import dirichlet_weights as dirichlet_weights
from jax_mixup.apply.combine import anchor_weights as anchor_weights

# Adjust a mix before it is applied
from jax_mixup.adjust.masks import resize_mix as resize_mix
from jax_mixup.adjust.masks import keep as keep
from jax_mixup.adjust.masks import overlay as overlay
from jax_mixup.adjust.masks import keep_overlap as keep_overlap
from jax_mixup.adjust.masks import keep_local as keep_local
from jax_mixup.adjust.masks import balance as balance
from jax_mixup.adjust.distance import warp_by_distance as warp_by_distance
from jax_mixup.adjust.labels import reweigh as reweigh
from jax_mixup.adjust.labels import inverse as inverse
from jax_mixup.adjust.labels import remix as remix
from jax_mixup.adjust.labels import mamix as mamix
from jax_mixup.adjust.attention import transmix as transmix
from jax_mixup.adjust.attention import align_labels as align_labels
from jax_mixup.adjust.predictions import sumix as sumix

# Who is mixed with whom: pairings
from jax_mixup.pairings.static import StaticPairing as StaticPairing
from jax_mixup.pairings.static import reverse as reverse
from jax_mixup.pairings.static import roll as roll
from jax_mixup.pairings.static import neighbours as neighbours
from jax_mixup.pairings.static import pairing_for as pairing_for
from jax_mixup.pairings.static import partner_index as partner_index
from jax_mixup.pairings.random import permutation as permutation
from jax_mixup.pairings.random import derangement as derangement
from jax_mixup.pairings.by_label import within_class as within_class
from jax_mixup.pairings.by_label import across_class as across_class
from jax_mixup.pairings.by_label import class_balanced as class_balanced
from jax_mixup.pairings.by_label import by_label_kernel as by_label_kernel
from jax_mixup.pairings.by_weight import by_weight as by_weight
from jax_mixup.pairings.by_feature import salient_pairs as salient_pairs
from jax_mixup.pairings.by_feature import nearest as nearest
from jax_mixup.pairings.by_feature import transported as transported

# Distributions of λ
from jax_mixup.distributions import symmetric_beta as symmetric_beta
from jax_mixup.distributions import beta as beta
from jax_mixup.distributions import uniform as uniform
from jax_mixup.distributions import constant as constant
from jax_mixup.distributions import folded_beta as folded_beta
from jax_mixup.distributions import affine_uniform as affine_uniform

# Saliency and optimal transport
from jax_mixup.saliency import gradient_saliency as gradient_saliency
from jax_mixup.saliency import spectral_residual as spectral_residual
from jax_mixup.optimal_transport import sinkhorn as sinkhorn
from jax_mixup.optimal_transport import assign as assign

# Samplers of samplers, schedules, and published settings
from jax_mixup.policies import one_of as one_of
from jax_mixup.policies import sometimes as sometimes
from jax_mixup.policies import own_label as own_label
from jax_mixup.policies import until as until
from jax_mixup.policies import ramp as ramp
from jax_mixup.policies import hesitation as hesitation
from jax_mixup.presets import preset as preset
from jax_mixup.presets import preset_smoothing as preset_smoothing

# Draw and apply in one call: recipes
from jax_mixup.recipes.mixup import mixup as mixup
from jax_mixup.recipes.cutmix import cutmix as cutmix
from jax_mixup.recipes.mixup_or_cutmix import mixup_or_cutmix as mixup_or_cutmix
from jax_mixup.recipes.mix_batch import mix_batch as mix_batch
from jax_mixup.recipes.resizemix import resizemix as resizemix
from jax_mixup.recipes.recursivemix import recursivemix as recursivemix
from jax_mixup.recipes.randommix import randommix as randommix
from jax_mixup.recipes.stackmix import stackmix as stackmix
from jax_mixup.recipes.pixmix import pixmix as pixmix
from jax_mixup.recipes.splicemix import splicemix as splicemix
from jax_mixup.recipes.mochi import mochi as mochi

__version__ = "0.2.0"

# All functions and classes above: to add a name, add one import line there.
__all__ = sorted(  # pyright: ignore[reportUnsupportedDunderAll]
    name for name, value in globals().items() if callable(value) and not name.startswith("_")
)
