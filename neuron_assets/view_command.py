"""The command that serves the viewer: view.

Here: its words and options, and the server. Not here: the pages (`viewer/`), the other commands (`cli.py`).
"""

import click

from neuron_assets.project import current_project

PORT = 8787


@click.command()
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535))
def view(port: int) -> None:
    """Look at neurons in a browser: studies, layers, neurons, search. Serves this machine only."""
    import uvicorn

    from neuron_assets.viewer.app import create_app

    click.echo(f"Look at http://127.0.0.1:{port} (Ctrl-C ends it)")
    uvicorn.run(create_app(current_project()), host="127.0.0.1", port=port, log_level="warning")
