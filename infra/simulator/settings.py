"""The settings of a running simulator: the duration of runs, and choices that Arena leaves open."""

from dataclasses import dataclass

from infra.simulator import names


@dataclass(frozen=True, slots=True)
class Settings:
    """The behaviour of the simulated workspace.

    The control interface's JSON uses the same names in camelCase.
    """

    created_seconds: float = 0.5
    running_seconds: float = 3.0
    criteria_shape: str = "array"
    """`array`: runs return one array of criteria; `groups`: an array of arrays."""
    bad_guids_named: str = "first"
    """Whether code 3011 names the `first` bad GUID or `all` of them."""
    bad_guid_blanks: bool = False
    slot_checked_first: bool = False
    """Whether 3144 is checked before the criteria."""
    unknown_definition_code: int = 3012
    list_shows_others: bool = True
    list_order: str = "newest"
    list_limit: int | None = None
    session_key: str = "arenaSessionId"
    session_idle_seconds: float = 90 * 60
    dead_session_form: str = "error"
    """The answer to a dead session: Arena's `error` 401, a `redirect` (302) to a login page, or a
    login `page` with status 200."""
    max_body_bytes: int | None = None
    file_not_ready_code: int = 3017
    file_empty_code: int = 3028
    empty_files: str = "absent"
    """The `files` of a ready run without files: `absent`, `empty` (a list) or `null`."""
    unknown_file_code: int = 3012
    expired_file_code: int = 3012
    file_names_listed: bool = False
    """Whether the `files` of a run have their names, not only their titles."""
    file_framing: str = "length"
    """How the end of a download is known: `length` (Content-Length), `chunked`, or `close`."""
    file_ranges: str = "checked"
    """Whether a range is answered with 206: `checked` against If-Range, always (`unchecked`), or
    never (`none`)."""
    file_etag: str = "strong"
    """The ETag of a download: `strong`, `weak`, `changed` (another one), or `none`."""
    downloads_lock_session: bool = False
    """Whether a session's other requests get no answer during its download."""
    old_codes: bool = False
    clock_skew_seconds: float = 0.0
    date_form: str = "rfc"
    """The form of the Date header: `rfc`, with an unknown `zone`, twice (`joined`), or `none`."""
    gzip: str = "asked"
    """Whether answers are compressed: `never`, when `asked` for, or `always`."""


@dataclass(frozen=True, slots=True)
class Start:
    """The state of a simulator at its start and after a reset."""

    email: str = names.MACHINE_EMAIL
    password: str = names.PASSWORD
    workspace_id: int = names.WORKSPACE_ID
    budget_limit: int = 10_000
    settings: Settings = Settings()
