"""What `make deploy` prints."""

ACCOUNT = (
    "Account and region come from AWS_PROFILE and AWS_REGION, or from "
    'ARGS="--profile NAME --region NAME".'
)
NO_TERMINAL = (
    "There is no terminal to confirm the changes in. To deploy without confirmation:\n\n"
    '  make deploy ARGS="--no-confirm-changeset"'
)
NO_DEFAULT = '{name} has no default: make deploy ARGS="--parameter-overrides {name}=…"'
OTHER_PYTHON = """
Warning: the build has the bytecode of {build}, but the stack's Runtime is {runtime}. Lambda
would compile the code at each cold start, which takes about 1.5 times the processor time.
To build with {runtime}:

  make clean
  make PYTHON={runtime} deploy
"""
NOTHING_DEPLOYED = "Nothing was deployed."
EMPTY_STACK = """The stack {stack} is empty. Run make deploy again, or remove the stack:

  aws cloudformation delete-stack{account} --stack-name {stack}"""
UPDATED = "The stack {stack} is updated."
ALARMS_GO_TO = (
    "Open the link in the e-mail that AWS sent to {email}: until then, no alarm is delivered."
)
ALARMS_GO_NOWHERE = """Nobody is notified of alarms. To change that:

   make deploy ARGS="--parameter-overrides AlarmEmail=you@example.com\""""
NEXT_STEPS = """
The stack {stack} is deployed. Next steps:

1. {alarms}
2. Test role, key, secret, network and password. This logs in to Arena and sends no message:

   aws lambda invoke{account} --function-name {function} \\
     --cli-binary-format raw-in-base64-out --payload '{{}}' /dev/stdout | cat

   {{"version": "..."}} means that the login succeeded. Any other answer gives the reason.
3. Continue with step 2 of "A first deployment" in infra/runbook.md.
"""
_FAILED = """
The first deployment of the stack {stack} failed and was rolled back; its events say why.
Remove what is left before you try again:
"""
_REMOVE_TABLE = """
  aws dynamodb update-table{account} --table-name {table} --no-deletion-protection-enabled
  aws dynamodb wait table-exists{account} --table-name {table}
  aws dynamodb delete-table{account} --table-name {table}"""
_REMOVE_STACK = """
  aws cloudformation delete-stack{account} --stack-name {stack}
  aws cloudformation wait stack-delete-complete{account} --stack-name {stack}
"""
LEFTOVERS = _FAILED + _REMOVE_STACK
LEFTOVERS_WITH_TABLE = _FAILED + _REMOVE_TABLE + _REMOVE_STACK
