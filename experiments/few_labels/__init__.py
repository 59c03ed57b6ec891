"""Does mixup need fewer labels? With augmentation and without."""
