"""The three proxies: their configuration for one and the same route, how they are started, what they cost."""
import glob
import os
import socket
import subprocess
import time

ORIGINS = ("10.213.0.1:8080", "10.213.0.2:8080")  # addresses on the loopback of the measurement's own namespace
HOSTS = {"rsa": "rsa.test", "ec": "ec.test"}
HTTP, HTTPS = 8100, 8143
HTTP_STOCK = 8101  # haproxy without http-no-delay
BACKLOG = 4096
SUITE = "TLS_AES_256_GCM_SHA384"
READY_S = 20


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def make_certificates(folder):
    """rsa and ec: .crt, .key and both in one .pem."""
    kinds = {"rsa": ["-newkey", "rsa:2048"], "ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]}
    for kind, args in kinds.items():
        base = f"{folder}/{kind}"
        subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", f"/CN={HOSTS[kind]}", "-addext",
                        f"subjectAltName=DNS:{HOSTS[kind]}", *args, "-keyout", base + ".key", "-out", base + ".crt"],
                       check=True, capture_output=True)
        write(base + ".pem", read(base + ".crt") + read(base + ".key"))


class Engine:
    """A running proxy. cpu_ns() and pss_kib() count what serves requests."""

    def __init__(self, name, folder, cpus, workers=1, log=False, nice=0):
        self.name, self.folder, self.cpus, self.workers, self.log = name, folder, cpus, workers, log
        self.http = HTTP_STOCK if name == "haproxy-stock" else HTTP
        self.https = HTTPS
        os.makedirs(folder, exist_ok=True)
        kind = name.split("-")[0]
        command = {"sluice": self.sluice, "nginx": self.nginx, "haproxy": self.haproxy}[kind]()
        self.out = open(f"{folder}/out", "w", encoding="utf-8")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            ["nice", "-n", str(nice), "taskset", "-c", cpus, *command], stdout=self.out, stderr=subprocess.STDOUT)
        wait_port(self.http, self.process, f"{folder}/out")
        wait_port(self.https, self.process, f"{folder}/out")
        self.pids = [self.process.pid]
        if kind == "nginx":
            self.pids = self.children()

    def children(self):
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            got = read(f"/proc/{self.process.pid}/task/{self.process.pid}/children").split()
            if len(got) == self.workers:
                return [int(pid) for pid in got]
            time.sleep(.01)
        raise RuntimeError("nginx has no workers")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.out.close()

    def cpu_ns(self):
        return sum(self.thread_cpu_ns())

    def thread_cpu_ns(self):
        return [int(read(f).split()[0]) for pid in self.pids for f in sorted(glob.glob(f"/proc/{pid}/task/*/schedstat"))]

    def pss_kib(self):
        total = 0
        for pid in self.pids:
            for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total

    # ---- configurations

    def sluice(self):
        self.manifests(f"{self.folder}/manifests")
        return [os.environ["BUILD"] + "/sluice-proxy" + self.name.removeprefix("sluice"), "--source", f"dir:{self.folder}/manifests",
                "--watch-ingress-without-class", "--http-addr", f"0.0.0.0:{HTTP}", "--https-addr", f"0.0.0.0:{HTTPS}",
                "--metrics-addr", "127.0.0.1:8190", "--workers", str(self.workers),
                "--access-log", f"{self.folder}/access.log" if self.log else "off"]

    def manifests(self, folder, n_ingresses=0):
        os.makedirs(folder, exist_ok=True)
        write(f"{folder}/model.yaml", service_yaml() + ingress_yaml() + "".join(secret_yaml(self.folder, k) for k in HOSTS))
        if n_ingresses:
            write(f"{folder}/many.yaml", "".join(plain_yaml(i) for i in range(n_ingresses)))

    def nginx(self):
        servers = ""
        for kind, host in HOSTS.items():
            once = "" if servers else f" default_server backlog={BACKLOG}"  # nginx takes it in one place only
            servers += f"""
  server {{
    listen 0.0.0.0:{HTTP}{once}; listen 0.0.0.0:{HTTPS} ssl http2{once};
    server_name {host};
    ssl_certificate {self.folder}/{kind}.crt; ssl_certificate_key {self.folder}/{kind}.key;
    location ~* "^/model(/|$)(.*)" {{ rewrite "(?i)/model(/|$)(.*)" /$2 break; proxy_pass http://origins; }}
    location / {{ return 404; }}
  }}"""
        temporary = " ".join(f"{what}_temp_path {self.folder}/{what};"
                             for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        write(f"{self.folder}/nginx.conf", f"""
daemon off; worker_processes {self.workers}; pid {self.folder}/pid; error_log stderr crit; worker_rlimit_nofile 20000;
events {{ worker_connections 8192; }}
http {{
  access_log {self.folder + "/access.log" if self.log else "off"}; server_tokens off; {temporary}
  keepalive_requests 1000000000; client_max_body_size 0; http2_max_concurrent_streams 128;
  proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 3600s;
  upstream origins {{ server {ORIGINS[0]}; server {ORIGINS[1]}; keepalive 1200; keepalive_requests 1000000000; }}
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
  proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Request-ID $request_id;
  ssl_protocols TLSv1.2 TLSv1.3; ssl_conf_command Ciphersuites {SUITE};{servers}
}}
""")
        return ["nginx", "-p", self.folder, "-c", f"{self.folder}/nginx.conf"]

    def haproxy(self):
        sections = ""
        for name, binds, option in (("nodelay", [f"bind :{HTTP}", f"bind :{HTTPS} ssl crt {self.folder}/ec.pem crt "
                                                 f"{self.folder}/rsa.pem alpn h2,http/1.1"], "option http-no-delay"),
                                    ("stock", [f"bind :{HTTP_STOCK}"], "")):
            bind = "\n  ".join(f"{b} backlog {BACKLOG}" for b in binds)
            sections += f"""
frontend {name}
  {bind}
  {option}
  option forwardfor
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  unique-id-format %[uuid()]
  unique-id-header X-Request-ID
  acl known hdr(host),field(1,:) -i {" ".join(HOSTS.values())}
  acl model path_reg -i ^/model(/|$)
  http-request return status 404 unless known model
  http-request replace-path /model(/|$)(.*) /\\2
  default_backend {name}-origins
backend {name}-origins
  {option}
  balance roundrobin
  server a {ORIGINS[0]}
  server b {ORIGINS[1]}
"""
        write(f"{self.folder}/haproxy.cfg", f"""
global
  nbthread {self.workers}
  maxconn 8192
  ssl-default-bind-options ssl-min-ver TLSv1.2
  ssl-default-bind-ciphersuites {SUITE}
  {"log stdout format raw local0" if self.log else ""}
defaults
  mode http
  {"log global" if self.log else ""}
  {"option httplog" if self.log else ""}
  timeout connect 5s
  timeout client 3600s
  timeout server 3600s
  timeout http-keep-alive 75s
  timeout http-request 30s
  http-reuse always
{sections}""")
        return ["haproxy", "-db", "-f", f"{self.folder}/haproxy.cfg"]


def wait_port(port, process, out):
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), .5).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(.02)
    raise RuntimeError(f"nobody listens at port {port}: {read(out)[-2000:]}")


# ---- manifests

def document(kind, api, name, body):
    return f"---\napiVersion: {api}\nkind: {kind}\nmetadata: {{name: {name}, namespace: default%s}}\n{body}"


def service_yaml():
    text = document("Service", "v1", "model", "spec: {clusterIP: 10.96.213.1, ports: [{name: http, port: 80}]}\n") % ""
    for i, origin in enumerate(ORIGINS):
        address, port = origin.split(":")
        text += document("EndpointSlice", "discovery.k8s.io/v1", f"model-{i}",
                         f"addressType: IPv4\nports: [{{name: http, port: {port}, protocol: TCP}}]\n"
                         f"endpoints: [{{addresses: [{address}], conditions: {{ready: true}}}}]\n"
                         ) % ", labels: {kubernetes.io/service-name: model}"
    return text


def ingress_yaml():
    annotations = {"rewrite-target": "/$2", "ssl-redirect": "false", "proxy-body-size": "0"}
    text = ", ".join(f'nginx.ingress.kubernetes.io/{k}: "{v}"' for k, v in annotations.items())
    rules = "".join(f"""
  - host: {host}
    http: {{paths: [{{path: "/model(/|$)(.*)", pathType: ImplementationSpecific,
      backend: {{service: {{name: model, port: {{number: 80}}}}}}}}]}}""" for host in HOSTS.values())
    tls = ", ".join(f"{{hosts: [{host}], secretName: {kind}}}" for kind, host in HOSTS.items())
    return document("Ingress", "networking.k8s.io/v1", "model", f"spec:\n  tls: [{tls}]\n  rules:{rules}\n"
                    ) % f", annotations: {{{text}}}"


def secret_yaml(folder, kind):
    indent = {part: read(f"{folder}/{kind}.{part}").replace("\n", "\n    ") for part in ("crt", "key")}
    return document("Secret", "v1", kind, f"type: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    {indent['crt']}\n"
                    f"  tls.key: |\n    {indent['key']}\n") % ""


def plain_yaml(i):
    return document("Ingress", "networking.k8s.io/v1", f"i{i}", f"""spec:
  rules:
  - host: h{i % 1000}.test
    http: {{paths: [{{path: /p{i}, pathType: Prefix, backend: {{service: {{name: model, port: {{number: 80}}}}}}}}]}}
""") % ""
