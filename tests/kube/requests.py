# SPDX-License-Identifier: GPL-2.0-only
"""requests.py ADDRESS…: asks each for /model on connections of their own until SIGTERM; says what became of them."""
import signal
import socket
import sys
import threading
import time

done = [0]
failures = []
stop = threading.Event()


def run(address):
    while not stop.is_set():
        try:
            with socket.create_connection((address, 80), timeout=60) as s:
                s.sendall(b"GET /model HTTP/1.1\r\nHost: x.test\r\nConnection: close\r\n\r\n")
                got = b""
                while True:
                    data = s.recv(65536)
                    if not data:
                        break
                    got += data
            if got.startswith(b"HTTP/1.1 200 ") and b"\r\n\r\nai-model-" in got:
                done[0] += 1
            else:
                failures.append(f"{address}: {got[:100]!r}")
        except OSError as e:
            failures.append(f"{address}: {e}")
        time.sleep(0.005)


signal.signal(signal.SIGTERM, lambda *_: stop.set())
threads = [threading.Thread(target=run, args=(a,), daemon=True) for a in sys.argv[1:] for _ in range(2)]
for t in threads:
    t.start()
while not stop.wait(0.2):
    print(f"done={done[0]} failed={len(failures)}", flush=True)
for t in threads:
    t.join(90)
print(f"end done={done[0]} failed={len(failures)} first={failures[:2]}", flush=True)
