#!/usr/bin/env python3
"""Holds our reading of HTTP/1 to two others: llhttp (in Node) and Go's net/http. TAP.

    compare.py OURS GO LLHTTP.JS       COUNT=40000 inputs besides those of the tree, SEED=1

What we take, both must read as we do: method, target, host, fields, body, trailers. What we forward, both must take whole and read alike, so that
no two origins ever see different requests. A reader that refuses what we take is a difference too, unless refused_by() names why.
"""
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

import inputs

FAILURES_SHOWN = 12
# Fields of ours, or that a reader takes out of the list: framing is compared by the body, Host by itself.
LEFT_OUT = {"host", "transfer-encoding", "content-length", "trailer"}
# We drop these behind a body, where they would frame, route, or let somebody in (x-forwarded-* too).
NO_TRAILERS = {"connection", "keep-alive", "proxy-connection", "te", "upgrade", "http2-settings", "expect", "authorization", "cookie", "set-cookie",
               "content-encoding", "content-type", "content-range", "cache-control", "max-forwards", "proxy-authorization", "range"}
# A method that llhttp does not know is no method for it.
LLHTTP_METHODS = set("""DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND UNBIND ACL
    REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK UNLINK SOURCE""".split())
FRAMED = rb"(?i)content-length|transfer-encoding"
PARTS = ("method", "target", "host", "minor", "framing", "body", "fields", "trailers")


def batch(pairs):
    return b"".join(struct.pack("<II", flags, len(data)) + data for flags, data in pairs)


def unbatch(data):
    at, all_ = 0, []
    while at < len(data):
        flags, length = struct.unpack_from("<II", data, at)
        all_.append((flags, data[at + 8:at + 8 + length]))
        at += 8 + length
    return all_


def word(text):
    return "" if text == "-" else bytes.fromhex(text).decode("latin-1")


def field_list(text, left_out=frozenset()):
    """Sorted by name; values of one name stay in order."""
    got = []
    for pair in text.split(",") if text != "-" else []:
        name, value = map(word, pair.split("="))
        name = name.lower()
        if name not in left_out:
            got.append((name, value))
    got.sort(key=lambda f: f[0])
    return got


def kept_fields(fields, flags):
    """A request's names with '_' are dropped by us."""
    return fields if flags & inputs.RESPONSE else [f for f in fields if "_" not in f[0]]


def kept_trailers(fields):
    return [f for f in fields if "_" not in f[0] and f[0] not in NO_TRAILERS and not f[0].startswith("x-forwarded-")]


def host_of(target, host):
    """Of the target if that names one; without port and final dot."""
    scheme, found, rest = target.partition("://")
    if found and scheme.isalpha():
        host = rest.split("/")[0].split("?")[0]
    if host.startswith("["):
        host = host.split("]")[0] + "]"
    else:
        host = host.split(":")[0]
    return host.removesuffix(".").lower()


def message(text):
    method, target, host, minor, framing, body, fields, trailers, blank = text.split(" ")
    is_request = not method.startswith("=")
    method = word(method) if is_request else method
    target, host = word(target), word(host)
    fields = field_list(fields, LEFT_OUT)
    if ("pragma", "no-cache") in fields:  # Go adds the other
        fields = [f for f in fields if f != ("cache-control", "no-cache")]
    return (method, target, host_of(target, host) if is_request else "", minor, framing.lower(), word(body), fields,
            field_list(trailers, LEFT_OUT), blank == "blank")


def readings(command, data):
    out = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout.decode("ascii")
    return [[message(m) for m in line.split("\t")] if line else [] for line in out.split("\n")[:-1]]


class Comparison:
    def __init__(self, ours, go, llhttp):
        self.commands = {"go": [go], "llhttp": ["node", llhttp]}
        self.ours = ours
        pick = random.Random(int(os.environ.get("SEED", "1")))
        self.inputs = list(inputs.generate(pick, int(os.environ.get("COUNT", "40000"))))
        with tempfile.NamedTemporaryFile() as forwarded:
            self.read = readings([ours, forwarded.name], batch(self.inputs))
            self.forwarded = unbatch(forwarded.read())
        with tempfile.NamedTemporaryFile() as again:
            self.read_forwarded = readings([ours, again.name], batch(self.forwarded))
        self.number = 0

    def report(self, title, bad, counted):
        self.number += 1
        print(f"{'not ok' if bad else 'ok'} {self.number} - {title} ({counted})", flush=True)
        for line in bad[:FAILURES_SHOWN]:
            print("#", line)
        if len(bad) > FAILURES_SHOWN:
            print(f"# … and {len(bad) - FAILURES_SHOWN} more")
        return not bad

    def alike(self, name, pairs, ours, whole):
        """Messages that `name` reads otherwise; whole: it may not see more than we do either."""
        bad, count = [], 0
        theirs = readings(self.commands[name], batch(pairs))
        assert len(theirs) == len(ours) == len(pairs), f"{name}: {len(theirs)} readings of {len(pairs)} inputs"
        for (flags, data), mine, other in zip(pairs, ours, theirs):
            count += len(mine)
            for i, m in enumerate(mine):
                if name == "go" and m[-1]:
                    break  # an empty line before a request: RFC 9112 2.2 has it ignored, Go refuses; it is never forwarded
                if name == "llhttp" and not whole and m[0].startswith(("=1", "=204")) and re.search(FRAMED, data) \
                        and (i >= len(other) or other[i][5]):
                    break  # it reads a body behind 1xx, older ones behind 204, too; there is none (RFC 9110 6.4.1); we forward no framing there
                if i >= len(other):
                    if not refused_by(name, flags, m, data, whole):
                        bad.append(f"{data!r}: message {i + 1}: {name} refuses it")
                    break
                why = self.differs(flags, m, other[i], name)
                if why:
                    bad.append(f"{data!r}: message {i + 1}: {why}")
                    break
            else:
                if whole and len(other) > len(mine):
                    bad.append(f"{data!r}: {name} sees {len(other)} messages, not {len(mine)}: {other[len(mine)]}")
        return bad, count

    @staticmethod
    def differs(flags, mine, other, name):
        other = (*other[:6], kept_fields(other[6], flags), kept_trailers(other[7]))
        if flags & inputs.RESPONSE:  # framing: the body says it all; Connection: Go takes "close" out
            mine, other = ((*m[:4], "", m[5], [f for f in m[6] if f[0] != "connection"], m[7]) for m in (mine, other))
        for part, a, b in zip(PARTS, mine, other):
            if a != b:
                return f"{part}: ours {a!r}, {name} {b!r}"
        return None


# What a stricter reader refuses of inputs that we take; none of it is forwarded as it came.
STRICTER = [
    ("llhttp", rb"(?i)\r\n[0-9a-f]+;", "extensions of chunks, in which it has a grammar"),
    ("llhttp", rb"(?i)\r\n0+[^\r\n]*\r\n(?:[^\r\n]+\r\n)*?(?:content-length|transfer-encoding|(?:proxy-)?connection):",
     "what speaks of framing or the connection among the trailers"),
]


def refused_by(name, flags, mine, data, forwarded):
    """Why a reader refuses what we take, or None. It never sees another message then."""
    if name == "llhttp" and not flags & inputs.RESPONSE and mine[0] not in LLHTTP_METHODS:
        return "a method it does not know"
    for who, pattern, why in STRICTER:
        if who == name and not forwarded and re.search(pattern, data):
            return why
    return None


def main():
    c = Comparison(*sys.argv[1:])
    kinds = (("requests", lambda flags: not flags & inputs.RESPONSE), ("answers", lambda flags: flags & inputs.RESPONSE))
    print("1..10")
    fine = True
    for kind, wanted in kinds:
        at = [i for i, (flags, _) in enumerate(c.inputs) if wanted(flags)]
        took = sum(bool(c.read[i]) for i in at)
        fine &= c.report(f"{kind}: enough are taken and enough refused", [] if took > len(at) // 20 and took < len(at) * 19 // 20 else
                         [f"{took} of {len(at)}"], f"{took} of {len(at)} taken")
        same = [f"{c.inputs[i][1]!r}: {len(c.read[i])} messages are forwarded as {len(c.read_forwarded[i])}" for i in at
                if len(c.read[i]) != len(c.read_forwarded[i]) or any(
                    (a[0], a[5]) != (b[0], b[5]) for a, b in zip(c.read[i], c.read_forwarded[i]))]
        for name in c.commands:
            bad, count = c.alike(name, [c.inputs[i] for i in at], [c.read[i] for i in at], False)
            fine &= c.report(f"{kind}: what we take, {name} reads as we do", bad, f"{count} messages")
            bad, count = c.alike(name, [c.forwarded[i] for i in at], [c.read_forwarded[i] for i in at], True)
            fine &= c.report(f"{kind}: what we forward, {name} reads as we meant it", same + bad, f"{count} messages")
    sys.exit(not fine)


if __name__ == "__main__":
    main()
