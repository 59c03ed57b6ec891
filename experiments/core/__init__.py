"""What every experiment trains with: steps, loops, checkpoints, logs, devices, hosts."""
