# SPDX-License-Identifier: GPL-2.0-only
"""Two origins with different strict parsers never see different requests: what the proxy sends is read by llhttp and by Go."""

import os
import random
import subprocess
import sys

from harness import *

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "differ"))
import compare  # noqa: E402
import inputs  # noqa: E402

COUNT = int(os.environ.get("COUNT", "3000"))


def recorder(sent):
    """A handler that answers every request, and keeps the bytes of the connection in `sent`."""

    def handler(c):
        raw = bytearray()
        sent.append(raw)
        read = c.more

        def more():
            before = len(c.buf)
            got = read()
            raw.extend(c.buf[before:])
            return got

        c.more = more
        c.answers, send = 0, c.answer

        def count(*what):
            c.answers += 1
            send(*what)

        c.answer = count
        while c.request():
            c.answer(b"ok")

    return handler


def readers():
    here = os.path.dirname(os.path.abspath(__file__))
    go, llhttp = subprocess.run([here + "/../differ/readers"], check=True, capture_output=True, text=True).stdout.split("\n")[:2]
    return {"go": [go], "llhttp": ["node", llhttp]}


@test("what is forwarded of hostile and generated requests: both read it alike, and nothing but that")
def _(t):
    sent = []
    o = t.origin(recorder(sent))
    p = t.proxy({"/": o}, "--client-half-close", "on", "--endpoint-idle-connections", "1")
    pick = random.Random(int(os.environ.get("SEED", "1")))
    data = [d for flags, d in inputs.generate(pick, COUNT) if not flags & inputs.RESPONSE]
    answered = 0
    for d in data:
        c = t.client(p)
        try:
            c.send(d)
            c.fin()
            answered += c.ended().startswith(b"HTTP/1.1 200")
        except OSError:
            pass  # refused and closed while it was still being sent
        c.close()
        t.ends.pop()
    until(lambda: all(c.over for c in o.connections[:-1]), "all connections to the origin but an idle one have ended")
    check(answered > COUNT // 20, f"only {answered} of {len(data)} requests were answered")
    pairs = [(0, bytes(raw)) for raw in sent]
    names = readers()
    read = {name: compare.readings(command, compare.batch(pairs)) for name, command in names.items()}
    seen = 0
    for (_, raw), a, b, c in zip(pairs, read["go"], read["llhttp"], o.connections):
        seen += len(a)
        if any(m[0] not in compare.LLHTTP_METHODS for m in a):
            continue  # no methods to llhttp: refused there, which is no other request
        equal(a, b, f"Go and llhttp on {raw!r}")
        equal(len(a), c.answers, f"requests that the origin answered, of {raw!r}")
    check(seen >= answered, f"{seen} requests were read, {answered} answered")


main()
