# SPDX-License-Identifier: GPL-2.0-only
"""Clients that people use, over TLS and HTTP/2: curl, nghttp, h2load, gRPC in Python, WebSocket."""

import asyncio
import os
import re
import ssl
import subprocess
import threading
from concurrent import futures

import grpc
import websockets

from harness import *
from tls import HOST, curl, run, tls_proxy


@test("curl: TLS with the host's certificate, HTTP/1.1 and HTTP/2, a body each way")
def _(t):
    o = t.origin(echo)
    p, crt = tls_proxy(t, o)
    body = bytes(range(256)) * 4096
    for how, version in (("--http1.1", b"1.1"), ("--http2", b"2")):
        out = curl(p, crt, how, "-w", "%{http_version} %{http_code} %{ssl_verify_result}", "--data-binary", "@-", data=body)
        equal(out[len(body):], version + b" 200 0", how)
        check(out[:len(body)] == body, f"{how}: another body came back")


@test("curl: HTTP/2 without TLS, by prior knowledge")
def _(t):
    o = t.origin(answer("hello"))
    p = t.proxy({"/": o})
    out = run("curl", "-sS", "--max-time", "20", "--http2-prior-knowledge", "-w", " %{http_version}", f"http://{p.address}:{p.port}/")
    equal(out, b"hello 2")


@test("nghttp: several requests and their answers on one connection")
def _(t):
    o = t.origin(lambda c: [c.answer(r.target) for r in iter(c.request, None)])
    p, _ = tls_proxy(t, o)
    base = f"https://{p.address}:{p.tls_port}"
    out = run("nghttp", "--no-verify-peer", "-H", f":authority: {HOST}", base + "/one", base + "/two", base + "/three?x=y")
    equal(sorted(re.findall(rb"/(?:one|two|three\?x=y)", out)), [b"/one", b"/three?x=y", b"/two"])


@test("h2load: 2,000 requests, 100 at a time on each of 4 connections, none fails")
def _(t):
    o = t.origin(answer("hello"))
    p, _ = tls_proxy(t, o)
    out = run("h2load", "-n2000", "-c4", "-m100", "-H", f":authority: {HOST}", f"https://{p.address}:{p.tls_port}/").decode()
    check("2000 succeeded, 0 failed, 0 errored" in out and "status codes: 2000 2xx" in out, out)


def identity(message):
    return message


class Echo(grpc.GenericRpcHandler):
    """All four kinds of call, on plain bytes."""

    def service(self, details):
        kinds = {
            "/test.Echo/Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "/test.Echo/Server": grpc.unary_stream_rpc_method_handler(self.server),
            "/test.Echo/Client": grpc.stream_unary_rpc_method_handler(lambda messages, _: b"".join(messages)),
            "/test.Echo/Both": grpc.stream_stream_rpc_method_handler(lambda messages, _: (m for m in messages)),
            "/test.Echo/Slow": grpc.unary_unary_rpc_method_handler(self.slow),
        }
        return kinds.get(details.method)

    def __init__(self):
        self.cancelled = threading.Event()

    @staticmethod
    def unary(message, context):
        if message == b"fail":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no: 5 % ü")
        context.set_trailing_metadata((("x-trailer", "there"),))
        return dict(context.invocation_metadata()).get("x-in", "").encode() + message

    @staticmethod
    def server(message, _):
        for i in range(int(message)):
            yield b"%d" % i

    def slow(self, message, context):
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(DEADLINE)
        return message


def grpc_proxy(t):
    server = grpc.server(futures.ThreadPoolExecutor(8))
    echo_service = Echo()
    server.add_generic_rpc_handlers((echo_service,))
    port = server.add_insecure_port(f"{ADDRESS}:0")
    server.start()
    t.ends.append(lambda: server.stop(None).wait())
    p, crt = tls_proxy(t, port, {"nginx.ingress.kubernetes.io/backend-protocol": "GRPC"})
    with open(crt, "rb") as f:
        credentials = grpc.ssl_channel_credentials(f.read())
    channel = grpc.secure_channel(f"{p.address}:{p.tls_port}", credentials, (("grpc.ssl_target_name_override", HOST),
                                                                            ("grpc.default_authority", HOST)))
    t.ends.append(channel.close)
    return channel, p, crt, echo_service


@test("gRPC: unary calls, metadata both ways, a status with its message, an unknown method")
def _(t):
    channel, _, _, _ = grpc_proxy(t)
    call = channel.unary_unary("/test.Echo/Unary")
    answered, details = call.with_call(b"hello", timeout=DEADLINE, metadata=(("x-in", "in:"),))
    equal(answered, b"in:hello")
    equal(dict(details.trailing_metadata()).get("x-trailer"), "there")
    big = b"x" * 3_000_000
    equal(call(big, timeout=DEADLINE), big)
    for bad, code, text in ((lambda: call(b"fail", timeout=DEADLINE), grpc.StatusCode.FAILED_PRECONDITION, "no: 5 % ü"),
                            (lambda: channel.unary_unary("/test.Echo/None")(b"", timeout=DEADLINE), grpc.StatusCode.UNIMPLEMENTED, None)):
        try:
            bad()
            check(False, f"{code} was expected")
        except grpc.RpcError as e:
            equal(e.code(), code)
            check(text is None or e.details() == text, e.details())


PROTO = """syntax = "proto3";
package test;
message Text { string text = 1; }
service Echo {
  rpc Unary(Text) returns (Text);
  rpc Both(stream Text) returns (stream Text);
  rpc Client(stream Text) returns (Text);
  rpc None(Text) returns (Text);
}
"""


@test("gRPC by Go (grpcurl): calls and streams, trailers, a method that is not there")
def _(t):
    here = os.path.dirname(os.path.abspath(__file__))
    grpcurl = run(here + "/../kube/build").decode().strip() + "/grpcurl"
    _, p, crt, _ = grpc_proxy(t)
    with open(t.folder + "/echo.proto", "w", encoding="ascii") as f:
        f.write(PROTO)

    def ask(method, text, *options):
        done = subprocess.run([grpcurl, "-cacert", crt, "-authority", HOST, "-import-path", t.folder, "-proto", "echo.proto", *options,
                               "-d", text, f"{p.address}:{p.tls_port}", "test.Echo/" + method], capture_output=True)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    code, out, err = ask("Unary", '{"text": "hello"}', "-v")
    equal(code, 0, err)
    check('"text": "hello"' in out and "x-trailer: there" in out, out)
    code, out, err = ask("Both", '{"text": "a"} {"text": "b"} {"text": "c"}')
    equal((code, re.findall(r'"text": "(.)"', out)), (0, ["a", "b", "c"]), err)
    code, out, err = ask("Client", '{"text": "a"} {"text": "z"}')  # of one field sent twice the last one holds
    equal((code, re.findall(r'"text": "(.)"', out)), (0, ["z"]), err)
    code, out, err = ask("None", "{}")
    check(code == 64 + grpc.StatusCode.UNIMPLEMENTED.value[0] and "Code: Unimplemented" in err, f"{code} {out} {err}")


@test("gRPC: streams of the server, of the client, of both at once")
def _(t):
    channel, _, _, _ = grpc_proxy(t)
    equal(list(channel.unary_stream("/test.Echo/Server")(b"200", timeout=DEADLINE)), [b"%d" % i for i in range(200)])
    equal(channel.stream_unary("/test.Echo/Client")((b"%d," % i for i in range(200)), timeout=DEADLINE),
          b"".join(b"%d," % i for i in range(200)))
    turn, said = threading.Semaphore(1), []

    def talk():  # each message waits for the answer to the last: nothing may be held back
        for i in range(50):
            check(turn.acquire(timeout=DEADLINE), f"no answer to message {i - 1}")
            yield b"%d" % i

    for message in channel.stream_stream("/test.Echo/Both")(talk(), timeout=DEADLINE):
        said.append(message)
        turn.release()
    equal(said, [b"%d" % i for i in range(50)])


@test("gRPC: a call that the client gives up ends at the server; no endpoint is UNAVAILABLE")
def _(t):
    channel, p, _, echo_service = grpc_proxy(t)
    try:
        channel.unary_unary("/test.Echo/Slow")(b"", timeout=.3)
        check(False, "the deadline was expected to pass")
    except grpc.RpcError as e:
        equal(e.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    check(echo_service.cancelled.wait(DEADLINE), "the server never heard of it")
    p.write("all", [o for o in p_objects(p) if o["kind"] != "EndpointSlice"])

    def unavailable():
        try:
            channel.unary_unary("/test.Echo/Unary")(b"x", timeout=DEADLINE)
        except grpc.RpcError as e:
            equal(e.code(), grpc.StatusCode.UNAVAILABLE)
            return True
        return False

    until(unavailable, "the call fails once no endpoint is left")


def p_objects(p):
    with open(os.path.join(p.dir, "all.json")) as f:
        return json.load(f)["items"]


@test("WebSocket over TLS")
def _(t):
    started, stop = threading.Event(), []

    async def serve():
        async def each(socket):
            async for message in socket:
                await socket.send(message)

        loop = asyncio.get_running_loop()
        over = loop.create_future()
        async with websockets.serve(each, ADDRESS, 0) as server:
            stop.extend((server.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(over.set_result, None)))
            started.set()
            await over

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    check(started.wait(DEADLINE), "the WebSocket server starts")
    t.ends.append(stop[1])
    p, crt = tls_proxy(t, stop[0])
    context = ssl.create_default_context(cafile=crt)

    async def talk():
        sock = socket.create_connection((p.address, p.tls_port))
        async with websockets.connect(f"wss://{HOST}:{p.tls_port}/", sock=sock, ssl=context, server_hostname=HOST) as ws:
            for size in (1, 70000):
                await ws.send(b"x" * size)
                equal(len(await asyncio.wait_for(ws.recv(), DEADLINE)), size)
        return ws.close_code

    equal(asyncio.run(talk()), 1000)


main()
