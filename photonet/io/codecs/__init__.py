"""File formats: one module each, with `probe`, `decode` and, where photonet writes the format, `encode`."""
