"""What a form sent, read with care: nothing is parsed before it is known to be small.

Here: the fields as texts. Not here: what they must say (the pages), from where they may come (`guarding.py`).
"""

from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

MOST_BYTES = 64 * 1024
_URLENCODED = "application/x-www-form-urlencoded"


async def posted(request: Request) -> dict[str, str]:
    """The fields by their names; of two of one name, the last.

    Raises HTTPException: 413 for more than 64 kB, 415 for another encoding than that of a plain form, 422 for what is
    no UTF-8 or holds a null character.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _URLENCODED:
        raise HTTPException(415, f"Forms of this viewer are sent as {_URLENCODED}. Nothing was stored.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"More than {MOST_BYTES // 1024} kB were sent. Nothing was stored.")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", separator="&")
    except UnicodeDecodeError as error:
        raise HTTPException(422, "What was sent is no UTF-8 text. Nothing was stored.") from error
    if any("\0" in text for field in fields for text in field):
        raise HTTPException(422, "What was sent holds a null character. Nothing was stored.")
    return dict(fields)
