"""Debian's TURN server on loopback, with long-term credentials."""
import socket
import subprocess
import time

REALM = "example.org"
# coturn refuses UTF-8 with bytes 0x80 to 0x9f, which it takes for controls of Latin-1.
USERS = {"alice": "secret", "jörg": "grün"}


def free_port(address="127.0.0.1"):
    """A port of the address that is free for UDP and TCP."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for _ in range(50):
        with socket.socket(family, socket.SOCK_DGRAM) as udp, socket.socket(family) as tcp:
            udp.bind((address, 0))
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                continue
            return udp.getsockname()[1]
    raise AssertionError("no free port")


def is_up(port):
    with socket.socket() as tcp:
        return tcp.connect_ex(("127.0.0.1", port)) == 0


class Coturn:
    """turnserver on 127.0.0.1 `port`, and `tls_port` if it gets a certificate. It relays from loopback."""

    def __init__(self, place, *options, tls=None):
        self.place = place
        for _ in range(5):
            self.port = free_port()
            self.tls_port = free_port() if tls else None
            secure = [f"--tls-listening-port={self.tls_port}", f"--cert={tls[0]}", f"--pkey={tls[1]}"] if tls else ["--no-tls"]
            users = [word for user, password in USERS.items() for word in ("-u", f"{user}:{password}")]
            command = ["turnserver", "-n", "--no-cli", "--no-dtls", *secure, "-L", "127.0.0.1", "-p", str(self.port), "-a",
                       "-r", REALM, *users, "--allow-loopback-peers", "--pidfile", str(place / "pid"), "--log-file",
                       str(place / "log"), "--simple-log", "--verbose", "--db", str(place / "db"), "--relay-threads", "1", *options]
            with open(place / "out", "w", encoding="utf-8") as out:
                self.process = subprocess.Popen(command, stdout=out, stderr=out, cwd=place)
            deadline = time.monotonic() + 30
            while not self.is_ready() and self.process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            if self.process.poll() is None:
                break
        assert self.is_ready(), (place / "out").read_text(encoding="utf-8")

    def is_ready(self):
        return is_up(self.port) and (self.tls_port is None or is_up(self.tls_port))

    def log(self):
        return (self.place / "log").read_text(encoding="utf-8", errors="replace")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)
