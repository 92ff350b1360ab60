"""The root of the tree."""


class NeuronAssetsError(Exception):
    """The root: whatever this package raises on purpose."""
