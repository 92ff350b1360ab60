"""The places in a block where a language model can be heard.

Here: their names. Not here: how each is found in a model (`hooked`).
"""

from typing import Literal

Site = Literal["neurons", "mlp_output", "residual_before", "residual"]
"""The input of the MLP's output projection, what the MLP adds to the residual stream, that stream as the block takes it
and as the block gives it."""
