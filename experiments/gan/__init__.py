"""Does a mixup discriminator cover more modes? Mixtures in the plane, with a picture."""

TIME = "6 min"  # on two cores, unless it says otherwise
