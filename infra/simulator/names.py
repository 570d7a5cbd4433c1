"""The names in a fresh simulator: one workspace, two users, three definitions."""

WORKSPACE_ID = 898698
WORKSPACE_NAME = "Simulated Workspace"

MACHINE_EMAIL = "machine@example.com"
FOREIGN_EMAIL = "person@example.com"
PASSWORD = "simulator"  # noqa: S105 - the simulator's own sample password, printed in its README

DEFAULT_EXPORT_GUID = "EXPDEFAULT0000000001"
"""An export definition without criteria: each run specifies its item GUIDs."""
DEFINITION_EXPORT_GUID = "EXPDEFINITION0000001"
"""An export definition with its own criteria: the body of each run is `{}`."""
FILES_EXPORT_GUID = "EXPFILES000000000001"
"""An export definition without criteria, with the FILES view: at most 5,000 lines."""
