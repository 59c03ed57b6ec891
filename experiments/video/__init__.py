"""Moving digits: boxes tied over frames, cuts in time, fades, mistakes."""
