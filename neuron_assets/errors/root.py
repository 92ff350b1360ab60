"""The root of the tree."""

from typing import ClassVar


class NeuronAssetsError(Exception):
    """The root: whatever this package raises on purpose."""

    hits_all_layers: ClassVar[bool] = False
    """Whether what was wrong with one layer is wrong with all, so that the others need not be tried."""
