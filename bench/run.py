#!/usr/bin/python3
"""`make bench`: every benchmark, one JSON line a case; the rival runs beside it where it is installed.

run.py [crypto|enrolment|forward|stun|ice|dtls|ring|links|wan|connect]...: only these.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import http.client
import json
import multiprocessing
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("TORC_BUILD_DIR", "build/release")
OVERLAY = "bench.torc.example"
NUM = int(os.environ.get("TORC_BENCH_NUM", "2000"))


def binary(name):
    for place in (BUILD, os.path.join(BUILD, "bench")):
        path = os.path.join(place, name)
        if os.path.exists(path):
            return path
    return None


def say(line):
    print(json.dumps(line) if isinstance(line, dict) else line.rstrip(), flush=True)


def run(*argv):
    result = subprocess.run(argv, capture_output=True, text=True, timeout=600)
    if result.returncode != 0:
        sys.exit("bench: %s: %s" % (argv[0], result.stderr.strip()))
    return result.stdout


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    sys.exit("bench: no " + what)


def memory(pid):
    with open("/proc/%d/status" % pid) as f:
        values = dict(line.split(":", 1) for line in f if ":" in line)
    with open("/proc/%d/smaps_rollup" % pid) as f:
        pss = next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    return {"rss_kb": int(values["VmRSS"].split()[0]), "anon_kb": int(values["RssAnon"].split()[0]), "pss_kb": pss}


class Ring:
    """An authority and `num` torcd processes on loopback."""

    def __init__(self, num, signature):
        self.dir = tempfile.mkdtemp(prefix="torc-bench-")
        self.authority = os.path.join(self.dir, "authority")
        self.daemons = []
        port = free_port()
        run(binary("torc-authority"), "init", self.authority, "--overlay", OVERLAY, "--signature", signature,
            "--bootstrap", "127.0.0.1:%d" % port, "--type", "0xF00001,note,dictionary,user-match,100,4096")
        for i in range(num):
            self.start(i, port if i == 0 else 0)
        wait_for("ring of %d" % num, self.is_whole)

    def issue(self, name):
        prefix = os.path.join(self.dir, name)
        run(binary("torc-authority"), "issue", self.authority, "--user", "%s@%s" % (name, OVERLAY), "--out", prefix)
        return prefix

    def start(self, i, port):
        prefix = self.issue("peer%d" % i)
        os.mkdir(prefix + ".state", 0o700)
        with open(prefix + ".conf", "w") as f:
            f.write("[overlay]\nfile = %s/overlay.xml\n[identity]\ncert = %s.crt\nkey = %s.key\n[node]\nrole = peer\n"
                    "listen = 127.0.0.1:%d\nstate-dir = %s.state\n[control]\nsocket = %s.sock\n[log]\nlevel = warn\n"
                    "file = %s.log\n" % (self.authority, prefix, prefix, port, prefix, prefix, prefix))
        self.daemons.append(subprocess.Popen([binary("torcd"), "--config", prefix + ".conf"]))

    def is_whole(self):
        want = min(3, len(self.daemons) - 1)
        for i in range(len(self.daemons)):
            r = subprocess.run([binary("torc"), "status", "--json", "--socket", "%s/peer%d.sock" % (self.dir, i)],
                               capture_output=True, text=True)
            if r.returncode != 0:
                return False
            status = json.loads(r.stdout)
            if status.get("state") != "joined" or len(status.get("successors", [])) < want:
                return False
        return True

    def pids(self):
        return [d.pid for d in self.daemons]

    def close(self):
        for d in self.daemons:
            d.terminate()
        for d in self.daemons:
            try:
                d.wait(10)
            except subprocess.TimeoutExpired:
                d.kill()
                d.wait()
        shutil.rmtree(self.dir)


def bench_ring(num, signature):
    label = "%d peers, %s" % (num, signature)
    ring = Ring(num, signature)
    try:
        idle = [memory(p) for p in ring.pids()]
        idle.sort(key=lambda m: m["rss_kb"])
        say(dict(case="memory", ring=label, **idle[len(idle) // 2]))
        prefix = ring.issue("bench")
        argv = [binary("bench_ring"), label, ring.authority + "/overlay.xml", prefix, "127.0.0.1:0", "bench@" + OVERLAY,
                str(NUM)] + [str(p) for p in ring.pids()]
        say(run(*argv))
    finally:
        ring.close()


def bench_links(signature="ecdsa", num=30):
    """What one more idle link costs: clients on one peer."""
    ring = Ring(1, signature)
    clients = []
    try:
        before = memory(ring.pids()[0])
        bootstrap = ring.pids()[0]
        for i in range(num):
            prefix = ring.issue("client%d" % i)
            with open(prefix + ".conf", "w") as f:
                f.write("[overlay]\nfile = %s/overlay.xml\n[identity]\ncert = %s.crt\nkey = %s.key\n[node]\nrole = client\n"
                        "[control]\nsocket = %s.sock\n[log]\nlevel = warn\nfile = %s.log\n"
                        % (ring.authority, prefix, prefix, prefix, prefix))
            clients.append(subprocess.Popen([binary("torcd"), "--config", prefix + ".conf"]))

        def linked():
            r = subprocess.run([binary("torc"), "status", "--json", "--socket", ring.dir + "/peer0.sock"],
                               capture_output=True, text=True)
            return r.returncode == 0 and json.loads(r.stdout).get("links", 0) >= num
        wait_for("%d links" % num, linked)
        after = memory(bootstrap)
        say({"case": "memory per idle link", "links": num, "kb": round((after["anon_kb"] - before["anon_kb"]) / num, 1)})
    finally:
        for c in clients:
            c.terminate()
        for c in clients:
            c.wait()
        ring.close()


def bench_opendht(num):
    program = binary("bench_opendht")
    if program is None:
        say({"case": "fetch", "rival": "opendht", "skipped": "libopendht-dev is not installed"})
        return
    ports = [free_port() for _ in range(num + 2)]
    nodes = []
    try:
        for port in ports[:num]:
            node = subprocess.Popen([program, "node", str(port), str(ports[0])], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True)
            node.stdout.readline()
            nodes.append(node)
        time.sleep(3)  # OpenDHT offers no way to ask whether its tables are full
        gets = str(min(NUM, 500))
        run(program, "put", str(ports[num]), str(ports[0]), gets)
        idle = sorted((memory(n.pid) for n in nodes), key=lambda m: m["rss_kb"])
        say(dict(case="memory", rival="opendht", ring="%d peers" % num, **idle[len(idle) // 2]))
        say(run(program, "client", str(ports[num + 1]), str(ports[0]), gets, "%d peers" % num,
                *[str(n.pid) for n in nodes]))
    finally:
        for n in nodes:
            n.stdin.close()
        for n in nodes:
            n.wait()


def enrol_all(port, ca, account, password, realm, requests, results):
    """One client on one connection: challenge and answer for each request."""
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=ssl.create_default_context(cafile=ca))
    path, done = "/p2psip/credential", 0

    def sha256(text):
        return hashlib.sha256(text.encode()).hexdigest()

    def post(body, headers):
        connection.request("POST", path, body, {"Content-Type": "application/pkcs10", **headers})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    for request in requests:
        challenge = post(b"", {})[1]["WWW-Authenticate"]
        nonce = re.search('nonce="([^"]+)"', challenge).group(1)
        answer = sha256(f"{sha256(f'{account}:{realm}:{password}')}:{nonce}:00000001:x:auth:{sha256('POST:' + path)}")
        header = (f'Digest username="{account}", realm="{realm}", nonce="{nonce}", uri="{path}", algorithm=SHA-256, '
                  f'qop=auth, nc=00000001, cnonce="x", response="{answer}"')
        done += post(request, {"Authorization": header})[0] == 200
    connection.close()
    results.put(done)


def cpu_of(pid):
    """Seconds of CPU of a process."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bench_enrolment(signature, num=400, clients=4):
    """The authority alone, then its service over HTTPS; the clients' share of the CPU is not the service's."""
    work = tempfile.mkdtemp(prefix="torc-bench-")
    authority, password = os.path.join(work, "authority"), "correct horse battery"
    service = None
    try:
        run(binary("torc-authority"), "init", authority, "--overlay", OVERLAY, "--signature", signature)
        with open(authority + "/torc-authority.conf", "w") as f:
            f.write("[https]\nlisten = 127.0.0.1:0\ncert = ../tls.crt\nkey = ../tls.key\n[policy]\ncertificates = 10000\n"
                    "[limits]\nrequests-per-minute = 1000000\nburst = 1000000\n")
        say(run(binary("bench_enrol"), authority))
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            work + "/tls.key", "-out", work + "/tls.crt", "-subj", "/CN=" + OVERLAY, "-addext", "subjectAltName=IP:127.0.0.1")
        lists = []
        for i in range(clients):
            user = "client%d@%s" % (i, OVERLAY)
            folder = os.path.join(work, str(i))
            os.mkdir(folder)
            subprocess.run([binary("torc-authority"), "user", "add", authority, "client%d" % i, "--user", user],
                           input=password + "\n", text=True, check=True, capture_output=True)
            run(binary("bench_enrol"), "requests", folder, user, str(num))
            lists.append([open(os.path.join(folder, name), "rb").read() for name in sorted(os.listdir(folder))])
        service = subprocess.Popen([binary("torc-authority"), "serve", authority], stderr=subprocess.PIPE, text=True)
        port = int(re.search(r"https://127\.0\.0\.1:(\d+)/", service.stderr.readline()).group(1))
        results = multiprocessing.Queue()
        idle = memory(service.pid)
        before, start = cpu_of(service.pid), time.monotonic()
        workers = [multiprocessing.Process(target=enrol_all, args=(port, work + "/tls.crt", "client%d" % i, password, OVERLAY,
                                                                   lists[i], results)) for i in range(clients)]
        for worker in workers:
            worker.start()
        done = sum(results.get() for _ in workers)
        seconds, cpu = time.monotonic() - start, cpu_of(service.pid) - before
        for worker in workers:
            worker.join()
        if done != num * clients:
            sys.exit("bench: %d of %d enrolments" % (done, num * clients))
        say({"case": "enrolment over HTTPS", "signature": signature, "clients": clients, "per_s": round(done / seconds),
             "cpu_us": round(cpu / done * 1e6, 1), "idle_rss_kb": idle["rss_kb"], **memory(service.pid)})
    finally:
        if service is not None:
            service.terminate()
            service.wait()
        shutil.rmtree(work)


def bench_enrolments():
    for signature in ("ecdsa", "rsa"):
        bench_enrolment(signature)


def bench_dtls():
    work = tempfile.mkdtemp(prefix="torc-bench-")
    try:
        authority, prefix = os.path.join(work, "authority"), os.path.join(work, "peer")
        run(binary("torc-authority"), "init", authority, "--overlay", OVERLAY)
        run(binary("torc-authority"), "issue", authority, "--user", "peer@" + OVERLAY, "--out", prefix)
        say(run(binary("bench_dtls"), OVERLAY, authority + "/ca.crt", prefix + ".crt", prefix + ".key"))
    finally:
        shutil.rmtree(work)


def bench_rings():
    for num in (8, 32):
        for signature in ("ecdsa", "rsa"):
            bench_ring(num, signature)
        bench_opendht(num)


def bench_wan():
    import wan  # it needs rights the others do not
    for line in wan.cases():
        say(line)


def bench_connect():
    import connect  # as above
    for line in connect.cases():
        say(line)


CASES = {"crypto": lambda: say(run(binary("bench_crypto"))), "enrolment": bench_enrolments,
         "forward": lambda: say(run(binary("bench_forward"))), "stun": lambda: say(run(binary("bench_stun"))),
         "ice": lambda: say(run(binary("bench_ice"))), "dtls": bench_dtls,
         "ring": bench_rings, "links": bench_links, "wan": bench_wan, "connect": bench_connect}


def main():
    wanted = sys.argv[1:] or list(CASES)
    unknown = [name for name in wanted if name not in CASES]
    if unknown:
        sys.exit("bench: there is no %s; there are %s" % (", ".join(unknown), ", ".join(CASES)))
    for name in wanted:
        CASES[name]()


if __name__ == "__main__":
    main()
