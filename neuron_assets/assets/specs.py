"""What every asset of a study has in common: key, group, kinds, owners, description, column schema, lineage, checks.

Put here: what the UI shows before anything has run. Keep out: the steps themselves (one file each).
https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any, Literal

import dagster as dg
import polars as pl
from dagster._core.definitions.asset_checks.asset_check_evaluation import (  # no public name; the UI needs it
    AssetCheckEvaluationTargetMaterializationData as Target,
)

from neuron_assets.assets.checks import CHECKS, OF_TABLE, Finding, keeps_schema
from neuron_assets.assets.handed_over import HandedOver, HandedOverLayers
from neuron_assets.assets.history import BLOCKED_BY, last_record
from neuron_assets.assets.partitions import layer_partitions
from neuron_assets.assets.stories import STORIES
from neuron_assets.assets.viewer_links import study_link
from neuron_assets.errors import InvalidTable
from neuron_assets.lineage import inputs_of, lineages
from neuron_assets.study import Study
from neuron_assets.tables.column_sources import SOURCES
from neuron_assets.tables.explained import NOBODY
from neuron_assets.tables.parquet import content_hash
from neuron_assets.tables.schemas import SCHEMAS
from neuron_assets.tables.validation import problems

Result = Iterator[Any]
"""A table and what its checks found."""
Look = Callable[[pl.DataFrame], Sequence[Finding]]
"""What a layer's checks find in its rows, beside the schema."""

TABLE, LINEAGE = "neuron_assets/table", "neuron_assets/lineage"
IO_MANAGER_KEY = "neuron_tables"
DOCUMENTS = "documents"
"""Note of `excerpts`: the digest of the documents that it was cut from."""
FILES = "files"
"""Metadata of `excerpts`: the state of the corpus's files then; while it is the same, nobody reads them again."""
ANSWERED_BY = "answered_by"
"""Note of `explanations` and `simulations`: who made them, a model by who it was observed to be."""
LOST = "lost"
"""Note of the same tables where questions got no answer: how many. Those are to be asked again."""
SCORERS = "scorers"
"""Note of `scores`: what is scored in it."""
MADE_BY = "made_by"
"""Metadata of the tables below `activations`: whose work their rows are, by role, as who answered was observed."""
Role = Literal["explainer", "simulator"]
ROLES: tuple[Role, ...] = ("explainer", "simulator")
UNPARTITIONED = frozenset({"excerpts", "layer_summary", "trends", "comparison", "spending"})
BEFORE_EXPLAINING = frozenset({"excerpts", "activations", "neuron_statistics", "token_index", "labels"})

KINDS: Mapping[str, set[str]] = {
    "excerpts": {"python", "parquet"},
    "activations": {"pytorch", "parquet"},
    "neuron_statistics": {"pytorch", "parquet"},
    "ablations": {"pytorch", "parquet"},
}


def asset_key(study: Study, name: str) -> dg.AssetKey:
    return dg.AssetKey([study.name, name])


def table_asset(  # noqa: PLR0913  # in these, and in nothing else, the steps differ
    study: Study,
    table: str,
    *,
    also_after: Sequence[str | dg.AssetKey] = (),
    policy: dg.BackfillPolicy | None = None,
    pool: str | None = None,
    ins: Mapping[str, dg.AssetIn] | None = None,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Makes a function the asset of `table`; its parameters are named after the tables that it reads.

    `also_after` is what it depends on without being handed it; `pool` is what its step needs to itself.
    """
    decorator: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        key=asset_key(study, table),
        ins={name: dg.AssetIn(asset_key(study, name)) for name in inputs_of(study, table)} if ins is None else ins,
        deps=[asset_key(study, each) if isinstance(each, str) else each for each in also_after],
        io_manager_key=IO_MANAGER_KEY,
        dagster_type=dg.Any,  # else it takes the result for one without a value
        check_specs=check_specs(study, table),
        backfill_policy=policy,
        pool=pool,
        **asset_attributes(study, table),
    )
    return decorator


def input_of_all_layers(study: Study, table: str) -> Mapping[str, dg.AssetIn]:
    """What `table` is made from, of those layers that are there and still stand."""
    metadata = {"allow_missing_partitions": True}
    return {name: dg.AssetIn(asset_key(study, name), metadata=metadata) for name in inputs_of(study, table)}


def asset_attributes(study: Study, table: str) -> dict[str, Any]:
    """What the UI shows of the asset of `table`, and its partitions."""
    return {
        "description": description(study, table),
        "metadata": table_metadata(study, table),
        "group_name": study.name,
        "owners": list(study.owners),
        "kinds": KINDS.get(table, {"python", "parquet"}),
        "code_version": lineages(study)[table],
        "partitions_def": None if table in UNPARTITIONED else layer_partitions(study),
    }


def description(study: Study, table: str) -> str:
    text = f"{(SCHEMAS[table].__doc__ or '').strip()}\n{STORIES[table]}"
    whose = f"Study `{study.name}`" + (f": {study.description}" if study.description else "")
    return "\n\n".join((text, whose, labels(study, table), study_link(study)))


def labels(study: Study, table: str) -> str:
    """Whose numbers these are, in a few words: never to be left out beside a score."""
    if table in BEFORE_EXPLAINING:
        return f"subject: {study.subject_label}"
    models = f"explainer: {study.explainer.label}; simulator: {study.simulator.label}"
    if table in {"judgements", "metrics"} and study.scoring.asks_judge:
        models += f"; judge: {study.judge.label}"
    return f"subject: {study.subject_label}; {models}"


def table_metadata(study: Study, table: str) -> dict[str, Any]:
    return {
        TABLE: table,
        LINEAGE: lineages(study)[table],
        "dagster/column_schema": column_schema(study, table),
    }


def _notes(study: Study, table: str) -> dict[str, str]:
    """What stands in the file beside the rows, where it is known before the step has run."""
    notes = {"study": study.name, "subject": study.subject_label, "corpus": study.corpus.provider}
    if table in BEFORE_EXPLAINING:
        return notes
    return notes | {"explainer": study.explainer_identity, "simulator": study.simulator_identity}


def column_schema(study: Study, table: str) -> dg.TableSchema:
    """What the columns are and from which others each is made; for that the open-source UI has no other place."""
    columns = [
        dg.TableColumn(
            name=column.name,
            type=str(column.dtype),
            description=" ".join(filter(None, (column.description, _made_from(study, table, column.name)))),
            constraints=dg.TableColumnConstraints(
                nullable=column.nullable, unique=column.unique, other=[_bound(check) for check in column.checks]
            ),
        )
        for column in SCHEMAS[table].to_schema().columns.values()
    ]
    return dg.TableSchema(columns)


def _made_from(study: Study, table: str, column: str) -> str:
    read = inputs_of(study, table)
    sources = [source for source in SOURCES[table].get(column, ()) if source.partition(".")[0] in read]
    return f"From {', '.join(f'`{source}`' for source in sources)}." if sources else ""


def column_lineage(study: str, table: str, read: Container[str]) -> dg.TableColumnLineage:
    """The same, for whoever asks Dagster: its GraphQL, and Dagster+; of the tables that were read."""
    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(dg.AssetKey([study, *source.split(".")[:1]]), source.split(".")[1])
                for source in sources
                if source.partition(".")[0] in read
            ]
            for column, sources in SOURCES[table].items()
        }
    )


def _bound(check: Any) -> str:
    """A bound of a column as people write it."""
    values = check.statistics or {}
    if "min_value" in values:
        return f">= {values['min_value']:g}"
    if "max_value" in values:
        return f"<= {values['max_value']:g}"
    if "allowed_values" in values:
        return f"one of {', '.join(map(str, values['allowed_values']))}"
    return str(check.error)


def check_specs(study: Study, table: str) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(
            name,
            asset=asset_key(study, table),
            description=CHECKS[name].description,
            blocking=CHECKS[name].blocking,
            partitions_def=None if table in UNPARTITIONED else layer_partitions(study),
        )
        for name in OF_TABLE[table]
    ]


def asking_notes(identity: str, n_lost: int) -> Mapping[str, str]:
    """What the files of those notes say that are made by asking."""
    return {ANSWERED_BY: identity} | ({LOST: str(n_lost)} if n_lost else {})


def made_by(*frames: pl.DataFrame) -> dict[str, dg.JsonMetadataValue]:
    """Whose work these rows are, for their layer's metadata: what a refresh compares with who would make them now."""
    whose = {
        role: " + ".join(sorted(set().union(*(frame[role].unique() for frame in frames if role in frame)) - {NOBODY}))
        for role in ROLES
    }
    return {MADE_BY: dg.MetadataValue.json({role: identity for role, identity in whose.items() if identity})}


def scorers_in_words(study: Study) -> str:
    return ", ".join(sorted(study.scoring.scorers))


def seconds_since(began: float) -> dict[str, float]:
    """How long a step took, for its layer's metadata; `began` is of the monotonic clock. Never in a file."""
    return {"seconds": round(time.monotonic() - began, 2)}


def hand_over(  # noqa: PLR0913  # what Dagster has to know, and what only the step knows
    context: dg.AssetExecutionContext,
    study: Study,
    table: str,
    frames: Mapping[str, pl.DataFrame] | pl.DataFrame,
    look: Look = lambda _frame: (),
    *,
    notes: Mapping[str, str] | None = None,
) -> Result:
    """The table and what its checks find of each layer; raises InvalidTable before anything is written.

    `notes` go into the file, beside those that are known before the step has run.

    Evaluations are yielded, of each layer its own: as `AssetCheckResult` a run over several layers could give only one
    for all of them, and Dagster would wait for those of the layers for ever.
    """
    key = asset_key(study, table)
    layer = context.partition_key if context.has_partition_key and table not in UNPARTITIONED else None
    layers = [(layer, frames)] if isinstance(frames, pl.DataFrame) else frames.items()
    found = {layer: _findings(table, frame, look) for layer, frame in layers}
    if wrong := [f"{layer or ''} {line}".strip() for layer, (schema, *_) in found.items() for line in schema.culprits]:
        yield from _evaluations(context, key, {layer: findings[:1] for layer, findings in found.items()})
        raise InvalidTable(table, wrong)
    for layer, findings in found.items():
        if complaints := [finding.complaint for finding in findings if finding.blocks]:
            context.add_asset_metadata({BLOCKED_BY: " ".join(complaints)}, key, layer)
    all_notes = {**_notes(study, table), **(notes or {})}
    if isinstance(frames, pl.DataFrame):
        version = dg.DataVersion(content_hash(frames))
        yield dg.MaterializeResult(asset_key=key, value=HandedOver(frames, all_notes), data_version=version)
    else:
        # All layers of a run have one data version; Dagster's own, of code and inputs, is the same for every such run.
        yield dg.MaterializeResult(asset_key=key, value=HandedOverLayers(frames, all_notes))
    yield from _evaluations(context, key, found)
    for spec in context.assets_def.check_specs:
        if spec.asset_key == key and spec.key in context.selected_asset_check_keys:
            yield dg.Output(None, spec.get_python_identifier())  # else Dagster would miss a result without a layer


def _findings(table: str, frame: pl.DataFrame, look: Look) -> list[Finding]:
    schema = keeps_schema(problems(table, frame))
    return [schema, *(look(frame) if schema.passed else ())]


def _evaluations(
    context: dg.AssetExecutionContext, key: dg.AssetKey, found: Mapping[str | None, Sequence[Finding]]
) -> Iterator[dg.AssetCheckEvaluation]:
    """Each says which materialization it is of: without that the UI takes it for one of an older."""
    for layer, findings in found.items():
        last, target = last_record(context.instance, key, layer), None
        if last is not None and last.run_id == context.run.run_id:  # else this run's table was not written
            target = Target(storage_id=last.storage_id, run_id=last.run_id, timestamp=last.timestamp)
        for finding in findings:
            check = CHECKS[finding.check]
            yield dg.AssetCheckEvaluation(
                asset_key=key,
                check_name=finding.check,
                passed=finding.passed,
                metadata=finding.metadata,
                target_materialization_data=target,
                severity=check.severity,
                description=finding.said,
                blocking=check.blocking,
                partition=layer,
            )
