"""ERM, mixup, CutMix and both on CIFAR-10 or CIFAR-100, by the paper's recipe; resumes."""
