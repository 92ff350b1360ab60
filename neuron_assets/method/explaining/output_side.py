"""What a neuron makes the model say next, as context for whoever explains it.

Here: the words around these tokens in a prompt. Not here: how they are found (`subjects/output_side.py`), the excerpts
(`layouts.py`). What a neuron looks for and what it says next are two things; a question shows the second where the
first is hard to see, and asks for the first all the same.
"""

from dataclasses import dataclass

from neuron_assets.method.fencing import Marks, escaped

OUTPUT_SIDE = "output_side/1"
"""Of the words below; another number wherever one of them changes."""

HOW_TO_READ = """
Of the last neuron you are also told which tokens it makes the model more, and less, likely to say next, each list \
between a line {start} and a line {end}, a token a line. It may help to tell what the neuron is for. You still say \
what it looks for in the text before, never what comes after."""


@dataclass(frozen=True, slots=True)
class OutputSide:
    """Tokens whose logit a neuron raises most, and lowers most, the strongest first."""

    up: tuple[str, ...]
    down: tuple[str, ...]

    def first(self, n: int) -> "OutputSide":
        return OutputSide(self.up[:n], self.down[:n])


def output_side_text(side: OutputSide, fence: Marks) -> str:
    """Both lists, each between marks that none of the tokens contains."""
    parts = [("More likely next:", side.up), ("Less likely next:", side.down)]
    return "\n".join(line for title, tokens in parts for line in (title, fence.start, *map(escaped, tokens), fence.end))
