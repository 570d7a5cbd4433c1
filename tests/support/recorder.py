"""A proxy between the functions and the embedded AWS that records every call.

The functions identify themselves in the user agent (AWS_SDK_UA_APP_ID in template.yaml), as in an
account's CloudTrail.
"""

from __future__ import annotations

import http.client
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.local.stack import Stack

TIMEOUT_SECONDS = 120
_APPLICATION = re.compile(r"\bapp/(\S+)")
_SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")
_OF_CONNECTION = {"connection", "transfer-encoding", "content-length"}
_IN_TRANSACTIONS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
_S3_OF_BUCKET = {"uploads": "ListBucketMultipartUploads", "list-type": "ListBucket"}
_S3_OF_OBJECT = {
    "GET": "GetObject",
    "PUT": "PutObject",
    "POST": "PutObject",
    "DELETE": "AbortMultipartUpload",
}
"""What IAM calls the requests to S3: a multipart upload is a PutObject in each of its steps."""
_ARN_KEYS = {
    "secretsmanager": ("SecretId",),
    "sns": ("TopicArn",),
    "states": ("stateMachineArn", "executionArn"),
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call: the function that made it, the request's parts that matter, whether IAM denied it."""

    function: str
    service: str
    method: str
    target: str
    path: str
    body: str
    denied: bool

    @property
    def operation(self) -> str:
        """The operation's name in AWS."""
        if self.service == "lambda":
            return "Invoke" if self.path.endswith("/invocations") else self.path
        if self.service == "s3":
            return self._s3()[0]
        return self.target.rpartition(".")[2] or self.arguments["Action"]

    @property
    def arguments(self) -> Any:
        """The arguments, from JSON or from a form."""
        if self.target:
            return json.loads(self.body)
        return {name: values[-1] for name, values in parse_qs(self.body).items()}

    def grants(self, place: str) -> set[tuple[str, str]]:
        """Return the actions with their resources' ARNs that IAM must grant for it.

        Args:
            place: region and account, `us-east-1:000000000000`.
        """
        if self.service == "dynamodb":
            named = self._tables()
            return {(f"dynamodb:{op}", f"arn:aws:dynamodb:{place}:table/{t}") for op, t in named}
        if self.service == "lambda" and self.operation == "Invoke":
            name = unquote(self.path).split("/")[-2]
            return {("lambda:InvokeFunction", f"arn:aws:lambda:{place}:function:{name}")}
        if self.service == "sqs":
            name = self.arguments["QueueUrl"].rpartition("/")[2]
            return {(f"sqs:{self.operation}", f"arn:aws:sqs:{place}:{name}")}
        if self.service == "s3":
            operation, resource = self._s3()
            return {(f"s3:{operation}", f"arn:aws:s3:::{resource}")}
        arguments = self.arguments
        (key,) = (key for key in _ARN_KEYS[self.service] if key in arguments)
        return {(f"{self.service}:{self.operation}", arguments[key])}

    def _s3(self) -> tuple[str, str]:
        """Return the permission that a request needs, and the bucket or the object."""
        address = urlsplit(self.path)
        resource, query = (
            unquote(address.path).strip("/"),
            parse_qs(address.query, keep_blank_values=True),
        )
        if "/" in resource:
            return _S3_OF_OBJECT[self.method], resource
        (operation,) = (_S3_OF_BUCKET[name] for name in query if name in _S3_OF_BUCKET)
        return operation, resource

    def _tables(self) -> list[tuple[str, str]]:
        """Return the operations on each table; a transaction needs permission for its parts."""
        arguments = self.arguments
        if "TransactItems" in arguments:
            parts = [part for item in arguments["TransactItems"] for part in item.items()]
            return [(_IN_TRANSACTIONS[name], part["TableName"]) for name, part in parts]
        if "RequestItems" in arguments:
            return [(self.operation, table) for table in arguments["RequestItems"]]
        return [(self.operation, arguments["TableName"])]


@contextmanager
def recorded(stack: Stack) -> Iterator[list[Call]]:
    """Route the calls of a stack's functions through the proxy; yield the list of calls."""
    calls: list[Call] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(stack.endpoint, calls))
    Thread(target=server.serve_forever, daemon=True).start()
    for logical_id, name in stack.resources.items():
        if logical_id.endswith("Function"):
            _lead(stack, name, f"http://127.0.0.1:{server.server_port}")
    try:
        yield calls
    finally:
        server.shutdown()
        server.server_close()


def _lead(stack: Stack, function_name: str, endpoint: str) -> None:
    functions = stack.clients.functions
    found = functions.get_function_configuration(FunctionName=function_name)
    variables = found["Environment"]["Variables"] | {"AWS_ENDPOINT_URL": endpoint}
    functions.update_function_configuration(
        FunctionName=function_name, Environment={"Variables": variables}
    )


def _handler(endpoint: str, calls: list[Call]) -> type[BaseHTTPRequestHandler]:
    """Return the handler of a request, which is recorded and passed on as it was signed."""
    address = urlsplit(endpoint).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            onward = http.client.HTTPConnection(address, timeout=TIMEOUT_SECONDS)
            onward.request(self.command, self.path, body, dict(self.headers))
            answer = onward.getresponse()
            content = answer.read()
            onward.close()
            denied = answer.status >= http.HTTPStatus.BAD_REQUEST and b"AccessDenied" in content
            calls.append(_call(self, body, denied=denied))
            self._answer(answer, content)

        do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815 - http.server's names

        def _answer(self, answer: http.client.HTTPResponse, content: bytes) -> None:
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _OF_CONNECTION:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    return Handler


def _call(request: BaseHTTPRequestHandler, body: bytes, *, denied: bool) -> Call:
    application = _APPLICATION.search(request.headers.get("User-Agent", ""))
    scope = _SCOPE.search(request.headers.get("Authorization", ""))
    return Call(
        function=application[1] if application else "",
        service=scope[1] if scope else "",
        method=request.command,
        target=request.headers.get("X-Amz-Target", ""),
        path=request.path,
        body=body.decode(errors="replace"),  # a part of a file is no text
        denied=denied,
    )
