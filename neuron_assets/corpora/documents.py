"""A corpus as a whole: each text once, and a digest that tells whether it has changed.

Here: what holds for documents of any source. Not here: the sources (one file each).
"""

import hashlib
from collections.abc import Iterable

from neuron_assets.method.records import Document


def distinct_documents(documents: Iterable[Document]) -> list[Document]:
    """In their order, without those whose text an earlier one has had: no text may stand in two pools."""
    first_of_text: dict[str, Document] = {}
    for document in documents:
        first_of_text.setdefault(document.text, document)
    return list(first_of_text.values())


def documents_digest(documents: Iterable[Document]) -> str:
    """Sixteen hexadecimal digits of all names and texts, in their order."""
    digest = hashlib.sha256()
    for document in documents:
        for part in (document.name, document.text):
            encoded = part.encode("utf-8", errors="surrogatepass")
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()[:16]
