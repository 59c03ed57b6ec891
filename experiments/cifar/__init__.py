"""ERM, mixup, CutMix and both on CIFAR-10 or CIFAR-100, by the paper's recipe; resumes."""

TIME = "hours, on a GPU; a subset minutes"  # on two cores, unless it says otherwise
