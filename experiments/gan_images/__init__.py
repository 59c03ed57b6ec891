"""The same on digits: Fréchet distance, classes covered, samples."""
