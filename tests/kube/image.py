#!/usr/bin/env python3
"""Packs an image for `ctr images import`, since no registry can be reached in tests.

  image.py OUT.tar NAME [--root FOLDER] [--program FILE[=DEST]]… -- ENTRYPOINT…

The layer holds FOLDER's content, and each program with the libraries that it is linked with; DEST is /bin/NAME if not given.
"""
import argparse
import hashlib
import io
import json
import os
import re
import subprocess
import tarfile

OCI = "application/vnd.oci.image."


def libraries(program):
    """Paths of what the loader would load, itself included. A static program has none."""
    text = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"(/\S+) \(0x", text))


def add_file(layer, path, name):
    info = layer.gettarinfo(os.path.realpath(path), name.lstrip("/"))
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = "root"
    with open(path, "rb") as file:
        layer.addfile(info, file)


def add_folder(layer, name, mode=0o755):
    info = tarfile.TarInfo(name.lstrip("/"))
    info.type, info.mode = tarfile.DIRTYPE, mode
    layer.addfile(info)


def make_layer(root, programs):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as layer:
        for folder in ("bin", "tmp", "etc", "lib", "lib64", "usr", "usr/lib"):
            add_folder(layer, folder, 0o1777 if folder == "tmp" else 0o755)
        needed = {}
        for program in programs:
            path, _, dest = program.partition("=")
            needed[dest or "/bin/" + os.path.basename(path)] = path
        if root:
            for folder, _, files in os.walk(root):
                for file in files:
                    path = os.path.join(folder, file)
                    needed["/" + os.path.relpath(path, root)] = path
        for path in list(needed.values()):
            needed.update({library: library for library in libraries(path)})
        for name, path in sorted(needed.items()):
            add_file(layer, path, name)
    return out.getvalue()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("out")
    arguments.add_argument("name")
    arguments.add_argument("--root")
    arguments.add_argument("--program", action="append", default=[])
    arguments.add_argument("entry", nargs="+")
    given = arguments.parse_args()
    blobs = {}

    def blob(data):
        digest = hashlib.sha256(data).hexdigest()
        blobs["blobs/sha256/" + digest] = data
        return {"digest": "sha256:" + digest, "size": len(data)}

    layer = blob(make_layer(given.root, given.program))
    config = blob(json.dumps({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        "config": {"Entrypoint": given.entry, "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
    }).encode())
    manifest = blob(json.dumps({
        "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
        "config": {"mediaType": OCI + "config.v1+json", **config},
        "layers": [{"mediaType": OCI + "layer.v1.tar", **layer}],
    }).encode())
    index = {"schemaVersion": 2, "manifests": [{
        "mediaType": OCI + "manifest.v1+json", **manifest,
        "annotations": {"io.containerd.image.name": given.name, "org.opencontainers.image.ref.name": given.name}}]}
    with tarfile.open(given.out, "w") as tar:
        for name, data in [("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", json.dumps(index).encode()),
                           *blobs.items()]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


main()
