"""JSON lines as a corpus: each line is an object with the text in a field.

Here: a line to a document. Not here: finding and opening files (`files.py`).
"""

import json
from collections.abc import Iterable, Iterator

from neuron_assets.corpora.documents import BadRow, Fields, Row, row_of_fields
from neuron_assets.corpora.files import CorpusFile


def json_line_rows(files: Iterable[CorpusFile], fields: Fields) -> Iterator[Row]:
    """Each line that is not empty, read one by one; raises MissingCorpus or UnreadableCorpus."""
    for file in files:
        with file.unpacked() as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _row(f"{file.name}:{number}", line, fields)


def _row(where: str, line: bytes, fields: Fields) -> Row:
    try:
        values = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return BadRow(where, f"no UTF-8 from byte {error.start} on")
    except json.JSONDecodeError as error:
        return BadRow(where, f"no JSON: {error.msg} at character {error.pos}")
    except (ValueError, RecursionError) as error:
        return BadRow(where, f"no JSON that can be read: {error}")
    if not isinstance(values, dict):
        return BadRow(where, "no JSON object")
    return row_of_fields(values, fields, where)
