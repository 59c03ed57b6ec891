"""Does mixup need fewer labels? With augmentation and without."""

TIME = "6 min"  # on two cores, unless it says otherwise
