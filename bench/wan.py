"""The WAN router of the lab (docs/netlab.md): how much it carries, what a packet costs it, how exact its delays are.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "netlab"))

from netlab import Lab, probe  # noqa: E402

WORLD = "wan rtt={}ms\nhost a\nhost b\n"
STREAM_S = 4.0
PINGS = 200
CHUNK = bytes(1 << 20)


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def packets(lab):
    return sum(link["left"] for link in lab.stats()["links"].values())


def stream(lab):
    """Bytes over one TCP connection from a to b, and the seconds they took."""
    listener = lab.socket("b", kind=socket.SOCK_STREAM)
    listener.bind((str(lab.address("b")), 0))
    listener.listen()
    sender = lab.socket("a", kind=socket.SOCK_STREAM)
    sender.connect(listener.getsockname())
    receiver, _ = listener.accept()
    end = time.monotonic() + STREAM_S

    def send():
        while time.monotonic() < end:
            sender.sendall(CHUNK)
        sender.close()
    thread = threading.Thread(target=send)
    start, total, buffer = time.monotonic(), 0, bytearray(1 << 20)
    thread.start()
    while got := receiver.recv_into(buffer):
        total += got
    seconds = time.monotonic() - start
    thread.join()
    receiver.close(), listener.close()
    return total, seconds


def throughput(rtt_ms):
    with Lab.from_text(WORLD.format(rtt_ms)) as lab:
        cpu, count = cpu_s(lab.wan.process.pid), packets(lab)
        total, seconds = stream(lab)
        cpu, count = cpu_s(lab.wan.process.pid) - cpu, packets(lab) - count
        dropped = sum(link["memory"] + link["refused"] for link in lab.stats()["links"].values())
    return {"case": "wan throughput", "rtt_ms": rtt_ms, "tcp_mbit_s": round(total * 8 / seconds / 1e6), "packets": count,
            "cpu": round(cpu / seconds, 2), "cpu_us_per_packet": round(cpu / count * 1e6, 2), "dropped": dropped}


def accuracy(rtt_ms):
    """A datagram there and back again, both ends in this process."""
    with Lab.from_text(WORLD.format(rtt_ms)) as lab, probe.udp(lab, "a") as a, probe.udp(lab, "b") as b:
        target = (str(lab.address("b")), b.getsockname()[1])
        times = []
        for _ in range(PINGS // (1 + rtt_ms // 50)):
            start = time.perf_counter()
            a.sendto(b"ping", target)
            b.sendto(*b.recvfrom(100))
            a.recv(100)
            times.append((time.perf_counter() - start) * 1000)
    times.sort()
    return {"case": "wan delay", "rtt_ms": rtt_ms, "num": len(times), "least_ms": round(times[0], 3),
            "median_ms": round(times[len(times) // 2], 3), "p99_ms": round(times[len(times) * 99 // 100], 3)}


def cases():
    for rtt_ms in (0, 20, 100):
        yield throughput(rtt_ms)
    for rtt_ms in (0, 20, 100, 300):
        yield accuracy(rtt_ms)
