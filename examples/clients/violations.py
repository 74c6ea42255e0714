#!/usr/bin/env python3
"""Reads violations as a client in Python does: of gRPC as google.rpc.BadRequest, with grpcio and grpcio-status; of plain
HTTP as problem details (RFC 9457), with the standard library.

`just clients` builds the examples and runs this on them. It fails at the first difference.
"""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


@contextmanager
def server(path, *arguments):
    """Where a started example listens."""
    command = [path, *arguments, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().split("http://")[1].split(";")[0].strip()
        finally:
            process.kill()


def told_by_grpc(channel, method, message, metadata=()):
    """The status of a call that must fail, and the violations in its details."""
    try:
        # Messages as bytes: nothing needs to be generated.
        channel.unary_unary(method)(message, timeout=10, metadata=metadata)
    except grpc.RpcError as error:
        violations = []
        for detail in rpc_status.from_call(error).details:
            bad = error_details_pb2.BadRequest()
            if detail.Unpack(bad):
                violations += [(v.field, v.reason, v.description) for v in bad.field_violations]
        return error.code(), violations
    raise AssertionError(f"{method} was not refused")


def told_by_http(url):
    """The status, the media type and the problem a request is refused with."""
    try:
        urllib.request.urlopen(url, timeout=10)
    except urllib.error.HTTPError as error:
        return error.code, error.headers["content-type"], json.load(error)
    raise AssertionError(f"{url} was not refused")


def same(told, expected):
    if told != expected:
        sys.exit(f"told     {told}\nexpected {expected}")
    print("as expected:", told[-1])


def main(binaries):
    with server(binaries / "tonic-validate", "--serve") as address:
        with grpc.insecure_channel(address) as channel:
            same(
                told_by_grpc(channel, "/orders.v1.Orders/Place", b""),
                (
                    grpc.StatusCode.INVALID_ARGUMENT,
                    [
                        ("customer", "LENGTH", "must be at least 1 and at most 64 long"),
                        ("lines", "LENGTH", "must be at least 1 and at most 100 long"),
                    ],
                ),
            )
            same(
                told_by_grpc(channel, "/orders.v1.Orders/a/b", b""),
                (
                    grpc.StatusCode.INVALID_ARGUMENT,
                    [("path", "PATH_NOT_GRPC", "the path is not of the form /Service/Method")],
                ),
            )
            same(
                told_by_grpc(channel, "/orders.v1.Orders/Place", b"", [("x-long", "v" * 5000)]),
                (
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    [("header", "HEADER_VALUE_SIZE", "a header field value is too long")],
                ),
            )
    with server(binaries / "axum-validate") as address:
        status, media_type, problem = told_by_http(f"http://{address}/a%2fb")
        same(
            (status, media_type, problem["reason"], problem["errors"]),
            (
                400,
                "application/problem+json",
                "PATH_SEPARATOR",
                [
                    {
                        "field": "path",
                        "code": "PATH_SEPARATOR",
                        "detail": "the path holds a backslash or an encoded separator",
                    }
                ],
            ),
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
