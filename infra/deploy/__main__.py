"""Deploy the stack into an AWS account: `python -m infra.deploy`, or `make deploy`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from infra.deploy import texts
from infra.deploy.deployment import Deployment
from infra.deploy.target import Target

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    """Deploy; print an error that the user can act on as one sentence."""
    try:
        target = Target.read(arguments)
        session = boto3.Session(profile_name=target.profile, region_name=target.region)
        Deployment(target, session.client("cloudformation")).run()
    except click.ClickException as exc:
        exc.show()
        raise SystemExit(1) from None
    except (click.Abort, KeyboardInterrupt):
        raise SystemExit(130) from None
    except (BotoCoreError, ClientError) as exc:
        click.echo(f"Error: {str(exc).rstrip('.')}. {texts.ACCOUNT}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(sys.argv[1:])
