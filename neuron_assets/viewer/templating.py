"""Pages from templates: everything in them is escaped, and a name that a template misses is an error.

Here: the one environment, and how numbers are written. Not here: what stands on a page (`..._page.py`, `templates/`).
"""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response
from starlette.templating import Jinja2Templates

from neuron_assets.viewer import places
from neuron_assets.viewer.excerpts import shown_text
from neuron_assets.viewer.given import explanation_id
from neuron_assets.viewer.who import remembered
from neuron_assets.viewer.words import interval, number, share


def page(request: Request, template: str, context: Mapping[str, Any], status: int = 200) -> Response:
    """`study` in the context, an OpenStudy or None, is what the header speaks of."""
    return _TEMPLATES.TemplateResponse(request, template, {"study": None, **context}, status_code=status)


def prepare() -> None:
    """Compiles all templates, half a second, so that nobody waits for it at the first page."""
    for name in _TEMPLATES.env.list_templates():
        _TEMPLATES.env.get_template(name)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("neuron_assets.viewer"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, interval=interval, share=share, visible=shown_text)
    urls = (places.study_url, places.layer_url, places.neuron_url, places.tool_url)
    environment.globals.update({url.__name__: url for url in urls})
    environment.globals.update(explanation_id=explanation_id, remembered=remembered)
    return environment


_TEMPLATES = Jinja2Templates(env=_environment())
