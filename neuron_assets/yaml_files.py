"""Reading a YAML file that a user wrote: plain values only, and no key twice."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from neuron_assets.errors import UnreadableStudy


class _NoKeyTwice(yaml.SafeLoader):
    """As the safe loader, which lets the last of two equal keys win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  # the base class's
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key if isinstance(key, Hashable) else id(key_node))
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """What the file holds; raises UnreadableStudy, naming the place."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _NoKeyTwice)  # noqa: S506  # a safe loader
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UnreadableStudy(path, " ".join(str(error).split())) from error
