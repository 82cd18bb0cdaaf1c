# SPDX-License-Identifier: LGPL-2.1-or-later
"""Disks and images beside qemu-img and skopeo. What ours writes is synced when it answers, theirs is not."""
import json
import os
import random
import shutil
import subprocess
import time

import msgpack
from hvkitd import Daemon
from registry import Registry, layer
from rpc import Rpc

MIB = 1 << 20


def timed(fn):
    begun = time.perf_counter()
    fn()
    return time.perf_counter() - begun


def ratio_row(row, name, ours, theirs, ratio, peer, limit, ok):
    row(name, f"{ours * 1000:.0f} ms" if ours >= 0.01 else f"{ours * 1000:.2f} ms", f"{peer} {theirs * 1000:.0f} ms", ratio, limit, ok)


def sparse_disk(path, size, part):
    """Data in every fourth MiB, say."""
    r = random.Random(1)
    with open(path, "wb") as f:
        f.truncate(size)
        for at in range(0, size, MIB):
            if (at // MIB) % round(1 / part) == 0:
                f.seek(at)
                f.write(r.randbytes(MIB))


def convert(args, row, median_pairs):
    d = Daemon(plugins=["disk-raw", "disk-qcow2"])
    try:
        d.start()
        rpc, n = Rpc(d.socket, timeout=300), [0]
        raw, qcow2 = d.dir / "a.img", d.dir / "a.qcow2"
        sparse_disk(raw, 2048 * MIB, 0.25)
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2], check=True)

        def ours(method, source, kind):
            def run():
                out = d.dir / f"out{n[0]}"
                n[0] += 1
                t = timed(lambda: rpc.call(method, {"path": str(source), "target_path": str(out), "target_format": kind}, timeout=300))
                os.unlink(out)
                return t
            return run

        def theirs(from_, source, to):
            def run():
                out = d.dir / f"out{n[0]}"
                n[0] += 1
                # as durable as ours is
                t = timed(lambda: (subprocess.run(["qemu-img", "convert", "-f", from_, "-O", to, source, out], check=True), subprocess.run(["sync", out], check=True)))
                os.unlink(out)
                return t
            return run

        for name, mine, peer in (("raw -> qcow2", ours("disk-raw.convert", raw, "qcow2"), theirs("raw", raw, "qcow2")),
                                 ("qcow2 -> raw", ours("disk-qcow2.convert", qcow2, "raw"), theirs("qcow2", qcow2, "raw"))):
            a, b, r = median_pairs(mine, peer, args.rounds)
            ratio_row(row, f"convert {name}, 2 GiB, 25 % data", a, b, f"{1 / r:.2f} x as fast", "qemu-img + sync", ">= 1.0 x", 1 / r >= 1)
        # by a client in C: one in Python takes longer to ask than the daemon to answer
        payload = msgpack.packb({"path": str(qcow2)}).hex()
        command = [args.build / "tests/bench/bench_rpc", d.socket, "disk-qcow2.info", payload, "1", "1000", "-1"]
        a, b, r = median_pairs(lambda: json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["bus_p50_us"] / 1e6,
                               lambda: timed(lambda: subprocess.run(["qemu-img", "info", "-f", "qcow2", qcow2], check=True, capture_output=True)), args.rounds * 2)
        ratio_row(row, "info", a, b, f"{1 / r:.0f} x as fast", "qemu-img info", ">= 50 x", 1 / r >= 50)
    finally:
        d.cleanup()


def peak_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return int(next(line for line in f if line.startswith("VmHWM")).split()[1])


def pull(args, row, median_pairs):
    d = Daemon(plugins=["container-disk", "disk-qcow2"])
    disk = d.dir / "disk.img"
    sparse_disk(disk, 1024 * MIB, 0.5)  # 512 MiB that do not compress
    try:
        d.start()
        rpc = Rpc(d.socket, timeout=600)
        with Registry() as registry:
            registry.push("vms/big", "v1", [layer([("disk/disk.img", disk.read_bytes())])])
            image = f"{registry.host}/vms/big:v1"
            where = d.dir / "theirs"

            def ours():
                t = timed(lambda: rpc.call("container-disk.pull", {"image": image, "plain_http": True}, timeout=600))
                rpc.call("container-disk.remove", {"image": image})
                return t

            def theirs():
                def run():
                    subprocess.run(["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{image}", f"dir:{where}"], check=True)
                    manifest = json.loads((where / "manifest.json").read_text())
                    subprocess.run(["tar", "xf", where / manifest["layers"][0]["digest"].split(":")[1], "-C", where, "--sparse"], check=True)
                    subprocess.run(["qemu-img", "info", "-f", "raw", where / "disk/disk.img"], check=True, capture_output=True)
                t = timed(run)
                shutil.rmtree(where)
                return t

            small = peak_kib(d.pid)
            a, b, r = median_pairs(ours, theirs, args.rounds)
            ratio_row(row, "pull of a 512 MiB gzip layer, to a usable disk", a, b, f"{r:.2f} x", "skopeo copy, tar x, qemu-img info", "<= 0.6 x", r <= 0.6)
            grown = (peak_kib(d.pid) - small) / 1024
            row("pull, resident memory it adds at most", f"{grown:.1f} MiB", "-", "-", "<= 16 MiB", grown <= 16)
    finally:
        d.cleanup()
