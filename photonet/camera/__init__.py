"""The physics of cameras: pure functions on tensors, forward and inverse mirrored by name."""
