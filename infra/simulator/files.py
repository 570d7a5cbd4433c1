"""The files of a run: their names and contents, always the same until a command changes them."""

from dataclasses import dataclass

from infra.simulator.contents import CONTENTS, Content, Source
from infra.simulator.definitions import ExportDefinition

MIME_TYPES = {
    "zip": "application/zip",
    "json": "application/json",
    "csv": "text/csv",
    "gz": "application/gzip",
    "bin": "application/octet-stream",
}


@dataclass(frozen=True, slots=True)
class FilePlan:
    """How a file differs from the usual one; None stands for the usual.

    `size` is in bytes. `metadata_size` is the size that the metadata shows. Another `generation`
    has other bytes. `content_type` is sent instead of the one of the kind.
    """

    kind: str | None = None
    size: int | None = None
    title: str | None = None
    name: str | None = None
    generation: int = 1
    byte_order_mark: bool = False
    content_type: str | None = None
    metadata_size: int | None = None


@dataclass(slots=True)
class RunFile:
    """A file of a run, and the items that it contains."""

    guid: str
    stem: str
    usual_kind: str
    item_guids: tuple[str, ...]
    plan: FilePlan = FilePlan()

    @property
    def kind(self) -> str:
        """One of `CONTENTS`: zip, json, csv, gz, bin."""
        return self.plan.kind or self.usual_kind

    @property
    def name(self) -> str:
        """The name in the metadata."""
        return self.plan.name or f"{self.stem}.{self.kind}"

    @property
    def mime_type(self) -> str:
        """The type in the metadata and in the header of a download."""
        return self.plan.content_type or MIME_TYPES[self.kind]

    def content(self) -> Content:
        """Return the bytes as of now: later changes of the plan do not affect them."""
        source = Source(
            rows=tuple(_row(guid) for guid in self.item_guids),
            seed=f"{self.guid}/{self.plan.generation}",
            size=self.plan.size,
            entry_name=f"{self.stem}.csv",
            byte_order_mark=self.plan.byte_order_mark,
        )
        return CONTENTS[self.kind](source)

    def metadata_size(self) -> int:
        """Return the size that the metadata shows."""
        shown = self.plan.metadata_size
        return self.content().length if shown is None else shown


def usual_kind(definition: ExportDefinition) -> str:
    """Return the kind of a definition's files: a zip with a table, or JSON."""
    return "json" if definition.format == "JSON" else "zip"


def _row(guid: str) -> dict[str, str]:
    return {"guid": guid, "number": f"900-{guid[-5:]}", "name": f"Sample item {guid[-5:]}"}
