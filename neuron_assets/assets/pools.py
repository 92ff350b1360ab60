"""Which steps wait for one another, in whatever run they are: those that need one device, or one server.

Put here: the names of Dagster's concurrency pools. Keep out: how many steps each lets in (dagster_home/dagster.yaml).
https://docs.dagster.io/guides/operate/managing-concurrency/concurrency-pools
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from neuron_assets.model_sections import HostedSection, LocalSection
from neuron_assets.study import Study

DEVICE = "device"
"""Of all that holds a model in this process: whatever runs the subject, and models that the study runs itself."""


def pools_of(study: Study) -> Mapping[str, str]:
    """By table, what its step needs to itself: the device, or a server by its host."""
    runs_again = {"ablations": study.scoring.ablates, "revised_explanations": study.revises_by_asking}
    pools = {"activations": DEVICE} | {table: DEVICE for table, is_so in runs_again.items() if is_so}
    for table, section in (
        ("explanations", study.explainer),
        *([("meanings", study.explainer)] if study.lists_meanings else []),
        ("simulations", study.simulator),
        ("judgements", study.judge),
    ):
        match section:
            case LocalSection():
                pools[table] = DEVICE
            case HostedSection():
                pools[table] = urlsplit(section.base_url).netloc
    return pools
