"""Names of parameters whose values are nobody's business.

Here: telling them. Not here: what becomes of such a parameter (`request_store.py`).
"""

import re
from collections.abc import Mapping
from typing import Any

_SECRET = re.compile(
    r"api[-_ ]?key|authori[sz]ation|secret|passw|credential|bearer|cookie|(^|access[-_]|api[-_])token$", re.IGNORECASE
)


def secret_name(parameters: Mapping[str, Any]) -> str | None:
    """The first parameter, at any depth, whose name says that its value is a secret; None where there is none."""
    for name, value in parameters.items():
        if _SECRET.search(name):
            return name
        within = secret_name(value) if isinstance(value, Mapping) else None
        if within is not None:
            return within
    return None
