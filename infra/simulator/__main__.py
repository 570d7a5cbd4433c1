"""Entry point of `python -m infra.simulator`."""

import click

from infra.simulator import names
from infra.simulator.app import create_app
from infra.simulator.server import serve
from infra.simulator.settings import Settings, Start

_SECONDS = click.FloatRange(min=0)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to bind.")
@click.option("--port", default=8081, show_default=True, type=click.IntRange(0, 65535))
@click.option("--created-seconds", default=0.5, show_default=True, type=_SECONDS)
@click.option("--run-seconds", default=3.0, show_default=True, type=_SECONDS)
@click.option("--request-limit", default=10_000, show_default=True, type=click.IntRange(min=1))
@click.option("--email", default=names.MACHINE_EMAIL, show_default=True)
@click.option("--password", default=names.PASSWORD, show_default=True)
@click.option("--workspace-id", default=names.WORKSPACE_ID, show_default=True)
def main(  # noqa: PLR0913 - one for each option
    *,
    host: str,
    port: int,
    created_seconds: float,
    run_seconds: float,
    request_limit: int,
    email: str,
    password: str,
    workspace_id: int,
) -> None:
    """Serve the Arena simulator and print its address. With port 0, any free port is used."""
    settings = Settings(created_seconds=created_seconds, running_seconds=run_seconds)
    start = Start(email, password, workspace_id, request_limit, settings)
    serve(create_app(start), host, port)


if __name__ == "__main__":
    main()
