"""Errors of what a user gives: the study, its subject model, an explanation."""

from collections.abc import Collection, Sequence
from datetime import datetime

from neuron_assets.errors.root import NeuronAssetsError


class StudyError(NeuronAssetsError):
    """The study file, or what was asked of it, is not right."""

    hits_all_layers = True


class StudyNotFound(StudyError):
    def __init__(self, name: str, known: Collection[str]) -> None:
        listed = ", ".join(sorted(known)) or "none"
        super().__init__(
            f"There is no study {name!r}. Known studies: {listed}. Write one with: neuron-assets new {name}"
        )


class StudyFolderMissing(StudyError):
    def __init__(self, folder: object) -> None:
        super().__init__(
            f"{folder}, named in NEURON_ASSETS_STUDIES, does not exist: its studies would look deleted. Mount or make "
            "the folder, or take it out of NEURON_ASSETS_STUDIES."
        )


class NotDeleted(StudyError):
    def __init__(self, name: str, studies: Collection[str]) -> None:
        why = "It is there: remove its file first." if name in studies else "It left no tables and no history."
        super().__init__(
            f"{name} is not among the studies that are no more. {why} `neuron-assets gc --dry-run` lists them."
        )


class StudyExists(StudyError):
    def __init__(self, path: object) -> None:
        super().__init__(f"{path} exists already and is left as it is. Choose another name, or remove it first.")


class UnreadableStudy(StudyError):
    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path} cannot be read as YAML: {reason}. Mend the file at that place.")


class InvalidStudy(StudyError):
    def __init__(self, path: object, problems: Sequence[str]) -> None:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"{path} is not a valid study:{listed}\nEvery key is explained in docs/study.md.")


class NotReadyForFinal(StudyError):
    def __init__(self, study: str, missing: str) -> None:
        super().__init__(
            f"{study} is not ready for its final report: {missing}, is to be made first. `test` was not opened. "
            f"Make it with: neuron-assets materialize {study}"
        )


class NothingKeptOfTest(StudyError):
    def __init__(self, study: str, top: int, random: int) -> None:
        super().__init__(
            f"{study} keeps too few excerpts of the pool `test` for a final report. Under `splits.test` let `top` be "
            f"at least {top} and `random` at least {random}, as `scoring` says, and materialize again."
        )


class PoolWasOpened(StudyError):
    def __init__(self, study: str, first: datetime) -> None:
        super().__init__(
            f"`test` of {study} was opened on {first:%Y-%m-%d %H:%M} UTC, for other explanations, models or settings "
            "than stand now, or over another corpus. What is chosen after such a look is not judged by it any more. "
            "With --again it is opened once more, and every report says how often it was."
        )


class LayerOutOfRange(StudyError):
    def __init__(self, layer_index: int, n_layers: int, subject: str) -> None:
        super().__init__(
            f"Layer {layer_index} does not exist: {subject} has {n_layers} layers, 0 to {n_layers - 1}. "
            "Mend `layers` in the study, or --layers."
        )


class LayerNotInStudy(StudyError):
    def __init__(self, layer_index: int, study: str) -> None:
        super().__init__(f"Layer {layer_index} is not one of the study {study}. Add it to `layers` in the study.")


class LayerWithoutUnits(StudyError):
    def __init__(self, layer_index: int, place: object, layers: Collection[int]) -> None:
        listed = ", ".join(map(str, sorted(layers))) or "none"
        super().__init__(
            f"Layer {layer_index} has no units in {place}; layers that have: {listed}. "
            "Mend `layers` in the study (`all` takes those that have), or give the layer its file."
        )


class NeuronOutOfRange(StudyError):
    def __init__(self, neuron: str, n_neurons: int, subject: str) -> None:
        super().__init__(
            f"{neuron} does not exist: a layer of {subject} has {n_neurons} neurons, 0 to {n_neurons - 1}."
        )


class NotComparable(StudyError):
    def __init__(self, baseline: str, other: str, differences: Sequence[str], mend: str) -> None:
        listed = "".join(f"\n  - {difference}" for difference in differences)
        super().__init__(
            f"{other} cannot be compared with {baseline}: they do not score the same neurons on the same excerpts. "
            f"They differ in{listed}\n{mend}"
        )


class SubjectError(NeuronAssetsError):
    """The subject model is not what the study says, or does not compute numbers."""


class UnknownFamily(SubjectError):
    def __init__(self, subject: str, family: str, found: str, known: Collection[str]) -> None:
        super().__init__(
            f"{subject} is a {family} model; where it keeps its neurons is not known, and its structure does not tell: "
            f"{found} were found, one is needed. Choose another subject (known: {', '.join(sorted(known))}), or add "
            f"a line for {family!r} to FAMILIES in neuron_assets/subjects/families.py: the names of its list of blocks "
            "and of the last linear map of a block's MLP."
        )


class SubjectOfExperts(SubjectError):
    def __init__(self, subject: str, family: str) -> None:
        super().__init__(
            f"{subject} is a {family} model, a mixture of experts: each token runs through a few of its MLPs only, so "
            "that most of its neurons are not computed at most tokens and have no activation there to rank or "
            "simulate. Choose a dense model."
        )


class NeuronsDiffer(SubjectError):
    def __init__(self, subject: str, widths: Sequence[int]) -> None:
        super().__init__(
            f"The layers of {subject} have not equally many neurons ({', '.join(map(str, widths))}); all tables of a "
            "study take them to have. Choose another subject."
        )


class NeuronsNotHeard(SubjectError):
    def __init__(self, subject: str, layer_index: int, reason: str) -> None:
        super().__init__(
            f"The neurons of layer {layer_index} of {subject} were not heard in a forward pass: {reason}. "
            "Its configuration may ask for another way through the MLP (BLOOM's `slow_but_exact` does): switch that "
            "off, or choose another subject."
        )


class SubjectWithoutHead(SubjectError):
    def __init__(self, subject: str) -> None:
        super().__init__(
            f"{subject} was opened without its head, or has none, so that it cannot say which token it takes to come "
            "next. Open it with its head, or leave `ablation` and the output side away."
        )


class NotReplaceable(SubjectError):
    def __init__(self, subject: str) -> None:
        super().__init__(
            f"What is explained of {subject} are no neurons of a language model: there is no place in a forward pass "
            "where they could be replaced. Leave `ablation` away, or explain neurons (one sign or both)."
        )


class UnusableSubject(SubjectError):
    def __init__(self, subject: str, reason: str, mend: str = "Mend `subject` in the study.") -> None:
        super().__init__(f"The subject {subject} cannot be used: {reason}. {mend}")


class SubjectMismatch(SubjectError):
    def __init__(
        self,
        subject: str,
        what: str,
        found: object,
        expected: object,
        mend: str = "Mend `subject` in the study, or load another model.",
    ) -> None:
        super().__init__(f"{subject} has {found} {what}, the study says {expected}. {mend}")


class NonFiniteActivations(SubjectError):
    def __init__(self, layer_index: int, neuron_index: int, excerpt_index: int) -> None:
        super().__init__(
            f"L{layer_index}N{neuron_index} is NaN or infinite on excerpt {excerpt_index}. Nothing of this pass was "
            "written. Check the weights for NaN, and try a wider dtype if the model runs in half precision."
        )


class ActivationsTooLarge(SubjectError):
    def __init__(self, layer_index: int, peak: float) -> None:
        super().__init__(
            f"Layer {layer_index} reaches {peak:.6g}, more than float16 can hold. "
            "Set `stored_as: float32` under `activations` in the study."
        )


class UnusableUnits(SubjectError):
    """The files of directions or of autoencoders are not there, damaged, or do not fit the subject."""

    hits_all_layers = True

    def __init__(self, place: object, reason: str, mend: str) -> None:
        super().__init__(f"The units in {place} cannot be used: {reason}. {mend}")


class UnknownAutoencoder(SubjectError):
    """An autoencoder says that it computes its latents in a way that is not known here for sure."""

    hits_all_layers = True

    def __init__(self, path: object, key: str, value: object, known: Collection[str]) -> None:
        super().__init__(
            f"{path} says `{key}: {value}`; what can be computed is {', '.join(known)}. "
            "Choose another autoencoder, or convert it; docs/units.md has the formulas."
        )


class OutOfMemory(SubjectError):
    def __init__(self, subject: str, n_layers: int) -> None:
        super().__init__(
            f"Memory does not suffice to run {subject} on one excerpt at a time and to keep the results of {n_layers} "
            "layers. Give the step `activations` a lower `most_memory_gb`, so that fewer layers are kept at once; or "
            "use shorter excerpts, a narrower dtype, a smaller subject or another device."
        )


class ExplanationError(NeuronAssetsError):
    """An explanation, or a simulation made from it, cannot be worked with."""


class UnreadableExplanation(ExplanationError):
    def __init__(self, text: str, where: str) -> None:
        super().__init__(
            f"The `rules` simulator cannot read {where!r} in {text!r}. "
            "It reads only the sentences that docs/rules.md lists; choose another simulator for free text."
        )


class UnequalLengths(ExplanationError):
    def __init__(self, n_true: int, n_simulated: int) -> None:
        super().__init__(f"{n_simulated} simulated activations for {n_true} true ones: they must stand token by token.")


class InvalidLabel(ExplanationError):
    """What a person wrote cannot be kept as it is."""

    def __init__(self, what: str, problem: str) -> None:
        super().__init__(f"The {what} was not kept: {problem}. Mend it and send it again.")
