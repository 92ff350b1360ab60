"""The subject model, as an asset that is observed: its revision, or the digest of its files, is its data version.

Put here: `subject_model`, and what tables note of a subject that lies in a folder. Keep out: opening it (`opening.py`).
https://docs.dagster.io/guides/build/assets/external-assets
"""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import asset_key
from neuron_assets.assets.units import units_digest
from neuron_assets.study import Study
from neuron_assets.subject_sections import HuggingFaceSubject
from neuron_assets.subjects.model_files import OF_READING, OF_WEIGHTS, files_digest

TOKENIZER_FILES = "tokenizer_files"
"""Note of `excerpts`: the digest of the tokenizer of a subject that lies in a folder."""
SUBJECT_FILES = "subject_files"
"""Note of `activations` and `neuron_statistics`: the digest of all files of such a subject."""


def subject_version(study: Study) -> str:
    """Which subject that is now: its revision, or a digest of its files, and of those that its units are made from.

    Raises UnusableSubject or UnusableUnits.
    """
    return "+".join(filter(None, [subject_files(study) or study.subject.weights, units_digest(study)]))


def subject_files(study: Study) -> str | None:
    """Digest of all files of a subject that lies in a folder; None where the study itself tells which it is."""
    return _digest(study, OF_WEIGHTS + OF_READING)


def tokenizer_files(study: Study) -> str | None:
    """The same of its tokenizer only."""
    return _digest(study, OF_READING)


def noted(digests: Mapping[str, str | None]) -> dict[str, str]:
    """Those that are to be noted in a file: of what the study itself tells there is none."""
    return {note: digest for note, digest in digests.items() if digest is not None}


def subject_model_asset(study: Study) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        asset_key(study, "subject_model"),
        group_name=study.name,
        description=(
            f"The model whose neurons are explained: `{study.subject.label}`. Observe it to see whether its files have "
            "changed; what was made from others then shows as outdated."
        ),
        metadata={name: str(value) for name, value in study.subject.model_dump(exclude_none=True).items()},
        owners=list(study.owners),
        kinds={"pytorch"},
    )
    decorator: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.multi_observable_source_asset(
        specs=[spec], name="__".join(spec.key.path)
    )

    def observe(context: dg.AssetExecutionContext) -> dg.ObserveResult:
        tag_run(context, study)
        return dg.ObserveResult(asset_key=spec.key, data_version=dg.DataVersion(subject_version(study)))

    return decorator(observe)


def _digest(study: Study, kinds: tuple[str, ...]) -> str | None:
    subject = study.subject
    if not isinstance(subject, HuggingFaceSubject) or not subject.is_folder:
        return None
    return files_digest(study.folder / subject.model, kinds)
