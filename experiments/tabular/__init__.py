"""UCI's tables, at the paper's ten epochs and at convergence; any CSV."""
