"""The training engine: settings, the loop, checkpoints, and how a run is cut and goes on."""
