# SPDX-License-Identifier: GPL-2.0-only
"""A real browser through the proxy: a page over TLS, what it fetches, an event stream and a WebSocket. `make test-browser`."""

import base64
import hashlib
import threading

from harness import *
from tls import HOST, tls_proxy

PAGE = b"""<!doctype html><title>t</title><link rel=stylesheet href=/style.css><img src=/dot.svg><pre id=out></pre><script>
const say = (text) => { document.getElementById('out').textContent += text + '\\n'; };
(async () => {
  const big = await (await fetch('/big')).arrayBuffer();
  say('big ' + big.byteLength);
  const sent = await (await fetch('/echo', {method: 'POST', body: new Uint8Array(300000).fill(7)})).arrayBuffer();
  say('echo ' + sent.byteLength + ' ' + new Uint8Array(sent).every((b) => b === 7));
  const many = await Promise.all([...Array(40).keys()].map(async (i) => (await fetch('/echo?' + i, {method: 'POST', body: '' + i})).text()));
  say('many ' + many.every((text, i) => text === '' + i));
  say('protocol ' + performance.getEntriesByName(new URL('/big', location).href)[0].nextHopProtocol);
  await new Promise((done) => {
    const source = new EventSource('/events');
    let n = 0;
    source.onmessage = (e) => { fetch('/seen?' + e.data); if (++n === 10) { say('events ' + n); source.close(); done(); } };
    source.onerror = () => { say('event source failed after ' + n); done(); };
  });
  await new Promise((done) => {
    const ws = new WebSocket('wss://' + location.host + '/ws');
    ws.onopen = () => ws.send('hello');
    ws.onmessage = (e) => { say('websocket ' + e.data); ws.close(); done(); };
    ws.onerror = () => { say('websocket failed'); done(); };
  });
  say('style ' + getComputedStyle(document.getElementById('out')).color);
  await fetch('/done', {method: 'POST', body: document.getElementById('out').textContent});
})().catch((e) => fetch('/done', {method: 'POST', body: 'failed: ' + e + '\\n' + document.getElementById('out').textContent}));
</script>"""


class Site:
    def __init__(self):
        self.seen = threading.Semaphore(0)
        self.done, self.said = threading.Event(), ""

    def __call__(self, c):
        while r := c.request():
            path = r.target.split("?")[0]
            if path == "/events":
                c.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
                for i in range(10):
                    event = b"data: %d\n\n" % i
                    c.send(b"%x\r\n%s\r\n" % (len(event), event))
                    if not self.seen.acquire(timeout=DEADLINE):  # the page has it before the next is sent
                        return
                c.send(b"0\r\n\r\n")
            elif path == "/ws":
                self.websocket(c, r)
                return
            else:
                self.plain(c, r, path)

    def plain(self, c, r, path):
        pages = {"/": (PAGE, "text/html"), "/style.css": (b"#out { color: rgb(1, 2, 3) }", "text/css"), "/big": (bytes(2_000_000), "x/y"),
                 "/dot.svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "image/svg+xml"),
                 "/echo": (r.body, "x/y")}
        if path == "/seen":
            self.seen.release()
        if path == "/done":
            self.said = r.body.decode()
            self.done.set()
        body, kind = pages.get(path, (b"", "text/plain"))
        c.answer(body, fields=[("Content-Type", kind)])

    @staticmethod
    def websocket(c, r):
        """One text message back."""
        accept = base64.b64encode(hashlib.sha1(r.get("sec-websocket-key").encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        c.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        head = c.exactly(2)
        mask = c.exactly(4)
        text = bytes(b ^ mask[i % 4] for i, b in enumerate(c.exactly(head[1] & 127)))
        c.send(bytes([0x81, len(text)]) + text)
        c.rest()


@test("Chromium: a page and its parts over HTTP/2, uploads, an event stream, a WebSocket")
def _(t):
    site = Site()
    p, _ = tls_proxy(t, t.origin(site))
    browser = subprocess.Popen(
        ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--ignore-certificate-errors", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", f"--user-data-dir={t.folder}/browser",
         f"--host-resolver-rules=MAP {HOST} {p.address}", "--remote-debugging-port=0", f"https://{HOST}:{p.tls_port}/"],
        stdout=subprocess.DEVNULL, stderr=open(f"{t.folder}/browser.log", "w"), start_new_session=True)
    t.ends.append(lambda: (os.killpg(browser.pid, signal.SIGKILL), browser.wait()))
    if not site.done.wait(90):
        raise Failure("the page never finished: " + open(f"{t.folder}/browser.log").read()[-1500:])
    equal(site.said.splitlines(), ["big 2000000", "echo 300000 true", "many true", "protocol h2", "events 10", "websocket hello",
                                   "style rgb(1, 2, 3)"])


main()
