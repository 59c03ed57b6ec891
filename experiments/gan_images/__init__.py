"""Does it do so on digits? Fréchet distance, classes covered, samples."""

TIME = "6 min"  # on two cores, unless it says otherwise
