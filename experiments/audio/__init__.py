"""Does mixing help on new speakers? Waveforms, spectrograms, BC+; spoken digits by --data."""

TIME = "5 min"  # on two cores, unless it says otherwise
