"""How should α be chosen? Over model size and label noise; a rule of thumb."""
