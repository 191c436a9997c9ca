"""The page of sweeps: what it is asked for, and what it shows."""
