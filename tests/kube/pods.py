#!/usr/bin/env python3
"""Plays the kubelet of one node whose pods are network namespaces: gives each pod bound to the node one of them, runs the model
server in it, and tells the API server. Must not know services.

  pods.py SERVER CA TOKEN NODE MODEL NETNS=ADDRESS[,ADDRESS]…

A pod is Ready when its server listens, unless its annotation sluice.test/ready is "false". A pod being deleted serves on for
its terminationGracePeriodSeconds, as one with a preStop hook would, and is gone then.
"""
import http.client
import json
import ssl
import subprocess
import sys
import time

PORT = 8080


class Api:
    """Requests on one connection, made anew when it breaks."""

    def __init__(self, server, ca, token):
        self.server, self.token = server, token
        self.tls = ssl.create_default_context(cafile=ca)
        self.link = None

    def ask(self, method, path, body=None, kind="application/json"):
        """(status, answer); status 0: no answer."""
        try:
            if not self.link:
                self.link = http.client.HTTPSConnection(self.server, 6443, timeout=5, context=self.tls)
            self.link.request(method, path, json.dumps(body) if body else None,
                              {"Authorization": "Bearer " + self.token, "Content-Type": kind})
            answer = self.link.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError):
            self.link = None
            return 0, {}


class Pod:
    """A namespace in use."""

    def __init__(self, netns, addresses, model, meta):
        self.netns, self.addresses, self.uid = netns, addresses, meta["uid"]
        self.ready = None  # as told
        self.end = None    # when it ends
        self.server = subprocess.Popen(["nsenter", "--net=/run/netns/" + netns, model, meta["name"], str(PORT)])

    def listens(self):
        with open(f"/proc/{self.server.pid}/net/tcp6", encoding="ascii") as six, \
                open(f"/proc/{self.server.pid}/net/tcp", encoding="ascii") as four:
            return any(line.split()[1].endswith(f":{PORT:04X}") for line in [*six, *four] if " 0A " in line)

    def stop(self):
        self.server.kill()
        self.server.wait()


def status(pod, spec, ready):
    """What a kubelet would say of it."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    word = "True" if ready else "False"
    return {"status": {
        "phase": "Running", "startTime": now, "podIP": pod.addresses[0], "hostIP": "192.0.2.1",
        "podIPs": [{"ip": address} for address in pod.addresses],
        "conditions": [{"type": name, "status": value, "lastTransitionTime": now} for name, value in
                       [("PodScheduled", "True"), ("Initialized", "True"), ("ContainersReady", word), ("Ready", word)]],
        "containerStatuses": [{"name": c["name"], "ready": ready, "started": True, "restartCount": 0, "image": c["image"],
                               "imageID": "", "state": {"running": {"startedAt": now}}} for c in spec["containers"]]}}


def main():
    server, ca, token, node, model, *given = sys.argv[1:]
    api = Api(server, ca, token)
    free = [(netns, addresses.split(",")) for netns, addresses in (word.split("=") for word in given)]
    pods = {}
    while True:
        code, answer = api.ask("GET", f"/api/v1/pods?fieldSelector=spec.nodeName%3D{node}")
        items = answer.get("items", []) if code == 200 else []
        for item in items:
            meta = item["metadata"]
            uid, path = meta["uid"], f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
            pod = pods.get(uid)
            if not pod and free and not meta.get("deletionTimestamp"):
                pod = pods[uid] = Pod(*free.pop(0), model, meta)
            if not pod:
                if meta.get("deletionTimestamp"):
                    api.ask("DELETE", path, {"gracePeriodSeconds": 0})
                continue
            if meta.get("deletionTimestamp"):
                pod.end = pod.end or time.monotonic() + item["spec"].get("terminationGracePeriodSeconds", 0)
                if time.monotonic() >= pod.end:
                    pod.stop()
                    api.ask("DELETE", path, {"gracePeriodSeconds": 0})
                    continue
            ready = meta.get("annotations", {}).get("sluice.test/ready") != "false" and pod.listens()
            if ready != pod.ready:
                code, _ = api.ask("PATCH", path + "/status", status(pod, item["spec"], ready),
                                  "application/strategic-merge-patch+json")
                pod.ready = ready if code == 200 else pod.ready
        if code == 200:
            for uid in set(pods) - {item["metadata"]["uid"] for item in items}:
                pod = pods.pop(uid)
                pod.stop()
                free.append((pod.netns, pod.addresses))
        time.sleep(0.05)


main()
