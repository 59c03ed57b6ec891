"""Spoken digits of unseen speakers: waveforms, spectra, BC+; by --data."""
