"""The section of a study file that says what of the subject is explained: its neurons, directions, latents.

Here: what may be written under `units`, and how many units that makes. Not here: the subject itself
(`subject_sections.py`), computing units (`subjects/`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from neuron_assets.errors import UnusableUnits
from neuron_assets.sections import Count, Section, provided_by
from neuron_assets.subjects.unit_files import (
    CONFIG,
    WEIGHTS,
    AutoencoderFolders,
    DirectionsFile,
    read_autoencoders,
    read_directions,
)


@dataclass(frozen=True, slots=True)
class UnitSizes:
    """What a study counts by."""

    n_units: int
    """Of each layer; each sign is one."""
    layers: tuple[int, ...]
    """Those of the subject that have units."""
    place: object = "the subject"
    """Where they come from, as messages call it."""


class NeuronUnits(Section):
    """The subject's own neurons."""

    provider: Literal["neurons"] = "neurons"
    signed: bool = False
    """Whether what a neuron does below zero is a unit of its own."""

    @property
    def label(self) -> str:
        return f"neurons{_both(self.signed)}"

    @property
    def ingredients(self) -> Mapping[str, Any]:
        """What changes rows, beside the files' content."""
        return {"signed": True} if self.signed else {}

    def sizes(self, _folder: Path, n_layers: int, n_neurons: int) -> UnitSizes:
        return UnitSizes(n_neurons * (1 + self.signed), tuple(range(n_layers)))

    def files(self, _folder: Path, _n_layers: int) -> tuple[Path, ...]:
        """What else than the subject they are computed from."""
        return ()


class DirectionUnits(Section):
    """Vectors in the residual stream, or in what an MLP adds to it."""

    provider: Literal["directions"]
    file: Annotated[str, Field(min_length=1)]
    """A safetensors file, relative to the study file: for each layer a matrix [direction, width]."""
    at: Literal["residual", "mlp_output"] = "residual"
    signed: bool = False
    n_units: Count | None = None
    """Directions of one layer. Only needed where the graph is to load without the file."""

    @property
    def label(self) -> str:
        return f"directions at {self.at}{_both(self.signed)}"

    @property
    def ingredients(self) -> Mapping[str, Any]:
        return {"provider": self.provider, "at": self.at, "signed": self.signed}

    def sizes(self, folder: Path, n_layers: int, _n_neurons: int) -> UnitSizes:
        """Raises UnusableUnits."""
        if self.n_units is not None and not (folder / self.file).exists():
            return UnitSizes(self.n_units * (1 + self.signed), tuple(range(n_layers)))
        found = self.read(folder, n_layers)
        _agree(self.n_units, found.n_units, self.file)
        return UnitSizes(found.n_units * (1 + self.signed), tuple(found.keys), found.path)

    def read(self, folder: Path, n_layers: int) -> DirectionsFile:
        return read_directions(folder / self.file, n_layers)

    def files(self, folder: Path, _n_layers: int) -> tuple[Path, ...]:
        return (folder / self.file,)


class AutoencoderUnits(Section):
    """The latents of sparse autoencoders, in the layout that SAELens writes."""

    signed: ClassVar[bool] = False
    """A latent is never below zero."""
    provider: Literal["sparse_autoencoders"]
    folder: Annotated[str, Field(min_length=1)]
    """Relative to the study file."""
    path: str = "layer_{layer}"
    """Below it, the folder of a layer's cfg.json and sae_weights.safetensors."""
    centred: bool | None = None
    """Whether they were trained on a model of centred writing weights; None: as cfg.json says."""
    n_units: Count | None = None
    """Latents of one layer. Only needed where the graph is to load without the files."""

    @field_validator("path")
    @classmethod
    def _the_path_stays_below_the_folder(cls, path: str) -> str:
        if "{layer}" not in path or path.startswith(("/", "~")) or ".." in path.split("/") or "\\" in path:
            raise ValueError("it names a folder below `folder`, with {layer} where the layer's number stands")
        return path

    @property
    def label(self) -> str:
        return "latents of sparse autoencoders"

    @property
    def ingredients(self) -> Mapping[str, Any]:
        return {"provider": self.provider, "centred": self.centred}

    def sizes(self, folder: Path, n_layers: int, _n_neurons: int) -> UnitSizes:
        """Raises UnusableUnits or UnknownAutoencoder."""
        if self.n_units is not None and not (folder / self.folder).exists():
            return UnitSizes(self.n_units, tuple(range(n_layers)))
        found = self.read(folder, n_layers)
        _agree(self.n_units, found.n_units, self.folder)
        return UnitSizes(found.n_units, tuple(found.folders), found.place)

    def read(self, folder: Path, n_layers: int) -> AutoencoderFolders:
        return read_autoencoders(folder / self.folder, self.path, n_layers, centred=self.centred)

    def files(self, folder: Path, n_layers: int) -> tuple[Path, ...]:
        return tuple(path / name for path in self.read(folder, n_layers).folders.values() for name in (CONFIG, WEIGHTS))


Units = Annotated[
    Annotated[NeuronUnits | DirectionUnits | AutoencoderUnits, Field(discriminator="provider")],
    provided_by("neurons"),
]

UNITS_BY_PROVIDER: Mapping[str, type[Section]] = {
    "neurons": NeuronUnits,
    "directions": DirectionUnits,
    "sparse_autoencoders": AutoencoderUnits,
}
"""The keys of the section depend on what is chosen."""


def _both(signed: bool) -> str:  # noqa: FBT001
    return ", both signs" if signed else ""


def _agree(written: int | None, found: int, place: str) -> None:
    """Raises UnusableUnits."""
    if written not in {None, found}:
        raise UnusableUnits(place, f"it has {found} units a layer, the study says {written}", "Mend `n_units`.")
