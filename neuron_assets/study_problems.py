"""What is wrong with a study file, in words.

Here: from pydantic's findings to the key that is wrong and the one that was probably meant. Not here: what may be
written (the sections), and reading it (`study.py`).
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from neuron_assets.corpus_sections import CORPORA
from neuron_assets.model_sections import BY_PROVIDER
from neuron_assets.sections import Section
from neuron_assets.subject_sections import SUBJECTS
from neuron_assets.unit_sections import UNITS_BY_PROVIDER

_BY_PROVIDER: Mapping[str, Mapping[str, type[Section]]] = {
    **BY_PROVIDER,
    "corpus": CORPORA,
    "subject": SUBJECTS,
    "units": UNITS_BY_PROVIDER,
}


def in_words(error: Mapping[str, Any], study: type[BaseModel]) -> str:
    """One line for one of pydantic's findings: the key, what is wrong, and the key that was probably meant."""
    location = [part for part in error["loc"] if not str(part).startswith(("function-", "literal[", "tuple["))]
    provider = str(location.pop(1)) if location[0:1] and location[0] in _BY_PROVIDER and len(location) > 1 else None
    place = ".".join(map(str, location))
    if error["type"] == "extra_forbidden":
        return f"`{place}` is no key of a study; {_probably_meant(location, provider, study)}"
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] in {"model_type", "model_attributes_type"}:
        message = "keys and values belong here, each on a line below it"
    return f"`{place}`: {message}" if place else message


def _probably_meant(location: Sequence[int | str], provider: str | None, study: type[BaseModel]) -> str:
    """A key of this section like the one that was written, or else one that another provider would have."""
    key, known = str(location[-1]), _keys_beside(location, provider, study)
    if close := difflib.get_close_matches(key, known, n=1):
        return f"did you mean `{close[0]}`?"
    others = _BY_PROVIDER[str(location[0])] if provider is not None else {}
    if close := difflib.get_close_matches(key, {key for other in others.values() for key in other.model_fields}, n=1):
        whose = [other for other, section in others.items() if close[0] in section.model_fields]
        return f"did you mean `{close[0]}`, of the provider {' or '.join(whose)}?"
    return f"known keys here: {', '.join(known)}"


def _keys_beside(location: Sequence[int | str], provider: str | None, study: type[BaseModel]) -> list[str]:
    if provider is not None:
        return list(_BY_PROVIDER[str(location[0])][provider].model_fields)
    model = study
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        model = field.annotation
    return [key for key in model.model_fields if key not in {"name", "folder"}]
