"""Speed against the floor and against others, and what a TPU would do; one command each."""
