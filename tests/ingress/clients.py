# SPDX-License-Identifier: GPL-2.0-only
"""Clients that people use, through the proxy: curl, an event source, WebSocket."""

import asyncio
import hashlib
import subprocess
import threading
import time

import websockets

from harness import *


def curl(*args, data=None):
    got = subprocess.run(["curl", "-sS", "--max-time", "20", *args], input=data, capture_output=True)
    check(got.returncode == 0, f"curl {args}: {got.returncode}: {got.stderr}")
    return got.stdout


def url(p, path="/"):
    return f"http://{p.address}:{p.port}{path}"


@test("curl: several URLs on one connection")
def _(t):
    o = t.origin(answer("hello"))
    p = t.proxy({"/": o})
    out = curl("-w", "%{http_code} %{num_connects}\n", "-o", "/dev/null", url(p, "/a"), "-o", "/dev/null", url(p, "/b"))
    equal(out, b"200 1\n200 0\n")


@test("curl: a body of unknown length, and a large one that waits for 100 Continue")
def _(t):
    def handler(c):
        while r := c.request(body=False):
            if r.get("expect"):
                c.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            c.body(r)
            c.answer(r.body)

    o = t.origin(handler)
    p = t.proxy({"/": o}, "--max-body-bytes", "off")
    body = bytes(range(256)) * 8192
    for how in (("-H", "Transfer-Encoding: chunked"), ("-H", "Expect: 100-continue", "--expect100-timeout", "15")):
        start = time.monotonic()
        out = curl(*how, "--data-binary", "@-", url(p), data=body)
        equal(hashlib.sha256(out).digest(), hashlib.sha256(body).digest(), f"{how}: {len(out)} bytes")
        check(time.monotonic() - start < 10, "curl gave up waiting for 100 Continue")


@test("curl: HEAD, a range, a redirect that is followed")
def _(t):
    def handler(c):
        while r := c.request():
            if r.target == "/old":
                c.answer(status="302 Found", fields=[("Location", "/new")])
            elif r.method == "HEAD":
                c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            elif r.get("range"):
                c.answer("cd", "206 Partial Content", [("Content-Range", "bytes 2-3/6")])
            else:
                c.answer(r.target)

    o = t.origin(handler)
    p = t.proxy({"/": o})
    check(b"Content-Length: 1000000" in curl("-I", url(p)))
    equal(curl("-r", "2-3", url(p)), b"cd")
    equal(curl("-L", url(p, "/old")), b"/new")


@test("an event source: each event is there before the next is sent")
def _(t):
    acknowledged = threading.Semaphore(0)
    n = 20

    def handler(c):
        while c.request():
            c.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for i in range(n):
                event = b"id: %d\ndata: token %d\n\n" % (i, i)
                c.send(b"%x\r\n%s\r\n" % (len(event), event))
                if not acknowledged.acquire(timeout=DEADLINE):
                    return
            c.send(b"0\r\n\r\n")

    o = t.origin(handler)
    p = t.proxy({"/": o})
    with subprocess.Popen(["curl", "-sSN", "--max-time", "20", url(p)], stdout=subprocess.PIPE, bufsize=0) as client:
        for i in range(n):
            got = b""
            while not got.endswith(b"\n\n"):
                piece = client.stdout.read(4096)
                check(piece, f"the stream ended before event {i}")
                got += piece
            equal(got, b"id: %d\ndata: token %d\n\n" % (i, i))
            acknowledged.release()
        equal(client.stdout.read(), b"")
        equal(client.wait(), 0)


def websocket_server(t):
    """Echoes; its port."""
    started, stop = threading.Event(), []

    async def serve():
        async def each(socket):
            async for message in socket:
                await socket.send(message)

        loop = asyncio.get_running_loop()
        over = loop.create_future()
        async with websockets.serve(each, ADDRESS, 0, max_size=None) as server:
            stop.extend((server.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(over.set_result, None)))
            started.set()
            await over

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    check(started.wait(DEADLINE), "the WebSocket server starts")
    t.ends.append(lambda: (stop[1](), thread.join(DEADLINE)))
    return stop[0]


@test("WebSocket: small and large messages, ping, a clean end")
def _(t):
    p = t.proxy({"/": websocket_server(t)})
    sizes = (0, 1, 125, 126, 65535, 65536, 1 << 20)

    async def talk():
        async with websockets.connect(f"ws://{p.address}:{p.port}/chat?room=1", max_size=None) as socket:
            for size in sizes:
                await socket.send(b"x" * size)
                equal(len(await asyncio.wait_for(socket.recv(), DEADLINE)), size)
            await asyncio.wait_for(await socket.ping(), DEADLINE)
            await socket.send("text ü")
            equal(await asyncio.wait_for(socket.recv(), DEADLINE), "text ü")
        return socket.close_code

    equal(asyncio.run(talk()), 1000, "code of the end")
    r = p.record(path="/chat")
    equal(r["status"], 101)


main()
