"""The control plane: flags that operators set and agents obey."""
