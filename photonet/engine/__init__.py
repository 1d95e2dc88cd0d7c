"""How any network runs and learns. Nothing here knows a task or a network by name."""
