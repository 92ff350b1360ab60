"""What an autoencoder's cfg.json says of how its latents are computed, in the layout that SAELens writes.

Here: reading it, and refusing what is not known for sure. Not here: computing (`sparse_autoencoders`). Keys of training
are passed over; a key that changes a latent is either understood or refused by its name.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from neuron_assets.errors import UnknownAutoencoder, UnusableUnits
from neuron_assets.subjects.sites import Site

Kind = Literal["standard", "topk", "jumprelu"]
Norm = Literal["none", "layer_norm", "constant_norm_rescale"]

SITES: Mapping[str, Site] = {
    "hook_resid_pre": "residual_before",
    "hook_resid_post": "residual",
    "hook_mlp_out": "mlp_output",
    "mlp.hook_post": "neurons",
}
"""By the ending of TransformerLens' name of the place."""
_KWARGS, _CENTRING = "model_from_pretrained_kwargs", "center_writing_weights"
_WITHOUT_EFFECT = frozenset(
    {"fold_ln", "center_unembed", "fold_value_biases", "n_devices", "device", "device_map", "dtype", "torch_dtype"}
)
"""Ways to open a model that leave what is heard at these places as it is, but for rounding."""


@dataclass(frozen=True, slots=True)
class AutoencoderConfig:
    """How the latents of one layer are computed; docs/units.md has the formulas."""

    site: Site
    width: int
    """Of what is heard there."""
    n_latents: int
    kind: Kind
    n_active: int
    """For topk: the most latents that are active on a token; else 0."""
    norm: Norm
    subtracts_decoder_bias: bool
    by_decoder_norm: bool
    """Whether latents are ranked and given in units of their decoder row's length."""
    centred: bool | None
    """Whether the model that it was trained on wrote only vectors of mean 0 into its stream; None: it does not tell."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Of the tensors that are needed."""
        shapes: dict[str, tuple[int, ...]] = {"W_enc": (self.width, self.n_latents), "b_enc": (self.n_latents,)}
        if self.subtracts_decoder_bias:
            shapes["b_dec"] = (self.width,)
        if self.kind == "jumprelu":
            shapes["threshold"] = (self.n_latents,)
        if self.by_decoder_norm:
            shapes["W_dec"] = (self.n_latents, self.width)
        return shapes


class _Written(BaseModel):
    """The keys that matter, under their names of now and of before SAELens 6."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    architecture: str = "standard"
    d_in: Annotated[int, Field(ge=1)]
    d_sae: Annotated[int, Field(ge=1)]
    hook_name: str = Field(validation_alias=AliasChoices("hook_name", "hook_point"))
    hook_head_index: int | None = Field(
        default=None, validation_alias=AliasChoices("hook_head_index", "hook_point_head_index")
    )
    activation_fn: str = Field(default="relu", validation_alias=AliasChoices("activation_fn", "activation_fn_str"))
    activation_fn_kwargs: Mapping[str, Any] | None = None
    k: Annotated[int, Field(ge=1)] | None = None
    apply_b_dec_to_input: bool = True
    normalize_activations: str | bool | None = None
    reshape_activations: str = "none"
    rescale_acts_by_decoder_norm: bool = False
    model_from_pretrained_kwargs: Mapping[str, Any] | None = None


def read_autoencoder_config(path: Path, layer_index: int) -> AutoencoderConfig:
    """Raises UnusableUnits where the file is damaged or of another layer, UnknownAutoencoder where it asks for more."""
    written = _read(path)
    functions = ("relu", "topk") if written.architecture in {"standard", "topk"} else ("relu",)
    topk = written.architecture == "topk" or (written.architecture == "standard" and written.activation_fn == "topk")
    kind = _known(path, "architecture", "topk" if topk else written.architecture, get_args(Kind))
    _known(path, "activation_fn", written.activation_fn, functions)
    _known(path, "reshape_activations", written.reshape_activations, ("none",))
    _known(path, "hook_head_index", written.hook_head_index, (None,))
    n_active = written.k or (written.activation_fn_kwargs or {}).get("k", 0)
    if kind == "topk" and not (isinstance(n_active, int) and n_active >= 1):
        raise UnusableUnits(path, "it says no `k`, though `topk` is its kind", "Add `k`.")
    return AutoencoderConfig(
        site=_site(path, written.hook_name, layer_index),
        width=written.d_in,
        n_latents=written.d_sae,
        kind=kind,
        n_active=n_active if kind == "topk" else 0,
        # Before 5.0 it was written as yes or no; none of the two names a factor that the file would hold.
        norm=_known(path, "normalize_activations", written.normalize_activations or "none", get_args(Norm)),
        subtracts_decoder_bias=written.apply_b_dec_to_input,
        by_decoder_norm=kind == "topk" and written.rescale_acts_by_decoder_norm,
        centred=_centred(path, written.model_from_pretrained_kwargs),
    )


def _read(path: Path) -> _Written:
    mend = "Take the file anew from where it was published."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _Written.model_validate({**(content.get("metadata") or {}), **content})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UnusableUnits(path, f"`{key}`: {first['msg']}", mend) from error
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UnusableUnits(path, f"it is no JSON of keys and values ({error})", mend) from error


def _known(path: Path, key: str, value: Any, known: tuple[Any, ...]) -> Any:
    """The value, if it is one of those that are understood."""
    if value not in known:
        raise UnknownAutoencoder(path, key, value, [str(each) for each in known])
    return value


def _site(path: Path, hook_name: str, layer_index: int) -> Site:
    match = re.fullmatch(r"blocks\.([0-9]+)\.(.+)", hook_name)
    if match is None or match[2] not in SITES:
        raise UnknownAutoencoder(path, "hook_name", hook_name, [f"blocks.{layer_index}.{ending}" for ending in SITES])
    if int(match[1]) != layer_index:
        raise UnusableUnits(
            path,
            f"its `hook_name` {hook_name} is of layer {match[1]}, its folder of layer {layer_index}",
            "Mend `path` under `units` in the study.",
        )
    return SITES[match[2]]


def _centred(path: Path, opened: Mapping[str, Any] | None) -> bool | None:
    """Whether it was trained on a model whose writing weights were centred; refuses other ways to change a model."""
    if opened is None:
        return None
    for key, value in opened.items():
        if value and key not in {_CENTRING, *_WITHOUT_EFFECT}:
            raise UnknownAutoencoder(path, f"{_KWARGS}.{key}", value, [_CENTRING, *sorted(_WITHOUT_EFFECT)])
    centred: bool = _known(path, f"{_KWARGS}.{_CENTRING}", opened.get(_CENTRING) or False, (True, False))
    return centred
