# SPDX-License-Identifier: GPL-2.0-only
"""A gRPC server and a client on python3-grpcio, without generated code: messages are bytes. serve ADDR | call TARGET [CA] | status TARGET METHOD"""

import queue
import sys
import threading
import time
from concurrent import futures

import grpc

cancelled = threading.Event()


def same(b):
    return b


def unary(request, context):
    context.set_trailing_metadata((("x-trailer", "t"),))
    if request == b"fail":
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no way")
    return b"echo:" + request


def items(request, _context):
    for i in range(int(request)):
        yield b"item%d" % i


def count(messages, _context):
    return b"%d" % sum(len(m) for m in messages)


def both(messages, _context):
    yield from messages


def endless(_request, context):
    context.add_callback(cancelled.set)
    while context.is_active():
        yield b"tick"
        time.sleep(0.01)


def was_cancelled(_request, _context):
    return b"%d" % cancelled.wait(9)


def left(_request, context):
    return b"%.0f" % context.time_remaining()


def hang(_request, context):
    while context.is_active():
        time.sleep(0.05)
    return b""


def serve(address):
    one_one, one_many = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    methods = {"Unary": one_one(unary, same, same), "Left": one_one(left, same, same), "Hang": one_one(hang, same, same),
               "Cancelled": one_one(was_cancelled, same, same), "Items": one_many(items, same, same),
               "Endless": one_many(endless, same, same),
               "Count": grpc.stream_unary_rpc_method_handler(count, same, same),
               "Both": grpc.stream_stream_rpc_method_handler(both, same, same)}
    server = grpc.server(futures.ThreadPoolExecutor(32))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.S", methods),))
    server.add_insecure_port(address)
    server.start()
    server.wait_for_termination()


def connect(target, ca=None):
    options = [("grpc.default_authority", "a.test")]
    if not ca:
        return grpc.insecure_channel(target, options=options)
    with open(ca, "rb") as f:
        trust = grpc.ssl_channel_credentials(f.read())
    return grpc.secure_channel(target, trust, options=options + [("grpc.ssl_target_name_override", "a.test")])


def code_of(fn, *args, **more):
    try:
        fn(*args, **more)
    except grpc.RpcError as e:
        return e.code()
    return None


def patient(fn, *args, **more):
    """The server may still be starting."""
    end = time.monotonic() + 20
    while True:
        try:
            return fn(*args, **more)
        except grpc.RpcError as e:
            if e.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() > end:
                raise
            time.sleep(0.05)


def call(channel):
    def method(kind, name):
        return getattr(channel, kind)("/t.S/" + name, same, same)

    one = method("unary_unary", "Unary")
    answer, info = patient(one.with_call, b"hi", timeout=10)
    assert answer == b"echo:hi" and ("x-trailer", "t") in [tuple(m) for m in info.trailing_metadata()]
    assert code_of(one, b"fail", timeout=10) == grpc.StatusCode.FAILED_PRECONDITION
    big = b"x" * 3000000
    assert one(big, timeout=20) == b"echo:" + big
    got = list(method("unary_stream", "Items")(b"1000", timeout=20))
    assert got == [b"item%d" % i for i in range(1000)]
    assert method("stream_unary", "Count")(iter([b"x" * 10000] * 100), timeout=20) == b"1000000"

    sent = queue.Queue()
    back = method("stream_stream", "Both")(iter(sent.get, None), timeout=20)
    for i in range(20):  # each comes back before the next goes out
        sent.put(b"%d" % i)
        assert next(back) == b"%d" % i
    sent.put(None)
    assert list(back) == []

    left_s = int(method("unary_unary", "Left")(b"", timeout=100))
    assert 60 < left_s <= 110, left_s  # grpc-core rounds what it sends up
    assert code_of(method("unary_unary", "Hang"), b"", timeout=0.5) == grpc.StatusCode.DEADLINE_EXCEEDED
    assert code_of(method("unary_unary", "None"), b"", timeout=10) == grpc.StatusCode.UNIMPLEMENTED
    endless = method("unary_stream", "Endless")(b"", timeout=20)
    assert next(endless) == b"tick"
    endless.cancel()
    assert method("unary_unary", "Cancelled")(b"", timeout=10) == b"1"


if sys.argv[1] == "serve":
    serve(sys.argv[2])
elif sys.argv[1] == "call":
    call(connect(*sys.argv[2:]))
else:
    print(code_of(connect(sys.argv[2]).unary_unary("/t.S/" + sys.argv[3], same, same), b"", timeout=10).name)
