"""What a rule would gain: the squared error that one common strength for a group of positions takes away.

Here: sums over groups, and the gains that follow from them. Not here: which groups are looked at (`fitting.py`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Weighted sums by group of positions."""

    weight: Float[np.ndarray, " group"]
    total: Float[np.ndarray, " group"]
    """Of what the setting rules have to explain."""
    squares: Float[np.ndarray, " group"]
    """Of the same, squared."""
    error: Float[np.ndarray, " group"]
    """Squared error left at present."""

    def gains(self, mean: float, prior: float) -> Float[np.ndarray, " group"]:
        """Squared error taken away if each group had its own mean, drawn to `mean` by a prior of this weight."""
        strength = (self.total + prior * mean) / (self.weight + prior)
        remaining = self.squares - 2 * strength * self.total + self.weight * strength**2
        return np.asarray(self.error - remaining)

    def within(self) -> Float[np.ndarray, " group"]:
        """Squared deviation from each group's own mean: what one strength a group can never take away."""
        return np.asarray(self.squares - self.total**2 / np.maximum(self.weight, 1e-9))

    def without(self, part: "Sums") -> "Sums":
        """The sums over what is left of each group (or of a single one) when a part is taken out."""
        return Sums(
            self.weight - part.weight, self.total - part.total, self.squares - part.squares, self.error - part.error
        )


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """How things stand at each position, as columns weight, total, squares, error (see Sums)."""

    columns: Float[np.ndarray, "column position"]
    left: Float[np.ndarray, " position"]
    """Weighted error: what is to be explained less what is said at present."""

    @classmethod
    def of(
        cls,
        wanted: Float[np.ndarray, " position"],
        said: Float[np.ndarray, " position"],
        weights: Float[np.ndarray, " position"],
    ) -> "Ground":
        """`wanted`: activations less what contexts add; `said`: what rules set at present."""
        left = weights * (wanted - said)
        weighted = weights * wanted
        return cls(np.stack([weights, weighted, weighted * wanted, left * (wanted - said)]), left)

    def free(self, free: Bool[np.ndarray, " position"]) -> "Ground":
        """The same with nothing at positions that are not free."""
        return Ground(self.columns * free, self.left * free)

    def at(self, positions: Int[np.ndarray, " chosen"]) -> "Ground":
        """The same at some positions only."""
        return Ground(self.columns[:, positions], self.left[positions])

    def grouped(self, groups: Int[np.ndarray, " position"], n_groups: int) -> Sums:
        """The sums over groups that do not overlap."""
        return Sums(*(np.bincount(groups, column, n_groups) for column in self.columns))

    def overlapping(self, belongs: Float[np.ndarray, "position group"]) -> Sums:
        """The sums over groups that may overlap."""
        return Sums(*(self.columns.astype(np.float32) @ belongs).astype(np.float64))

    def whole(self) -> Sums:
        """The sums over all positions, as one group."""
        return Sums(*self.columns.sum(axis=1, keepdims=True))
