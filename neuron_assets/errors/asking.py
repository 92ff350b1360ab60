"""Errors of asking language models: those that end a run, and those that become a row."""

from collections.abc import Sequence

from neuron_assets.errors.root import NeuronAssetsError


class LanguageModelError(NeuronAssetsError):
    """A language model cannot be asked, whatever the question: asking on would only fail again."""

    hits_all_layers = True


class KeyMissing(LanguageModelError):
    def __init__(self, variable: str) -> None:
        super().__init__(
            f"The environment variable {variable} holds no key. Set it (export {variable}=...), or name another one as "
            "`api_key_env` in the study."
        )


class KeyRefused(LanguageModelError):
    def __init__(self, server: str, reason: str) -> None:
        super().__init__(
            f"{server} refuses the key: {reason}. Check the key and what it may do, then materialize again."
        )


class UnknownModel(LanguageModelError):
    def __init__(self, server: str, model: str, reason: str) -> None:
        super().__init__(f"{server} has no model {model!r}: {reason}. Mend `model` in the study.")


class UnusableModel(LanguageModelError):
    def __init__(self, model: str, reason: str) -> None:
        super().__init__(
            f"The model {model} cannot be used in this process: {reason}. Mend `model` in the study, or let a server "
            "run it."
        )


class ParametersRefused(LanguageModelError):
    def __init__(self, who: str, reason: str) -> None:
        super().__init__(
            f"{who} answers no request as this study makes them: {reason}. Mend the model's parameters in the study."
        )


class QuotaSpent(LanguageModelError):
    def __init__(self, server: str, reason: str) -> None:
        super().__init__(
            f"The quota at {server} is spent: {reason}. What was answered is kept; raise it, then materialize again."
        )


class BudgetSpent(LanguageModelError):
    def __init__(self, study: str, spent: str, budget: str) -> None:
        super().__init__(
            f"The study {study} has spent {spent} of its budget of {budget}. What was answered is kept and costs "
            "nothing the next time; raise `budget` in the study to go on."
        )


class PriceUnknown(LanguageModelError):
    def __init__(self, study: str, n_requests: int) -> None:
        super().__init__(
            f"The budget of the study {study} is in dollars, and nobody knows what {n_requests} of its requests cost: "
            "their model has no price. Add it under `prices` in the study (0 where it is free), or bound `requests` or "
            "`tokens` instead of `money`."
        )


class ModelWithoutPrice(LanguageModelError):
    def __init__(self, study: str, model: str) -> None:
        super().__init__(
            f"The budget of the study {study} is in dollars, and nobody knows what {model} costs. Add "
            f"`{model.partition('@')[0]}` under `prices` in the study (0 where it is free), or bound `requests` or "
            "`tokens` instead of `money`."
        )


class ServerUnreachable(LanguageModelError):
    def __init__(self, server: str, reason: str) -> None:
        super().__init__(
            f"{server} does not answer: {reason}. Check `base_url` in the study and that the server runs; "
            "what was answered is kept."
        )


class UnsafeBaseUrl(LanguageModelError):
    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"`base_url` {url!r} cannot be used: {reason}. Write it like https://api.example.com/v1.")


class UntrustedServer(LanguageModelError):
    def __init__(self, server: str, what: str) -> None:
        super().__init__(
            f"{server} cannot be trusted with prompt log-probabilities: {what}. Use `method: json`, or another server."
        )


class ModelChanged(LanguageModelError):
    def __init__(self, server: str, before: str, now: str) -> None:
        super().__init__(
            f"{server} has changed the model while it was asked: {before} before, {now} now. What was answered is kept "
            "under the name of who answered; materialize again to ask the new one."
        )


class NotAnsweredYet(LanguageModelError):
    hits_all_layers = False

    def __init__(self, abouts: Sequence[str], n_missing: int) -> None:
        listed = ", ".join(abouts)
        super().__init__(
            f"{n_missing} requests are not in the request store, and nothing may be asked offline: {listed}"
            f"{', ...' if n_missing > len(abouts) else ''}. Materialize without --offline."
        )


class NoBatches(LanguageModelError):
    def __init__(self, who: str, reason: str) -> None:
        super().__init__(
            f"{who} cannot be asked in batches: {reason}. Write `mode: direct` under `asking` in the study."
        )


class BatchNotDone(LanguageModelError):
    hits_all_layers = False

    def __init__(self, server: str, batch: str, reason: str) -> None:
        super().__init__(
            f"The batch {batch} at {server} was not done: {reason}. What it answered is kept; materialize again to ask "
            "the rest, or write `mode: direct` under `asking` in the study."
        )


class StoreUnusable(LanguageModelError):
    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"The request store {url} cannot be used: {reason}. Nothing is asked that could not be kept. "
            "Check that it can be reached and written, and that its disk has room."
        )


class UnreadableExport(LanguageModelError):
    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path} is no file of exported answers: {reason}. Nothing was taken over; export it again.")


class QuestionTooLong(LanguageModelError):
    def __init__(self, role: str, model: str, n_tokens: int, context_length: int) -> None:
        fewer = "Show it fewer excerpts (`shown_top`, `shown_random`), cut" if role == "explainer" else "Cut"
        super().__init__(
            f"The {role} {model} reads {context_length:,} tokens at once, and the longest question of this study with "
            f"its answer has about {n_tokens:,}. {fewer} shorter ones (`excerpt_length` under `corpus`), or choose a "
            "model that reads more."
        )


class RequestError(NeuronAssetsError):
    """One request came to nothing."""


class TryAgain(RequestError):
    """Later the same request may be answered."""

    def __init__(self, reason: str, after: float | None = None, *, crowded: bool = False) -> None:
        super().__init__(f"no answer: {reason}")
        self.after = after
        """Seconds to wait, where the server said so."""
        self.crowded = crowded
        """Whether the server has too much to do."""


class RequestRefused(RequestError):
    def __init__(self, reason: str) -> None:
        super().__init__(f"refused: {reason}")


class UnreadableReply(RequestError):
    def __init__(self, reason: str, reply: str) -> None:
        super().__init__(f"{reason}: {reply[:200]!r}")
        self.reason = reason
        self.reply = reply
