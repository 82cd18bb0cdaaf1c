# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private registry (Debian's docker-registry) on loopback, container disks made from files, and pushing them, by plain HTTP.

    with Registry(tls=True, users={"alice": "s3cret"}) as r:
        r.push("vms/tiny", "v1", [layer([("disk/disk.img", data)])])
        r.host, r.ca, r.docker_config()

    registry.py DIR NAME:TAG FILE [--secure]        serves a container disk of FILE until it is ended; DIR/registry.json says where, and
                                                    what container-disk has to be told. --secure: TLS, and a user with a password"""
import base64
import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request

from waiting import until

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar(entries, **how):
    """entries: (name, bytes), or a ready TarInfo with its bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **how) as t:
        for name, data in entries:
            info = name
            if not isinstance(name, tarfile.TarInfo):
                info = tarfile.TarInfo(name)
                info.uid = info.gid = 107
                info.mode = 0o440
            if info.isreg():
                info.size = len(data)
            t.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return out.getvalue()


def pack(data, codec="gzip"):
    """(media type, bytes) of a layer."""
    if codec == "gzip":
        return LAYER + "+gzip", gzip.compress(data, 6, mtime=0)
    if codec == "zstd":
        return LAYER + "+zstd", subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout
    return LAYER, data


def layer(entries, codec="gzip", **how):
    return pack(tar(entries, **how), codec)


def manifest(layers):
    """The manifest of these layers, and its config's bytes."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    return json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
        "layers": [{"mediaType": t, "digest": digest(d), "size": len(d)} for t, d in layers],
    }).encode(), config


class Registry:
    def __init__(self, tls=False, users=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hvkit-registry-"))
        self.users, self.tls, self.process = users or {}, tls, None
        self.host = f"127.0.0.1:{free_port()}"
        self.ca = self.make_certificate() if tls else None

    def make_certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hvkit test",
                        "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", self.dir / "key.pem", "-out", self.dir / "cert.pem"],
                       check=True, capture_output=True)
        return (self.dir / "cert.pem").read_text()

    def config(self):
        http = {"addr": self.host}
        if self.tls:
            http["tls"] = {"certificate": str(self.dir / "cert.pem"), "key": str(self.dir / "key.pem")}
        c = {"version": 0.1, "log": {"level": "warn"}, "storage": {"filesystem": {"rootdirectory": str(self.dir / "data")}}, "http": http}
        if self.users:
            lines = [subprocess.run(["htpasswd", "-Bbn", u, p], check=True, capture_output=True, text=True).stdout.strip() for u, p in self.users.items()]
            (self.dir / "htpasswd").write_text("\n".join(lines) + "\n")
            c["auth"] = {"htpasswd": {"realm": "hvkit", "path": str(self.dir / "htpasswd")}}
        return c

    def __enter__(self):
        (self.dir / "config.yml").write_text(json.dumps(self.config()))
        with open(self.dir / "log", "wb") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", str(self.dir / "config.yml")], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT}))
        until("the registry", self.answers, 30)
        return self

    def __exit__(self, *exc):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError("the registry ended:\n" + (self.dir / "log").read_text())
        host, port = self.host.split(":")
        with socket.socket() as s:
            return s.connect_ex((host, int(port))) == 0

    def docker_config(self, user=None):
        user = user or next(iter(self.users))
        pair = base64.b64encode(f"{user}:{self.users[user]}".encode()).decode()
        return json.dumps({"auths": {self.host: {"auth": pair}}})

    # --- pushing ---

    def request(self, method, path, data=None, **headers):
        url = path if "://" in path else ("https://" if self.tls else "http://") + self.host + path
        r = urllib.request.Request(url, data=data, method=method, headers={k.replace("_", "-"): v for k, v in headers.items()})
        if self.users:
            user = next(iter(self.users))
            r.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{self.users[user]}".encode()).decode())
        context = ssl.create_default_context(cadata=self.ca) if self.tls else None
        with urllib.request.build_opener(urllib.request.ProxyHandler({}), *([urllib.request.HTTPSHandler(context=context)] if context else [])).open(r) as a:
            return a.status, dict(a.headers)

    def push_blob(self, name, data):
        try:
            self.request("HEAD", f"/v2/{name}/blobs/{digest(data)}")
            return
        except urllib.error.HTTPError:
            pass
        _, headers = self.request("POST", f"/v2/{name}/blobs/uploads/", b"")
        where = headers["Location"]
        self.request("PUT", where + ("&" if "?" in where else "?") + "digest=" + digest(data), data, Content_Type="application/octet-stream")

    def push_manifest(self, name, tag, text, kind=MANIFEST):
        self.request("PUT", f"/v2/{name}/manifests/{tag}", text, Content_Type=kind)
        return digest(text)

    def push(self, name, tag, layers):
        """Returns the image's digest."""
        text, config = manifest(layers)
        for data in [config] + [d for _, d in layers]:
            self.push_blob(name, data)
        return self.push_manifest(name, tag, text)

    def push_index(self, name, tag, platforms):
        """platforms: {"linux/amd64": layers}."""
        entries = []
        for platform, layers in platforms.items():
            text, config = manifest(layers)
            for data in [config] + [d for _, d in layers]:
                self.push_blob(name, data)
            self.push_manifest(name, digest(text), text)
            osname, arch = platform.split("/")
            entries.append({"mediaType": MANIFEST, "digest": digest(text), "size": len(text), "platform": {"os": osname, "architecture": arch}})
        return self.push_manifest(name, tag, json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode(), INDEX)


def main(where, image, path, secure):
    name, tag = image.split(":")
    with Registry(tls=secure, users={"hvkit": os.urandom(12).hex()} if secure else None) as r:
        r.push(name, tag, [layer([("disk/" + os.path.basename(path), pathlib.Path(path).read_bytes())])])
        where = pathlib.Path(where)
        config = {"plain_http": [r.host]}
        if secure:
            (where / "ca.pem").write_text(r.ca)
            (where / "config.json").write_text(r.docker_config())
            os.chmod(where / "config.json", 0o600)
            config = {"ca": str(where / "ca.pem"), "docker_config": str(where / "config.json")}
        (where / "registry.json.new").write_text(json.dumps({"host": r.host, "config": config}))
        os.rename(where / "registry.json.new", where / "registry.json")
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main(*sys.argv[1:4], "--secure" in sys.argv[4:])
