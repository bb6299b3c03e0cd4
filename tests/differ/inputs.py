"""Inputs for readers of HTTP/1: written from a grammar with odd pieces, and mutations of those and of what the tree has.

An input is (flags, bytes); flags: 0 a connection's requests, RESPONSE an origin's answer, RESPONSE | HEAD one to HEAD.
"""
import glob
import json
import os
import re

RESPONSE, HEAD = 1, 2
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

METHODS = ["GET"] * 8 + ["POST"] * 6 + ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get", "G ET", "GET\t", "", "FOO",
                                      "CONNECT", "PRI", "G\x00T", "GE\x7fT", "QUERY", "SEARCH", "LOCK"]
TARGETS = ["/"] * 4 + ["/a/b?c=d", "/x?", "/%2e%2e/a", "//x", "/a//b", "http://a.test/x", "http://a.test", "http://a.test:80/x?y", "https://a.test/",
                     "http://A.TEST./x", "http://u:p@a.test/", "http://[::1]/x", "*", "x", "", "/a b", "/\x00", "/a\x7f", "/\xc3\xa9", "/a#b",
                     "/a\tb", "/%", "/%zz", "/%00", "/a\\b", "/a;b", "a.test:80", "/\x01", "/{x}", "/a|b", "/a^b`", "/\"<>", "/..", "/../x",
                     "http://", "http:///x", "ftp://a.test/x", "http://a.test:/x", "http://a.test:99999/"]
VERSIONS = ["HTTP/1.1"] * 14 + ["HTTP/1.0"] * 3 + ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.1 ", "HTTP/11", "HTTP/1.1x",
                                               "HTTP/1", "HTTP/01.1", "HTTP/1.01", "", "ICE/1.1", "HTTP/1,1"]
HOSTS = ["a.test"] * 8 + ["A.test", "a.test:80", "a.test:", "a.test.", "a.test:x", "[::1]", "[::1]:80", "", " ", "a.test,b.test", "a.test b", "u@a.test",
                        "a/b", "a.test:99999", "a\x00", "1.2.3.4", "-a.test", "a..b", "a_b.test", "a?b", "[::1", "::1", "a%20b", "*"]
NAMES = ["X", "X-Long-Name", "Accept", "Cookie", "Content-Type", "X_Y", "X Y", "X ", " X", "", "X:Y", "X\x00", "X\xe9", "X(", "Proxy-Connection",
         "Keep-Alive", "TE", "Trailer", "Upgrade", "HTTP2-Settings", "Pragma", "Content-Length", "Transfer-Encoding", "Host", "Expect",
         "transfer\x0bencoding", "Content-Length ", "Transfer-Encoding ", "Content_Length", "X\t", "!#$%&'*+-.^`|~9"]
VALUES = ["v", "a b", "", " ", "\tx\t", "a,b", "\xe9\x80", "\x00", "\x0b", "a\x0cb", "\x7f", "a\rb", "a\nb", "a\r\n b", "a\r\n\tb", "\"q\"", "x" * 300,
          "chunked", "5", "close", "trailers", "100-continue", "websocket", "no-cache", "a\x01b", "a\x1fb", ":", ": b", "  two  words  "]
LENGTHS = ["0", "1", "3", "3", "3", "5", "10", "+3", "-1", "3 ", " 3", "03", "3,3", "3, 3", "3,4", "0x3", "3a", "", "1e1", "3.0", "18446744073709551616",
           "9223372036854775808", "99999999999999999999", "3\t", "\x0b3", "３".encode().decode("latin-1"), "3\x00", "_3", "3_0"]
CODINGS = ["chunked"] * 8 + ["Chunked", "CHUNKED", " chunked ", "chunked ", "gzip, chunked", "chunked, gzip", "identity", "chunked, chunked", ",chunked",
                           "chunked,", "xchunked", "chunked;q=1", "\"chunked\"", "chunked\x0b", "\x0bchunked", "chun ked", "", "gzip", "chunked\x00",
                           "c\xa0hunked", "\xa0chunked", "identity, chunked", "chunked\r\n ", "trailers"]
CONNECTIONS = ["close", "keep-alive", "Close", "close, x", "x", "upgrade", "Upgrade, close", "host", "content-length", "transfer-encoding", "", ",", "a b",
               "keep-alive, close", "te", "TE, Trailer", "x-long-name"]
SIZES = ["3"] * 8 + ["0", "1", "a", "A", "03", "0003", "00000003", "0000000000000003", "00000000000000003", "3 ", " 3", "3\t", "0x3", "+3", "-3", "g", "",
                   "3;a", "3;a=b", "3;a=\"b\"", "3 ;a", "3; a", "3;a=\"\r\n\"", "3;", "3;\x00", "3;a\nb", "3;a\rb", "3\r", "ffffffffffffffff",
                   "fffffffffffffffff", "8000000000000000", "3,", "3_", "3;" + "e" * 300, "3;a\x01", "3\x0b", "3;a=\"b;c\"", "3;\xe9"]
ENDS = ["\r\n"] * 400 + ["\n", "\r", "\r\r\n", "\n\r", "", "\r\n\r\n", "\x0b", " \r\n", "\t\r\n", "\x85"]
STATUS = ["200"] * 8 + ["204", "304", "404", "500", "100", "103", "101", "199", "599", "600", "099", "20", "2000", "2x0", "", "+20", " 200", "205", "301"]
REASONS = ["OK", "", "Not Found", "\xe9t\xe9", "a\tb", "a\x00b", "\x01", "a\rb", " ", "no  thing"]
INTERESTING = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"\x0b", b"\x0c", b"\x7f", b"\x80", b"\xff", b"_", b"-", b"+", b"0",
               b"\r\n\r\n", b"\r\n ", b"chunked", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b.test\r\n", b"0\r\n\r\n", b"%", b"/"]


def odd(pick, usual, unusual, chance=.05):
    return pick.choice(unusual) if pick.random() < chance else usual


def chunks(pick):
    text = ""
    for _ in range(pick.randrange(4)):
        size = odd(pick, "3", SIZES, .12)
        found = re.match(r"0*([0-9a-fA-F]{1,2})", size)
        text += size + pick.choice(ENDS) + "abcdefghijklmnop"[:int(found[1], 16) if found else 3] + pick.choice(ENDS)
    text += odd(pick, "0", ["00", "0;x", "0 ", "000000", "", "-0", "0x0"]) + pick.choice(ENDS)
    for _ in range(pick.choice([0, 0, 0, 1, 2])):
        text += field(pick, pick.choice(NAMES + ["X-Trailer"] * 10), pick.choice(VALUES + ["t"] * 10))
    return text + pick.choice(ENDS)


def field(pick, name, value):
    return name + odd(pick, ": ", [":", " : ", ":\t", "", " ", ":  ", ":\x0b", ":\r\n "], .08) + value + pick.choice(ENDS)


def framing(pick, fields):
    """Appends what frames a body; the body."""
    how = pick.random()
    if how < .35:
        return ""
    if how < .6:
        length = odd(pick, "3", LENGTHS, .2)
        fields.append(("Content-Length", length))
        if pick.random() < .06:
            fields.append(("Content-Length", pick.choice(LENGTHS)))
        found = re.search(r"\d{1,2}", length)
        return "abcdefghijklmnopqrst"[:int(found[0]) if found else 3]
    fields.append(("Transfer-Encoding", odd(pick, "chunked", CODINGS, .15)))
    if pick.random() < .08:
        fields.append(pick.choice([("Transfer-Encoding", pick.choice(CODINGS)), ("Content-Length", pick.choice(LENGTHS))]))
    return chunks(pick)


def some_fields(pick, fields):
    for _ in range(pick.choice([0, 0, 1, 1, 2, 3, 5])):
        fields.append((odd(pick, pick.choice(["X", "X-Long-Name", "Accept", "Cookie", "Content-Type"]), NAMES, .1), odd(pick, "v", VALUES, .2)))
    if pick.random() < .2:
        fields.append(("Connection", pick.choice(CONNECTIONS)))


def request(pick):
    fields = []
    if pick.random() < .97:
        fields.append((odd(pick, "Host", ["host", "HOST", "Host ", "H\x00st"], .05), odd(pick, "a.test", HOSTS, .12)))
    if pick.random() < .03:
        fields.append(("Host", pick.choice(HOSTS)))
    some_fields(pick, fields)
    body = framing(pick, fields)
    if pick.random() < .3:
        pick.shuffle(fields)
    line = odd(pick, "GET" if not body else "POST", METHODS, .15) + odd(pick, " ", ["  ", "\t", "", "\x0b"], .03) + \
        odd(pick, "/x", TARGETS, .2) + odd(pick, " ", ["  ", "\t", "", "\x0c"], .03) + odd(pick, "HTTP/1.1", VERSIONS, .08)
    before = odd(pick, "", ["\r\n", "\n", " ", "\r\n\r\n", "\r"], .04)
    return (before + line + pick.choice(ENDS) + "".join(field(pick, *f) for f in fields) + pick.choice(ENDS) + body).encode("latin-1")


def answer(pick):
    fields = []
    some_fields(pick, fields)
    body = framing(pick, fields) or odd(pick, "until the end", [""], .5)
    line = odd(pick, "HTTP/1.1", VERSIONS, .15) + odd(pick, " ", ["  ", "\t", ""], .03) + odd(pick, "200", STATUS, .4) + \
        odd(pick, " ", ["", "  ", "\t"], .05) + odd(pick, "OK", REASONS, .2)
    return (line + pick.choice(ENDS) + "".join(field(pick, *f) for f in fields) + pick.choice(ENDS) + body).encode("latin-1")


def mutate(pick, data):
    data = bytearray(data)
    for _ in range(pick.choice([1, 1, 1, 2, 3])):
        at = pick.randrange(len(data) + 1)
        how = pick.random()
        if how < .4:
            data[at:at] = pick.choice(INTERESTING)
        elif how < .6:
            del data[at:at + pick.choice([1, 1, 2, 4])]
        elif how < .85:
            data[at:at + 1] = pick.choice(INTERESTING)
        elif data:
            start = pick.randrange(len(data))
            data[at:at] = data[start:start + pick.randrange(1, 40)]
    return bytes(data)


def of_cases(text):
    """\\xNN of the case file is a byte."""
    return re.sub(r"\\(\\|x([0-9a-fA-F]{2}))", lambda m: chr(int(m[2], 16)) if m[2] else "\\", text).encode("latin-1")


def kept():
    """Of the case file and of the fuzzers' corpora, as requests and as answers."""
    with open(TESTS + "/data/http-abuse.json", encoding="utf-8") as f:
        cases = json.load(f)["cases"]
    for case in cases:
        if isinstance(case.get("raw"), str):
            yield 0, of_cases(case["raw"])
        if isinstance(case.get("origin_raw"), str):
            yield RESPONSE, of_cases(case["origin_raw"])
            yield RESPONSE | HEAD, of_cases(case["origin_raw"])
    for path in sorted(glob.glob(TESTS + "/fuzz/corpus/http1_*/*")):
        with open(path, "rb") as f:
            data = f.read()
        if "/http1_chunk/" in path:
            yield 0, b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + data
            yield RESPONSE, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data
        else:
            yield 0, data
            yield RESPONSE, data


def generate(pick, count):
    known = list(kept())
    yield from known
    for i in range(count):
        kind = pick.random()
        if kind < .5:
            data = b"".join(request(pick) for _ in range(pick.choice([1, 1, 2, 3])))
            flags = 0
        elif kind < .8:
            data = b"".join(b"HTTP/1.1 103 Early\r\n\r\n" for _ in range(pick.choice([0] * 8 + [1]))) + answer(pick)
            flags = RESPONSE | (HEAD if pick.random() < .15 else 0)
        else:
            flags, data = pick.choice(known)
        if i % 3 == 0 or kind >= .8:
            data = mutate(pick, data)
        yield flags, data
