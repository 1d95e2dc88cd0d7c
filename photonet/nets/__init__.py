"""Networks: torch modules, tensors in and tensors out. They know neither files nor color."""
