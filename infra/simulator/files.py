"""The files of a run: real zips, generated on request and always identical."""

import csv
import io
import json
import time
import zipfile
from collections.abc import Sequence

from infra.simulator.definitions import ExportDefinition
from infra.simulator.runs import Run

_COLUMNS = ("guid", "number", "name")


def file_name(run: Run, file_guid: str) -> str:
    """Return the name of a file."""
    part = run.file_guids.index(file_guid) + 1
    return f"export-{run.number}-{part}.zip"


def file_content(run: Run, definition: ExportDefinition, file_guid: str) -> bytes:
    """Return a zip with one table for each view; a run's items are divided among its files."""
    part, parts = run.file_guids.index(file_guid), len(run.file_guids)
    rows = [_row(guid) for guid in _matched(run)[part::parts]]
    suffix = definition.format.lower()
    write = _as_json if suffix == "json" else _as_csv
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for view in definition.views:
            entry = zipfile.ZipInfo(f"{view}.{suffix}", time.gmtime(run.created_at)[:6])
            archive.writestr(entry, write(rows), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _matched(run: Run) -> Sequence[str]:
    guids = run.item_guids or [f"ITEM{number:016}" for number in range(run.results_count)]
    return guids[: run.results_count]


def _row(guid: str) -> tuple[str, str, str]:
    return guid, f"900-{guid[-5:]}", f"Sample item {guid[-5:]}"


def _as_csv(rows: Sequence[tuple[str, str, str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([_COLUMNS, *rows])
    return text.getvalue()


def _as_json(rows: Sequence[tuple[str, str, str]]) -> str:
    return json.dumps([dict(zip(_COLUMNS, row, strict=True)) for row in rows])
