"""Trained weights and the recipes that made them."""
