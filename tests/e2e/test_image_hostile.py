# SPDX-License-Identifier: LGPL-2.1-or-later
"""Registries that lie, break off, ask for what they must not have, or send bombs: each ends in a clear error, no file, no temporary
file, and no credential at a second origin. The servers are scripted."""
import base64
import http.server
import json
import os
import sys
import tarfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from hvkitd import Daemon  # noqa: E402
from registry import INDEX, LAYER, MANIFEST, digest, layer, manifest, pack, tar  # noqa: E402
from rpc import RpcError  # noqa: E402

MIB = 1 << 20
DISK = bytes(range(256)) * 4096


class Server:
    """Answers what it is told to: `answer(handler)` gets every GET."""

    def __init__(self, answer):
        self.seen = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.seen.append((self.path, dict(self.headers)))
                answer(self)

            def log_message(self, *args):
                pass

            def reply(self, status, body=b"", length=None, **headers):
                self.send_response(status)
                for k, v in headers.items():
                    self.send_header(k.replace("_", "-"), v)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body)

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *args: None  # a client that goes away is what is tested here
        self.host = f"127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def close(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    def authorized(self):
        return [path for path, headers in self.seen if "Authorization" in headers]


class Image:
    """A registry of one image, to be bent."""

    def __init__(self, layers):
        self.text, self.config = manifest(layers)
        self.blobs = {digest(d): d for _, d in layers}
        self.kind = MANIFEST

    def answer(self, h):
        if "/manifests/" in h.path:
            self.manifest(h)
        else:
            self.blob(h, self.blobs[h.path.rsplit("/", 1)[1]])

    def manifest(self, h):
        h.reply(200, self.text, Content_Type=self.kind)

    def blob(self, h, data):
        h.reply(200, data)


def info(name, kind=tarfile.REGTYPE, link=""):
    i = tarfile.TarInfo(name)
    i.type, i.linkname = kind, link
    return i


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon(manifests={"container-disk": {"name": "container-disk", "plugin": "container-disk.so"},
                                  "disk-qcow2": {"name": "disk-qcow2", "plugin": "disk-qcow2.so"}})
        cls.d.start()

    @classmethod
    def tearDownClass(cls):
        cls.d.cleanup()

    def server(self, answer):
        s = Server(answer)
        self.addCleanup(s.close)
        return s

    def pull(self, server, name="vms/t:v1", timeout=90, **args):
        return self.d.rpc().call("container-disk.pull", {"image": f"{server.host}/{name}", "plain_http": True, **args}, timeout=timeout)

    def refused(self, server, code, text, **args):
        with self.assertRaises(RpcError) as e:
            self.pull(server, **args)
        self.assertEqual(e.exception.code, code, e.exception.message)
        self.assertIn(text, e.exception.message)
        self.assertIn("vms/t:v1", e.exception.message, "it does not say which image")
        self.nothing_left()

    def nothing_left(self):
        self.assertEqual(os.listdir(self.d.state / "container-disk/images"), [])
        self.assertEqual(self.d.rpc().call("container-disk.list")["items"], [])

    def remove_all(self):
        for i in self.d.rpc().call("container-disk.list")["items"]:
            self.d.rpc().call("container-disk.remove", {"image": i["image"]})

    # --- what is in the layers ---

    def test_layers(self):
        disk = ("disk/disk.img", DISK)
        sparse = info("disk/disk.img", tarfile.GNUTYPE_SPARSE)
        cases = {
            "absolute": ([layer([("/disk/disk.img", DISK)])], "FAILED_PRECONDITION", "absolute"),
            "dotdot": ([layer([("disk/../../etc/passwd", b"x"), disk])], "FAILED_PRECONDITION", "'..'"),
            "twice": ([layer([disk, disk])], "FAILED_PRECONDITION", "twice"),
            "two disks": ([layer([disk, ("disk/b.img", b"x")])], "FAILED_PRECONDITION", "two disks"),
            "two disks, two layers": ([layer([("disk/b.img", b"x")]), layer([disk])], "FAILED_PRECONDITION", "two disks"),
            "symlink": ([layer([(info("disk/disk.img", tarfile.SYMTYPE, "/etc/shadow"), b"")])], "FAILED_PRECONDITION", "link"),
            "hard link": ([layer([("x", DISK), (info("disk/disk.img", tarfile.LNKTYPE, "x"), b"")])], "FAILED_PRECONDITION", "link"),
            "directory is a link": ([layer([(info("disk", tarfile.SYMTYPE, "/etc"), b""), disk])], "FAILED_PRECONDITION", "no directory"),
            "device": ([layer([(info("disk/disk.img", tarfile.BLKTYPE), b"")])], "FAILED_PRECONDITION", "no regular file"),
            "sparse": ([layer([(sparse, b"")])], "UNIMPLEMENTED", "sparse"),
            "no disk": ([layer([("etc/passwd", b"x")])], "NOT_FOUND", "no disk"),
            "empty disk": ([layer([("disk/disk.img", b"")])], "FAILED_PRECONDITION", "empty"),
            "no layers": ([], "NOT_FOUND", "no layers"),
            "no tar": ([pack(DISK)], "DATA_LOSS", "no tar"),
            "empty layer": ([pack(b"")], "DATA_LOSS", "empty"),
            "cut tar": ([pack(tar([disk])[:5000])], "DATA_LOSS", "middle of a file"),
            "cut gzip": ([(LAYER + "+gzip", pack(tar([disk]))[1][:-9])], "DATA_LOSS", "too early"),
            "no gzip": ([(LAYER + "+gzip", DISK)], "DATA_LOSS", "damaged"),
            "no zstd": ([(LAYER + "+zstd", DISK)], "DATA_LOSS", "damaged"),
            "wrong checksum": ([pack(tar([disk]).replace(b"0000440", b"0000777", 1))], "DATA_LOSS", "begin with a header"),
            "unknown type": ([("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", pack(tar([disk]))[1])], "UNIMPLEMENTED", "nondistributable"),
        }
        for name, (layers, code, text) in cases.items():
            with self.subTest(name):
                self.refused(self.server(Image(layers).answer), code, text)

    def test_bombs(self):
        """Data, not holes: those are what a disk is made of."""
        data = b"A" * (256 * MIB)
        for codec in ("gzip", "zstd"):
            with self.subTest(codec):
                self.refused(self.server(Image([layer([("disk/disk.img", data)], codec)]).answer), "FAILED_PRECONDITION", "times its size")
        with self.subTest("beside the disk"):
            self.refused(self.server(Image([layer([("etc/x", data), ("disk/disk.img", DISK)])]).answer), "FAILED_PRECONDITION", "times its size")
        with self.subTest("holes are not"):
            self.pull(self.server(Image([layer([("disk/disk.img", bytes(256 * MIB))])]).answer))
            self.remove_all()

    # --- manifests ---

    def test_manifests(self):
        good = json.loads(manifest([layer([("disk/a", DISK)])])[0])
        cases = {
            "no JSON": (b"<html>", "DATA_LOSS", "not JSON"),
            "deep": (b'{"layers":' + b"[" * 3000, "DATA_LOSS", "not JSON"),
            "both": (json.dumps({**good, "manifests": []}).encode(), "DATA_LOSS", "both"),
            "neither": (b'{"schemaVersion":2}', "DATA_LOSS", "neither"),
            "schema 1": (b'{"schemaVersion":1,"fsLayers":[]}', "UNIMPLEMENTED", "schema 1"),
            "no digest": (json.dumps({**good, "layers": [{**good["layers"][0], "digest": "sha256:../../x"}]}).encode(), "DATA_LOSS", "no digest"),
            "no size": (json.dumps({**good, "layers": [{**good["layers"][0], "size": -1}]}).encode(), "DATA_LOSS", "no size"),
            "enormous": (json.dumps({**good, "layers": [{**good["layers"][0], "size": 1 << 60}]}).encode(), "RESOURCE_EXHAUSTED", "limit"),
            "many layers": (json.dumps({**good, "layers": good["layers"] * 200}).encode(), "RESOURCE_EXHAUSTED", "200 layers"),
            "long": (b'{"a":"' + b"x" * (5 * MIB) + b'"}', "RESOURCE_EXHAUSTED", "longer than"),
            "twice the same key": (b'{"layers":[],"layers":[]}', "DATA_LOSS", "not JSON"),
        }
        for name, (text, code, what) in cases.items():
            with self.subTest(name):
                image = Image([])
                image.text = text
                self.refused(self.server(image.answer), code, what)

    def test_index_in_index(self):
        image = Image([layer([("disk/a", DISK)])])
        entry = {"mediaType": INDEX, "platform": {"os": "linux", "architecture": "amd64"}}
        inner = json.dumps({"schemaVersion": 2, "manifests": [{**entry, "digest": digest(image.text), "size": len(image.text)}]}).encode()
        outer = json.dumps({"schemaVersion": 2, "manifests": [{**entry, "digest": digest(inner), "size": len(inner)}]}).encode()

        def answer(h):
            h.reply(200, inner if digest(inner) in h.path else outer)

        self.refused(self.server(answer), "UNIMPLEMENTED", "another index")

    def test_digests(self):
        other = Image([layer([("disk/a", DISK[::-1])])])
        for name, bend, text in (
            ("a blob of another digest", lambda i: setattr(i, "blob", lambda h, data: h.reply(200, data[:-1] + bytes([data[-1] ^ 1]))), "should have"),
            ("a manifest of another digest", lambda i: setattr(i, "manifest", lambda h: h.reply(200, other.text, Docker_Content_Digest=digest(i.text))), "should have"),
        ):
            with self.subTest(name):
                image = Image([(LAYER, tar([("disk/a", DISK)]))])
                bend(image)
                self.refused(self.server(image.answer), "DATA_LOSS", text)
        with self.subTest("a reference's digest"):
            image = Image([layer([("disk/a", DISK)])])
            s = self.server(image.answer)
            with self.assertRaises(RpcError) as e:
                self.pull(s, name="vms/t@" + digest(b"another"))
            self.assertEqual(e.exception.code, "DATA_LOSS")

    # --- connections ---

    def test_cut(self):
        """At every interesting byte; each time it goes on from there, and none comes twice."""
        plain = tar([("disk/disk.img", DISK)])
        for codec in ("plain", "gzip"):
            kind, data = pack(plain, codec)
            for at in (0, 1, 511, 512, 513, 1024, len(data) // 2, len(data) - 1):
                with self.subTest(f"{codec} at {at}"):
                    image, ranges = Image([(kind, data)]), []

                    def blob(h, data, at=at, ranges=ranges):
                        first = int(h.headers.get("Range", "bytes=0-")[6:-1])
                        ranges.append(first)
                        part = data[first:] if len(ranges) > 1 else data[:at]
                        more = {"Content_Range": f"bytes {first}-{len(data) - 1}/{len(data)}"} if first else {}
                        h.reply(206 if first else 200, part, length=len(data) - first, **more)
                        if len(ranges) == 1:
                            h.close_connection = True
                            h.connection.close()

                    image.blob = blob
                    got = self.pull(self.server(image.answer))
                    with open(got["path"], "rb") as f:
                        self.assertEqual(f.read(), DISK)
                    self.assertEqual(ranges, [0, at])
                    self.remove_all()

    def test_no_ranges(self):
        """A server that begins anew each time is read past what is here."""
        image, times = Image([(LAYER, tar([("disk/disk.img", DISK)]))]), []

        def blob(h, data):
            times.append(1)
            h.reply(200, data if len(times) > 1 else data[:100000], length=len(data))
            h.connection.close() if len(times) == 1 else None
            h.close_connection = True

        image.blob = blob
        got = self.pull(self.server(image.answer))
        with open(got["path"], "rb") as f:
            self.assertEqual(f.read(), DISK)
        self.remove_all()

    def test_lengths(self):
        data = tar([("disk/disk.img", DISK)])

        def with_blob(blob):
            image = Image([(LAYER, data)])
            image.blob = blob
            return self.server(image.answer)

        def short(h, data):
            h.reply(200, data[:1000])

        def longer(h, data):
            h.reply(200, data + b"x")

        def endless(h, data):
            h.send_response(200)
            h.send_header("Transfer-Encoding", "chunked")
            h.end_headers()
            try:
                while True:
                    h.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")
            except OSError:
                h.close_connection = True

        def dead(h, data):
            h.reply(200, data[:1000], length=len(data))
            h.close_connection = True
            h.connection.close()

        self.refused(with_blob(short), "DATA_LOSS", "bytes come")
        self.refused(with_blob(longer), "DATA_LOSS", "bytes come")
        self.refused(with_blob(endless), "DATA_LOSS", "more than the")
        self.refused(with_blob(dead), "UNAVAILABLE", "of")

    def test_other_part(self):
        image = Image([(LAYER, tar([("disk/disk.img", DISK)]))])

        def blob(h, data):
            if "Range" in h.headers:
                h.reply(206, data[5:], Content_Range=f"bytes 5-{len(data) - 1}/{len(data)}")
            else:
                h.reply(200, data[:1000], length=len(data))
                h.connection.close()
            h.close_connection = True

        image.blob = blob
        self.refused(self.server(image.answer), "DATA_LOSS", "another part")

    def test_statuses(self):
        for status, code in ((500, "UNAVAILABLE"), (503, "UNAVAILABLE"), (429, "UNAVAILABLE"), (404, "NOT_FOUND"), (403, "PERMISSION_DENIED"), (418, "FAILED_PRECONDITION")):
            with self.subTest(status):
                s = self.server(lambda h, status=status: h.reply(status, b"no"))
                self.refused(s, code, str(status) if code != "NOT_FOUND" else "404")
                self.assertEqual(len(s.seen), 4 if code == "UNAVAILABLE" else 1)
        with self.subTest("one that comes to itself"):
            image, times = Image([layer([("disk/a", DISK)])]), []
            s = self.server(lambda h: (times.append(1), image.answer(h) if len(times) > 2 else h.reply(502))[1])
            self.pull(s)
            self.remove_all()
        with self.subTest("long headers"):
            self.refused(self.server(lambda h: h.reply(200, b"{}", X="x" * 60000)), "RESOURCE_EXHAUSTED", "headers")

    # --- credentials ---

    def config(self, server):
        return json.dumps({"auths": {server.host: {"auth": base64.b64encode(b"alice:s3cret").decode()}}})

    def test_redirects(self):
        image = Image([layer([("disk/a", DISK)])])
        other = self.server(image.answer)

        def basic(h, then):
            if "Authorization" in h.headers:
                then(h)
            else:
                h.reply(401, WWW_Authenticate='Basic realm="x"')

        away = self.server(lambda h: basic(h, lambda h: h.reply(307, Location=f"http://{other.host}{h.path}") if "/blobs/" in h.path else image.answer(h)))
        self.pull(away, docker_config=self.config(away))
        self.assertEqual(other.authorized(), [], "the credentials went to a second origin")
        self.assertNotEqual(away.authorized(), [])
        self.remove_all()
        for name, location, text in (
            ("loop", "/v2/vms/t/manifests/v1", "again and again"),
            ("file", "file:///etc/passwd", "not https"),
            ("credentials", "http://a:b@127.0.0.1/", "credentials in it"),
            ("link-local", "http://169.254.169.254/latest", "link-local"),
        ):
            with self.subTest(name):
                code = "PERMISSION_DENIED" if name == "link-local" else "FAILED_PRECONDITION"
                self.refused(self.server(lambda h, location=location: h.reply(302, Location=location)), code, text)

    def test_tokens(self):
        image = Image([layer([("disk/a", DISK)])])

        def registry(realm):
            def answer(h):
                if h.headers.get("Authorization") == "Bearer t0ken":
                    image.answer(h)
                elif h.path.startswith("/token"):
                    h.reply(200, b'{"token":"t0ken"}')
                else:
                    h.reply(401, WWW_Authenticate=f'Bearer realm="{realm(h)}",service="r",scope="repository:vms/t:pull"')
            return answer

        own = self.server(registry(lambda h: f"http://{h.headers['Host']}/token"))
        self.pull(own, docker_config=self.config(own))
        self.remove_all()
        self.assertTrue(any(p.startswith("/token?service=r&scope=repository%3Avms%2Ft%3Apull") for p, _ in own.seen), own.seen)

        thief = self.server(lambda h: h.reply(200, b'{"token":"t0ken"}'))
        s = self.server(registry(lambda h: f"http://{thief.host}/token"))
        self.refused(s, "PERMISSION_DENIED", "another origin", docker_config=self.config(s))
        self.assertEqual(thief.seen, [])
        with self.subTest("without credentials there is nothing to steal"):
            self.pull(s)
            self.assertEqual(thief.authorized(), [])
            self.remove_all()

        again = self.server(lambda h: h.reply(200, b'{"token":"x"}') if h.path.startswith("/token") else
                            h.reply(401, WWW_Authenticate=f'Bearer realm="http://{h.headers["Host"]}/token",service="r"'))
        self.refused(again, "PERMISSION_DENIED", "401")
        for name, header, code in (("unknown", "Negotiate abc", "UNIMPLEMENTED"), ("malformed", 'Bearer realm="x', "UNIMPLEMENTED"), ("no realm", "Bearer", "UNIMPLEMENTED")):
            with self.subTest(name):
                self.refused(self.server(lambda h, header=header: h.reply(401, WWW_Authenticate=header)), code, "known")
        for name, body, text in (("no token", b"{}", "no token"), ("no JSON", b"x", "no token"), ("long", b'{"token":"' + b"x" * 100000 + b'"}', "longer")):
            with self.subTest(name):
                s = self.server(lambda h, body=body: h.reply(200, body) if h.path.startswith("/token") else
                                h.reply(401, WWW_Authenticate=f'Bearer realm="http://{h.headers["Host"]}/token"'))
                self.refused(s, "RESOURCE_EXHAUSTED" if name == "long" else "UNAVAILABLE", text)

    def test_docker_config(self):
        image = Image([layer([("disk/a", DISK)])])
        s = self.server(image.answer)
        for name, config, code, text in (
            ("no JSON", "x", "INVALID_ARGUMENT", "config.json"),
            ("no base64", json.dumps({"auths": {s.host: {"auth": "!"}}}), "INVALID_ARGUMENT", "base64"),
            ("helper", json.dumps({"credsStore": "pass", "auths": {s.host: {}}}), "UNIMPLEMENTED", "helper"),
            ("identity token", json.dumps({"auths": {s.host: {"identitytoken": "x"}}}), "UNIMPLEMENTED", "identity token"),
        ):
            with self.subTest(name):
                self.refused(s, code, text, docker_config=config)


if __name__ == "__main__":
    unittest.main()
