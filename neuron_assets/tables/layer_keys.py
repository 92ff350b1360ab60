"""Layers as keys of files and partitions: L03 is layer 3, with as many digits as the last layer needs, at least two.

Here: the naming. Not here: which layers a study has (`study.py`).
"""


def layer_key(layer_index: int, n_layers: int) -> str:
    """`L03` for layer 3 of 48, `L003` for layer 3 of 120."""
    return f"L{layer_index:0{max(2, len(str(n_layers - 1)))}d}"


def layer_index(key: str) -> int:
    """3 for `L03`."""
    return int(key.removeprefix("L"))
