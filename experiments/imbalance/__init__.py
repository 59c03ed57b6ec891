"""Do rare classes gain? Re-weighting, mixup, Remix, MAMix, Balanced-MixUp."""

TIME = "4 min"  # on two cores, unless it says otherwise
