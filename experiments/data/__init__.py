"""Data sets, as arrays in memory or as streams of batches."""
