"""Errors of a corpus: it is not there, cannot be read, is damaged, or holds too little.

Here: the classes and their messages. Not here: reading (`corpora/`).
"""

from collections.abc import Collection, Sequence

from neuron_assets.errors.root import NeuronAssetsError


class CorpusError(NeuronAssetsError):
    """The text cannot be read, or there is not enough of it."""


class MissingCorpus(CorpusError):
    def __init__(self, source: object) -> None:
        super().__init__(
            f"The corpus {source} does not exist, or no file matches it. Mend `corpus` in the study: a path is "
            "relative to the study file."
        )


class UnreadableCorpus(CorpusError):
    def __init__(self, source: object, reason: str) -> None:
        super().__init__(f"The corpus {source} cannot be read: {reason}. Mend or replace it, or `corpus` in the study.")


class CorpusNeedsExtra(CorpusError):
    def __init__(self, source: object, extra: str) -> None:
        super().__init__(
            f"The corpus {source} needs a package that is not installed. "
            f"Install it with: pip install 'neuron-assets[{extra}]'"
        )


class MissingField(CorpusError):
    def __init__(self, source: object, field: str, known: Collection[str]) -> None:
        super().__init__(
            f"No row of the corpus {source} has the field {field!r}; fields that there are: "
            f"{', '.join(known) or 'none'}. Mend `text_field` or `name_field` under `corpus` in the study."
        )


class TooManyBadRows(CorpusError):
    def __init__(self, source: object, n_bad: int, n_read: int, most: float, first: Sequence[str]) -> None:
        listed = "".join(f"\n  - {row}" for row in first)
        super().__init__(
            f"{n_bad:,} of the {n_read:,} rows read of the corpus {source} are bad, more than the share of {most:g} "
            f"that the study allows. The first:{listed}\n"
            "Mend them, or `corpus` in the study: `text_field`, or a higher `most_bad_rows` to go on without them."
        )


class NoDocuments(CorpusError):
    def __init__(self, source: object) -> None:
        super().__init__(
            f"The corpus {source} holds no document that is long enough to give an excerpt. "
            "Mend `corpus` in the study: other text, or shorter excerpts."
        )


class TooFewDocuments(CorpusError):
    def __init__(self, split: str, n_documents: int, wanted: int) -> None:
        super().__init__(
            f"The {split} pool would hold {n_documents} documents, {wanted} are needed for honest intervals. "
            "Give the corpus more documents, or lower `fewest_documents` under `splits` in the study."
        )


class TooFewExcerpts(CorpusError):
    def __init__(self, split: str, n_excerpts: int, wanted: int) -> None:
        super().__init__(
            f"The {split} pool holds {n_excerpts} excerpts, the study asks for {wanted} a neuron. "
            f"Give the corpus more text, or lower `top` or `random` of `{split}` under `splits` in the study."
        )
