"""Every error of this package, one tree.

A class answers a question that a caller asks, and its message names the culprit and the mend.

    NeuronAssetsError
    ├── StudyError              is the study file right?
    │   ├── StudyNotFound
    │   ├── StudyExists
    │   ├── StudyFolderMissing
    │   ├── NotDeleted
    │   ├── NotReadyForFinal
    │   ├── NothingKeptOfTest
    │   ├── PoolWasOpened
    │   ├── UnreadableStudy
    │   ├── InvalidStudy
    │   ├── NotComparable
    │   ├── LayerOutOfRange
    │   ├── LayerNotInStudy
    │   ├── LayerWithoutUnits
    │   └── NeuronOutOfRange
    ├── CorpusError             can the text be read, and is there enough?
    │   ├── MissingCorpus
    │   ├── UnreadableCorpus
    │   ├── CorpusNeedsExtra
    │   ├── MissingField
    │   ├── TooManyBadRows
    │   ├── NoDocuments
    │   ├── TooFewDocuments
    │   └── TooFewExcerpts
    ├── SubjectError            is the subject model the one the study speaks of, and sane?
    │   ├── UnusableSubject
    │   ├── UnknownFamily
    │   ├── SubjectOfExperts
    │   ├── NeuronsDiffer
    │   ├── NeuronsNotHeard
    │   ├── SubjectWithoutHead
    │   ├── NotReplaceable
    │   ├── SubjectMismatch
    │   ├── UnusableUnits
    │   ├── UnknownAutoencoder
    │   ├── NonFiniteActivations
    │   ├── ActivationsTooLarge
    │   └── OutOfMemory
    ├── ExplanationError        can this explanation be worked with?
    │   ├── UnreadableExplanation
    │   ├── UnequalLengths
    │   └── InvalidLabel
    ├── LanguageModelError      can a model be asked at all? It ends the run; answers are kept
    │   ├── KeyMissing
    │   ├── KeyRefused
    │   ├── UnknownModel
    │   ├── ParametersRefused
    │   ├── UnusableModel
    │   ├── QuotaSpent
    │   ├── BudgetSpent
    │   ├── PriceUnknown
    │   ├── ModelWithoutPrice
    │   ├── ServerUnreachable
    │   ├── UnsafeBaseUrl
    │   ├── UntrustedServer
    │   ├── ModelChanged
    │   ├── NotAnsweredYet
    │   ├── NoBatches
    │   ├── BatchNotDone
    │   ├── QuestionTooLong
    │   ├── StoreUnusable
    │   └── UnreadableExport
    ├── RequestError            did one request fail? It becomes a row
    │   ├── TryAgain
    │   ├── RequestRefused
    │   └── UnreadableReply
    ├── RunFailed               did a Dagster run end with an error of somebody else's?
    ├── HomeUnusable            can Dagster keep its own files?
    ├── HistoryUnusable         does Dagster's database server answer?
    ├── ViewerError             can the viewer be served at this address, and keep what people write?
    │   ├── TokenNeeded
    │   ├── TokenTooShort
    │   ├── AddressNotServed
    │   └── LabelNotWritten
    └── TableError              can the tables be read, trusted and written?
        ├── MissingTable
        ├── NothingScored
        ├── UnreadableTable
        ├── InvalidTable
        ├── CheckFailed
        ├── ForeignLineage
        ├── ChangedInput
        ├── FailedWrite
        └── FailedRemoval

Here: the classes and their messages. Not here: who catches what.
"""

from neuron_assets.errors.asking import (
    BatchNotDone,
    BudgetSpent,
    KeyMissing,
    KeyRefused,
    LanguageModelError,
    ModelChanged,
    ModelWithoutPrice,
    NoBatches,
    NotAnsweredYet,
    ParametersRefused,
    PriceUnknown,
    QuestionTooLong,
    QuotaSpent,
    RequestError,
    RequestRefused,
    ServerUnreachable,
    StoreUnusable,
    TryAgain,
    UnknownModel,
    UnreadableExport,
    UnreadableReply,
    UnsafeBaseUrl,
    UntrustedServer,
    UnusableModel,
)
from neuron_assets.errors.corpora import (
    CorpusError,
    CorpusNeedsExtra,
    MissingCorpus,
    MissingField,
    NoDocuments,
    TooFewDocuments,
    TooFewExcerpts,
    TooManyBadRows,
    UnreadableCorpus,
)
from neuron_assets.errors.root import NeuronAssetsError
from neuron_assets.errors.studies import (
    ActivationsTooLarge,
    ExplanationError,
    InvalidLabel,
    InvalidStudy,
    LayerNotInStudy,
    LayerOutOfRange,
    LayerWithoutUnits,
    NeuronOutOfRange,
    NeuronsDiffer,
    NeuronsNotHeard,
    NonFiniteActivations,
    NotComparable,
    NotDeleted,
    NothingKeptOfTest,
    NotReadyForFinal,
    NotReplaceable,
    OutOfMemory,
    PoolWasOpened,
    StudyError,
    StudyExists,
    StudyFolderMissing,
    StudyNotFound,
    SubjectError,
    SubjectMismatch,
    SubjectOfExperts,
    SubjectWithoutHead,
    UnequalLengths,
    UnknownAutoencoder,
    UnknownFamily,
    UnreadableExplanation,
    UnreadableStudy,
    UnusableSubject,
    UnusableUnits,
)
from neuron_assets.errors.tables import (
    ChangedInput,
    CheckFailed,
    FailedRemoval,
    FailedWrite,
    ForeignLineage,
    HistoryUnusable,
    HomeUnusable,
    InvalidTable,
    MissingTable,
    NothingScored,
    RunFailed,
    TableError,
    UnreadableTable,
)
from neuron_assets.errors.viewing import AddressNotServed, LabelNotWritten, TokenNeeded, TokenTooShort, ViewerError

__all__ = [
    "ActivationsTooLarge",
    "AddressNotServed",
    "BatchNotDone",
    "BudgetSpent",
    "ChangedInput",
    "CheckFailed",
    "CorpusError",
    "CorpusNeedsExtra",
    "ExplanationError",
    "FailedRemoval",
    "FailedWrite",
    "ForeignLineage",
    "HistoryUnusable",
    "HomeUnusable",
    "InvalidLabel",
    "InvalidStudy",
    "InvalidTable",
    "KeyMissing",
    "KeyRefused",
    "LabelNotWritten",
    "LanguageModelError",
    "LayerNotInStudy",
    "LayerOutOfRange",
    "LayerWithoutUnits",
    "MissingCorpus",
    "MissingField",
    "MissingTable",
    "ModelChanged",
    "ModelWithoutPrice",
    "NeuronAssetsError",
    "NeuronOutOfRange",
    "NeuronsDiffer",
    "NeuronsNotHeard",
    "NoBatches",
    "NoDocuments",
    "NonFiniteActivations",
    "NotAnsweredYet",
    "NotComparable",
    "NotDeleted",
    "NotReadyForFinal",
    "NotReplaceable",
    "NothingKeptOfTest",
    "NothingScored",
    "OutOfMemory",
    "ParametersRefused",
    "PoolWasOpened",
    "PriceUnknown",
    "QuestionTooLong",
    "QuotaSpent",
    "RequestError",
    "RequestRefused",
    "RunFailed",
    "ServerUnreachable",
    "StoreUnusable",
    "StudyError",
    "StudyExists",
    "StudyFolderMissing",
    "StudyNotFound",
    "SubjectError",
    "SubjectMismatch",
    "SubjectOfExperts",
    "SubjectWithoutHead",
    "TableError",
    "TokenNeeded",
    "TokenTooShort",
    "TooFewDocuments",
    "TooFewExcerpts",
    "TooManyBadRows",
    "TryAgain",
    "UnequalLengths",
    "UnknownAutoencoder",
    "UnknownFamily",
    "UnknownModel",
    "UnreadableCorpus",
    "UnreadableExplanation",
    "UnreadableExport",
    "UnreadableReply",
    "UnreadableStudy",
    "UnreadableTable",
    "UnsafeBaseUrl",
    "UntrustedServer",
    "UnusableModel",
    "UnusableSubject",
    "UnusableUnits",
    "ViewerError",
]
