"""The deliver function."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from arena_exports.adapters.background import in_background
from arena_exports.adapters.bucket import S3Bucket
from arena_exports.adapters.downloads import HttpDownloads
from arena_exports.adapters.messaging import SnsTopic
from arena_exports.arena.files import ArenaFiles
from arena_exports.services.delivery import DeliveryParts
from arena_exports.services.delivery_report import DeliveryReport
from arena_exports.services.export_formats import ExportFormats
from arena_exports.services.file_delivery import FileDelivery
from arena_exports.services.transfer import Transfer
from arena_exports.wiring.arena import ArenaFunction

if TYPE_CHECKING:
    from arena_exports.wiring.dependencies import Aws, Dependencies


class DeliverFunction(ArenaFunction):
    """Delivers the files of settled runs."""

    @staticmethod
    def connect(dependencies: Dependencies, aws: Aws) -> Dependencies:
        """Add the adapters for Arena, the bucket and the topic."""
        settings = dependencies.settings
        return replace(
            ArenaFunction.connect(dependencies, aws),
            downloads=HttpDownloads(settings.arena_base_url),
            bucket=S3Bucket(
                aws.client("s3", read_timeout=60),
                settings.delivery_bucket_name,
                settings.delivery_prefix,
                settings.delivery_bucket_owner,
                settings.delivery_key_arn,
            ),
            in_background=in_background,
            topic=SnsTopic(aws.client("sns"), settings.outcome_topic_arn),
        )

    @cached_property
    def delivery(self) -> DeliveryParts:
        """The services that deliver files."""
        files = ArenaFiles(
            arena=self.arena,
            downloads=self.dependencies.downloads,
            reserve=self.settings.request_budget_reserve,
        )
        bucket = self.dependencies.bucket
        transfer = Transfer(
            files=files,
            formats=ExportFormats(
                deliveries=self.ledger.deliveries, files=files, telemetry=self.telemetry
            ),
            bucket=bucket,
            in_background=self.dependencies.in_background,
            telemetry=self.telemetry,
        )
        return DeliveryParts(
            ledger=self.ledger,
            files=files,
            bucket=bucket,
            transfer=transfer,
            file_delivery=FileDelivery(
                files=files, transfer=transfer, clock=self.clock, telemetry=self.telemetry
            ),
            report=DeliveryReport(
                ledger=self.ledger,
                bucket=bucket,
                topic=self.dependencies.topic,
                clock=self.clock,
                telemetry=self.telemetry,
            ),
            clock=self.clock,
            telemetry=self.telemetry,
        )
