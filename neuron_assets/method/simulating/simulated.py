"""What a simulator says of one excerpt."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedExcerpt:
    expected: Float[np.ndarray, " token"]
    """Expected activation a token, 0 to 10."""
    distribution: Float[np.ndarray, "token value"] | None = None
    """Probability of each whole number 0 to 10 (11 values); rows sum to 1. None where only numbers were given."""
