"""What all functions have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Self

from arena_exports.adapters.dynamodb import DynamoTable
from arena_exports.adapters.system import SystemClock
from arena_exports.adapters.telemetry import PowertoolsTelemetry
from arena_exports.ledger import Ledger, open_ledger
from arena_exports.wiring.dependencies import Aws, Dependencies
from arena_exports.wiring.settings import read_settings


class Function(ABC):
    """A Lambda function: the services that its handler calls, each made on first use."""

    def __init__(self, dependencies: Dependencies) -> None:
        self.dependencies = dependencies
        self.settings = dependencies.settings
        self.clock = dependencies.clock
        self.telemetry = dependencies.telemetry

    @classmethod
    def from_environment(cls) -> Self:
        """Return the function with its deployed settings and adapters.

        Raises:
            SettingsError: an environment variable is missing or invalid.
        """
        settings, aws, clock = read_settings(), Aws(), SystemClock()
        table = DynamoTable(aws.client("dynamodb"), settings.ledger_table_name, clock)
        return cls(cls.connect(Dependencies(settings, table, clock, PowertoolsTelemetry()), aws))

    @staticmethod
    @abstractmethod
    def connect(dependencies: Dependencies, aws: Aws) -> Dependencies:
        """Add the adapters that the function uses."""

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger."""
        return open_ledger(self.dependencies.table, self.clock)
