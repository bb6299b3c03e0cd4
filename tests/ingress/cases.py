# SPDX-License-Identifier: GPL-2.0-only
"""tests/data/ingress-cases.json against the running proxy: which Service a request reaches, and in which form."""

import base64

from harness import *

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "ingress-cases.json")


def origin_for(name, pod):
    """Says who it is, and what it got."""

    def handler(c):
        while r := c.request():
            c.answer(json.dumps({"service": name, "pod": pod, "target": r.target, "method": r.method,
                                 "headers": {n.lower(): v for n, v in r.fields}}))

    return handler


def backends(case):
    """(namespace, service) to the ports that are asked for, by number or name."""
    out = {}

    def add(namespace, backend):
        s = (backend or {}).get("service")
        if s:
            port = s.get("port", {})
            out.setdefault((namespace, s["name"]), set()).add(port.get("name") or port.get("number") or 80)

    for i in case["ingresses"]:
        namespace = i["metadata"].get("namespace", "default")
        add(namespace, i["spec"].get("defaultBackend"))
        for rule in i["spec"].get("rules") or []:
            for path in (rule.get("http") or {}).get("paths", []):
                add(namespace, path.get("backend"))
    return out


def service_objects(t, case):
    objects = []
    for (namespace, name), ports in backends(case).items():
        n = case.get("endpoints", {}).get(name, 1)
        origins = [t.origin(origin_for(name, i)) for i in range(n)]
        listed = []
        for port in sorted(ports, key=str):
            number = 8000 + len(listed) if isinstance(port, str) else port
            listed.append({"name": port if isinstance(port, str) else f"p{number}", "port": number, "protocol": "TCP"})
        objects.append({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
                        "spec": {"clusterIP": "10.96.0.10", "ports": listed}})
        for i, o in enumerate(origins):
            objects.append({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": f"{name}-{i}", "namespace": namespace,
                             "labels": {"kubernetes.io/service-name": name}},
                "endpoints": [{"addresses": [o.address], "conditions": {"ready": True}}],
                "ports": [{"name": p["name"], "port": o.port, "protocol": "TCP"} for p in listed],
            })
    return objects


_keys = {}


def certificate(names):
    """(certificate, key) in PEM, made once for these names."""
    if names not in _keys:
        folder = tempfile.mkdtemp(prefix="sluice-ingress-")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", f"/CN={names[0]}", "-addext", "subjectAltName=" + ",".join("DNS:" + n for n in names),
             "-keyout", folder + "/key", "-out", folder + "/crt"],
            check=True, capture_output=True)
        with open(folder + "/crt", "rb") as crt, open(folder + "/key", "rb") as key:
            _keys[names] = crt.read(), key.read()
        shutil.rmtree(folder)
    return _keys[names]


def secret_objects(case):
    objects = []
    for s in case.get("secrets", []):
        if "dns" in s:
            crt, key = certificate(tuple(s["dns"]))
            data, kind = {"tls.crt": crt, "tls.key": key}, "kubernetes.io/tls"
        else:
            lines = []
            for user, password in s["htpasswd"].items():
                done = subprocess.run(["openssl", "passwd", "-apr1", password], check=True, capture_output=True)
                lines.append(f"{user}:{done.stdout.decode().strip()}")
            data, kind = {"auth": "\n".join(lines).encode()}, "Opaque"
        objects.append({"apiVersion": "v1", "kind": "Secret", "type": kind,
                        "metadata": {"name": s["name"], "namespace": "default"},
                        "data": {n: base64.b64encode(v).decode() for n, v in data.items()}})
    return objects


def connect(t, proxy, request, https_port):
    sock = socket.socket()
    sock.settimeout(DEADLINE)
    if "source_ip" in request:
        sock.bind((request["source_ip"], 0))
    sock.connect(("127.0.0.1", https_port if "tls" in request else proxy.port))
    t.ends.append(sock.close)
    if "tls" not in request:
        return Stream(sock), None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sock = context.wrap_socket(sock, server_hostname=request["tls"]["sni"])
    return Stream(sock), sock.getpeercert(binary_form=True)


def send(c, request):
    body = b"x" * request.get("body_bytes", 0)
    head = f"{request['method']} {request['path']} HTTP/1.1\r\nHost: {request['host']}\r\nConnection: close\r\n"
    for name, value in request.get("headers", {}).items():
        head += f"{name}: {value}\r\n"
    if request.get("chunked"):
        head += "Transfer-Encoding: chunked\r\n"
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    elif body or request["method"] in ("POST", "PUT", "PATCH"):
        head += f"Content-Length: {len(body)}\r\n"
    c.send(head.encode() + b"\r\n" + body)
    return c.final(is_head=request["method"] == "HEAD")


def compare(case, request, expect, r, cert):
    what = (case["name"], request, r)
    equal(r.status, expect["status"], what)
    if "location" in expect:
        equal(r.get("location"), expect["location"], what)
    if "location_host" in expect:
        equal(re.match("https?://([^/]*)(.*)", r.get("location")).groups(),
              (expect["location_host"], expect["location_path"]), what)
    for name, value in expect.get("headers", {}).items():
        equal(r.get(name), value, what)
    if "sni_cert" in expect:
        names = next(tuple(s["dns"]) for s in case["secrets"] if s["name"] == expect["sni_cert"])
        equal(cert, ssl.PEM_cert_to_DER_cert(certificate(names)[0].decode()), what)
    if "service" not in expect:
        return None
    got = json.loads(r.body)
    equal(got["service"], expect["service"], what)
    if "upstream_path" in expect:
        equal(got["target"], expect["upstream_path"], what)
    if "upstream_method" in expect:
        equal(got["method"], expect["upstream_method"], what)
    for name, value in expect.get("upstream_headers", {}).items():
        equal(got["headers"].get(name), {"<client ip only>": "127.0.0.1", "<client ip>": "127.0.0.1"}.get(value, value),
              (name, what))
    return got["pod"]


def run_case(case):
    def run(t):
        https_port = free_port()
        objects = [{"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "test"},
                    "spec": {"controller": "sluice.dev/ingress"}}]
        objects += service_objects(t, case) + secret_objects(case) + case["ingresses"]
        http_port = free_port()
        p = t.proxy(objects, "--http-addr", f":{http_port}", "--https-addr", f":{https_port}", wait=False)
        p.port, p.address = http_port, "127.0.0.1"
        p.wait()
        for request, expect in zip(case["requests"], case["expect"]):
            pods = set()
            for _i in range(request.get("repeat", 1)):
                c, cert = connect(t, p, request, https_port)
                pods.add(compare(case, request, expect, send(c, request), cert))
            if "distinct_pods" in expect:
                equal(len(pods), expect["distinct_pods"], case["name"])

    return run


with open(DATA, encoding="utf-8") as _f:
    _cases = json.load(_f)["cases"]
if __name__ == "__main__":
    for _case in _cases:
        test(f"{_case['profile']}: {_case['name']}")(run_case(_case))
    main()
