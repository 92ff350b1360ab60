"""Errors of the viewer.

Here: addresses that cannot, or must not, be served, and labels that no disk takes. Not here: what a page tells of its
request (`viewer/`).
"""

from neuron_assets.errors.root import NeuronAssetsError


class ViewerError(NeuronAssetsError):
    """The viewer cannot be served as asked, or cannot keep what it was sent."""


class TokenNeeded(ViewerError):
    """Whoever reaches the address could read everything and label in anybody's name."""

    def __init__(self, host: str, variable: str, least: int, otherwise: str) -> None:
        super().__init__(
            f"{host} can be reached from other machines, so the viewer must ask for a token: set {variable} to {least} "
            'characters or more, such as of `python -c "import secrets; print(secrets.token_urlsafe())"`, '
            f"and call again. Or {otherwise}: then it serves this machine only."
        )


class TokenTooShort(ViewerError):
    """It could be guessed."""

    def __init__(self, variable: str, length: int, least: int) -> None:
        super().__init__(f"The token in {variable} has {length} characters; {least} is the least. Set a longer one.")


class AddressNotServed(ViewerError):
    """The system does not give the address."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"{address} cannot be served: {reason}. Choose another --host or --port (0: any free one).")


class LabelNotWritten(ViewerError):
    """What a person wrote is right, but the disk does not take it."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(
            f"It was not kept: {path} could not be written ({reason}). Check that the folder is writable and the disk "
            "has room, then send it again."
        )
