"""Where a user's studies and tables lie, and the only code that reads the environment.

    PROJECT/
      dagster_home/dagster.yaml      DAGSTER_HOME
      studies/NAME/study.yaml        what the user writes; more folders by NEURON_ASSETS_STUDIES
      data/NAME/TABLE/L03.parquet    what is made; elsewhere by NEURON_ASSETS_DATA (a folder, or s3://...)
      data/requests.sqlite           what language models answered; elsewhere by NEURON_ASSETS_REQUESTS
      Dagster's pages                where the viewer links to, if NEURON_ASSETS_DAGSTER says (http://127.0.0.1:3000)
      the viewer's pages             where Dagster's link to: NEURON_ASSETS_VIEWER, or where `neuron-assets view` serves
      the viewer's token             NEURON_ASSETS_VIEW_TOKEN: what people must know who look at its pages

Here: finding. Not here: what a study says (`study.py`).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from neuron_assets.errors import StudyNotFound
from neuron_assets.sections import NAME
from neuron_assets.study import Study, read_study

VIEWER = "http://127.0.0.1:8787"
"""Where `neuron-assets view` serves, unless it is told otherwise."""

BUNDLED_STUDIES = Path(__file__).parent / "studies"


@dataclass(frozen=True, slots=True)
class Project:
    dagster_home: Path
    """Absolute."""
    tables: str
    """A folder, or a URL that fsspec knows."""
    requests: str
    """Where answers of language models are kept: a SQLite file, or the URL of a PostgreSQL database."""
    study_folders: tuple[Path, ...]
    """Searched in this order, after the bundled studies; each holds one folder a study."""
    dagster: str | None = None
    """The address of Dagster's pages, without a slash at its end; None if nobody told one of http or https."""
    viewer: str = VIEWER
    """The address of the viewer's pages likewise."""
    view_token: str | None = field(default=None, repr=False)
    """What who looks at them must know; None: nobody need know anything."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], folder: Path) -> "Project":
        """The project around `folder`, unless the environment says otherwise.

        The root is the parent of DAGSTER_HOME; where that is not set, the nearest folder upwards that holds a
        `dagster_home`, or else `folder` itself.
        """
        home = Path(environ.get("DAGSTER_HOME") or _root_around(folder) / "dagster_home").absolute()
        more = [Path(text).absolute() for text in environ.get("NEURON_ASSETS_STUDIES", "").split(os.pathsep) if text]
        return cls(
            dagster_home=home,
            tables=environ.get("NEURON_ASSETS_DATA") or str(home.parent / "data"),
            requests=environ.get("NEURON_ASSETS_REQUESTS") or str(home.parent / "data" / "requests.sqlite"),
            study_folders=(home.parent / "studies", *more),
            dagster=_address(environ.get("NEURON_ASSETS_DAGSTER", "")),
            viewer=_address(environ.get("NEURON_ASSETS_VIEWER", "")) or VIEWER,
            view_token=environ.get("NEURON_ASSETS_VIEW_TOKEN", "").strip() or None,
        )

    def study_files(self) -> dict[str, Path]:
        """The file of each study by its name; an earlier folder wins."""
        files: dict[str, Path] = {}
        for folder in (BUNDLED_STUDIES, *self.study_folders):
            for path in sorted(folder.glob("*/study.yaml")):
                if NAME.fullmatch(path.parent.name):
                    files.setdefault(path.parent.name, path)
        return files

    def study(self, name: str) -> Study:
        """Raises StudyNotFound, and what `read_study` raises."""
        files = self.study_files()
        if name not in files:
            raise StudyNotFound(name, files)
        return read_study(files[name])


def current_project() -> Project:
    """The project of this process."""
    return Project.from_environment(os.environ, Path.cwd())


def _address(text: str) -> str | None:
    """What may stand in a link; None of all else."""
    return text.rstrip("/") if text.startswith(("http://", "https://")) else None


def _root_around(folder: Path) -> Path:
    for candidate in (folder, *folder.parents):
        if (candidate / "dagster_home").is_dir():
            return candidate
    return folder
