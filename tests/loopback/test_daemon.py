"""The daemon itself: signals, log, metrics, service manager, control socket."""
import json
import os
import signal
import socket
import stat
import threading
import time
import urllib.error
import urllib.request

from torcnet import BUILD, TORC, TORCD, Control, free_port, resource_of, run, value_of, wait_for

LEAVE = 17  # request code


def test_LEA_01_CHD_46_SIGTERM_leaves_and_hands_over(make_net):
    net = make_net()
    for i in range(1, 6):
        net.add(f"p{i}").sections["log"]["level"] = "trace"
    for peer in net.peers:
        peer.start()
    net.wait_whole()
    peers = list(net.peers)
    for peer in peers:
        peer.control.call("store", name=peer.user, type="note", value=peer.name)
    leaver = peers[2]
    start = time.monotonic()
    assert leaver.stop() == 0
    assert time.monotonic() - start < 5
    for name in ("torcd:leaving", "torcd:stopped"):
        assert leaver.has_event(name)
    assert not leaver.socket.exists()
    for peer in net.running():  # every peer is linked to every other here, and each was told
        assert any(e["event"] == "node:received" and e["method"] == LEAVE and e["from"] == leaver.id
                   for e in peer.events()), peer.name
    # Nobody waits for a keepalive to notice: the ring is whole as soon as the LEAVE is handled.
    assert net.wait_whole(timeout=5) < 5
    for peer in peers:
        fetched = net.running()[0].control.call("fetch", name=peer.user, type="note")
        assert value_of(fetched) == peer.name.encode()


def test_LEA_01_second_signal_ends_at_once(make_net):
    net = make_net()
    peers = net.start(3)
    for other in peers[1:]:
        other.process.send_signal(signal.SIGSTOP)  # nobody answers the LEAVE
    start = time.monotonic()
    peers[0].process.send_signal(signal.SIGINT)
    wait_for(lambda: peers[0].has_event("torcd:leaving"), 5, "the first signal")
    peers[0].process.send_signal(signal.SIGTERM)
    assert peers[0].reap(5) == 0
    assert time.monotonic() - start < 2.5


def test_LEA_01_GAP_118_nobody_answers_the_leave(make_net):
    net = make_net()
    peers = net.start(3)
    for other in peers[1:]:
        other.process.send_signal(signal.SIGSTOP)
    start = time.monotonic()
    assert peers[0].stop(timeout=10) == 0
    assert time.monotonic() - start < 6


def test_D_42_SIGHUP_reads_the_level_and_opens_the_log_anew(net):
    peer = net.add("p1").start().wait_joined()
    peer.sections["log"]["level"] = "error"
    peer.write_conf()
    moved = net.dir / "moved.log"
    peer.log.rename(moved)
    peer.process.send_signal(signal.SIGHUP)
    wait_for(peer.log.exists, 5, "a new log file")
    assert '"event":"torcd:started"' in moved.read_text(encoding="utf-8")
    peer.sections["log"]["level"] = "info"
    peer.write_conf()
    peer.process.send_signal(signal.SIGHUP)
    event = wait_for(lambda: [e for e in peer.events() if e["event"] == "torcd:reloaded"], 5, "the reload")[0]
    assert event["level"] == "info"
    peer.conf.write_text("[log]\nlevel = loud\n", encoding="utf-8")
    peer.process.send_signal(signal.SIGHUP)
    refused = wait_for(lambda: [e for e in peer.events() if e["event"] == "torcd:reload_refused"], 5, "a refusal")[0]
    assert f"{peer.conf}:2: level = 'loud'" in refused["why"]
    assert peer.status()["joined"]


def test_D_42_log_is_json_lines_or_text(net):
    peer = net.add("p1").start().wait_joined()
    events = peer.events()
    assert {"time", "t_us", "level", "event"} <= set(events[0])
    started = next(e for e in events if e["event"] == "torcd:started")
    assert started["peer"] == peer.id and started["user"] == peer.user and started["port"] == net.port
    peer.stop()
    peer.log.unlink()
    peer.sections["log"]["format"] = "text"
    peer.start().wait_joined()
    line = next(x for x in peer.log.read_text(encoding="utf-8").splitlines() if "torcd:started" in x)
    assert f" peer={peer.id} " in line and "Z info torcd:started " in line
    key = peer.key.read_text(encoding="utf-8").splitlines()[1]
    assert key not in peer.log.read_text(encoding="utf-8")


def test_D_42_readiness_is_told_to_the_service_manager(net):
    path = net.dir / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(20)
        peer = net.add("p1").start(env={"NOTIFY_SOCKET": str(path)})
        ready = manager.recv(4096).decode().splitlines()
        assert "READY=1" in ready and f"MAINPID={peer.process.pid}" in ready
        assert manager.recv(4096).decode() == "STATUS=in the overlay"
        peer.process.send_signal(signal.SIGHUP)
        assert manager.recv(4096).decode() == "RELOADING=1"
        assert manager.recv(4096).decode() == "READY=1"
        peer.process.send_signal(signal.SIGTERM)
        assert manager.recv(4096).decode().startswith("STOPPING=1")
        assert peer.reap() == 0


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.status, answer.headers["Content-Type"], answer.read().decode()


def test_D_42_metrics_have_every_counter(net):
    peer = net.add("p1")
    port = free_port()
    peer.sections["metrics"] = {"listen": f"127.0.0.1:{port}"}
    peer.start().wait_joined()
    client = net.add("c1", role="client").start().wait_joined()
    client.control.call("ping", route=[peer.id])
    status, kind, text = get(port, "/metrics")
    assert status == 200 and kind.startswith("text/plain")
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    types = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")}
    assert set(samples) == set(types)
    gauges = {name for name in peer.counters() if types.get(f"torc_{name}") == "gauge"}
    assert gauges == {"io_half_open", "io_connections", "io_partial_bytes", "io_queued_bytes", "io_jobs_pending",
                      "io_app_connections", "io_app_bytes",
                      "io_events_waiting", "io_cached_peers", "io_multicast_sockets", "io_configuration_age",
                      "io_certificate_seconds_left", "migration_stage", "migration_joined", "migration_old_ring"}
    for name in peer.counters().keys() - gauges:
        assert types[f"torc_{name}_total"] == "counter", name
    assert samples["torc_io_connections"] == "1" and int(samples["torc_io_messages_in_total"]) > 0
    assert int(samples["torc_messages_in_total"]) > 0
    assert samples["torc_joined"] == "1" and int(samples["torc_links"]) == 1
    assert int(samples["process_resident_memory_bytes"]) > 1000000
    for path in ("/", "/metrics/more", "/../etc/passwd"):
        try:
            get(port, path)
            raise AssertionError(path)
        except urllib.error.HTTPError as error:
            assert error.code == 404
    for _ in range(50):
        assert get(port, "/metrics")[0] == 200
    assert peer.stop() == 0


def test_D_42_metrics_port_in_use(net):
    peer = net.add("p1")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        peer.sections["metrics"] = {"listen": f"127.0.0.1:{other.getsockname()[1]}"}
        assert "cannot serve metrics" in peer.refuses_to_start()


# ---- control socket ----

def test_D_42_control_socket_is_for_the_owner_only(net):
    peer = net.add("p1").start()
    assert stat.S_IMODE(os.stat(peer.socket).st_mode) == 0o600


def test_D_42_control_refuses_what_is_no_request(net):
    peer = net.add("p1").start().wait_joined()
    control = Control(peer.socket)
    cases = [
        (b"no json", "the line is no JSON object"), (b"[1]", "the line is no JSON object"),
        (b'{"cmd":"status","cmd":"status"}', "the line is no JSON object"),
        (b'{"cmd":"none"}', "there is no command 'none'"), (b"{}", "there is no command ''"),
        (b'{"cmd":7}', "there is no command ''"), (b"[" * 5000, "the line is no JSON object"),
        (b'{"cmd":"ping"}', "'route' is a list of 1 to 16 ids"),
        (b'{"cmd":"ping","route":["x"]}', "entry 0 of 'route' is no id"),
        (b'{"cmd":"ping","route":[' + b",".join([b'"' + b"1" * 32 + b'"'] * 17) + b"]}", "1 to 16 ids"),
        (b'{"cmd":"fetch","type":"note"}', "one of 'name', 'resource' and 'node'"),
        (b'{"cmd":"fetch","name":"","type":"note"}', "one of 'name', 'resource' and 'node'"),
        (b'{"cmd":"fetch","name":"a"}', "'type' is needed"),
        (b'{"cmd":"store","name":"a","type":"note"}', "'value' is needed"),
        (b'{"cmd":"store","name":"a","type":"note","value":7}', "'value' is no text"),
        (b'{"cmd":"store","name":"a","type":"note","value_base64":"?"}', "'value_base64' is no base64"),
        (b'{"cmd":"store","name":"a","type":"note","value":"","lifetime_s":-1}', "'lifetime_s' is no number"),
        (b'{"cmd":"store","name":"a","items":[]}', "'items' is a list of 1 to 8"),
        (b'{"cmd":"fetch","name":"a","items":[{"type":"note"},7]}', "'type' is needed"),
        (b'{"cmd":"fetch","name":"a","type":"list","first":-2}', "'first' and 'last' are indexes"),
    ]
    for line, message in cases:
        control.socket.sendall(line + b"\n")
        answer = control.receive()
        assert answer["ok"] is False and message in answer["error"], (line, answer)
    assert control.call("status")["joined"]
    assert control.call("counters")["counters"]["control_bad_requests"] >= len(cases)


def test_D_42_control_is_bounded(net):
    peer = net.add("p1").start().wait_joined()
    long = Control(peer.socket)
    try:
        long.socket.sendall(b'{"cmd":"' + b"x" * (300 << 10))
        assert long.socket.recv(1) == b""
    except ConnectionError:
        pass
    before = peer.counters()["control_clients_refused"]
    clients = [Control(peer.socket) for _ in range(70)]
    wait_for(lambda: peer.counters()["control_clients_refused"] > before, 5, "refused clients")
    for client in clients:
        client.close()
    counters = peer.counters()
    assert counters["control_lines_too_long"] == 1


def test_D_42_control_answers_many_requests_as_they_are_ready(ring):
    control = Control(ring.peers[0].socket)
    numbers = [control.send("ping", route=[ring.peers[i % 5].id]) for i in range(60)]
    numbers.append(control.send("status"))
    answers = [control.receive() for _ in numbers]
    assert sorted(a["id"] for a in answers) == numbers and all(a["ok"] for a in answers)
    for _ in range(200):
        control.send("ping", route=[ring.peers[1].id])
    answers = [control.receive() for _ in range(200)]
    refused = [a for a in answers if not a["ok"]]
    assert all("too many requests" in a["error"] for a in refused)
    control.close()


def test_D_42_a_client_that_goes_away_is_forgotten(ring):
    for _ in range(20):
        control = Control(ring.peers[0].socket)
        for peer in ring.peers:
            control.send("fetch", name=peer.user, type="note")
        control.close()
    assert ring.peers[0].status()["joined"]


def test_D_42_a_client_that_does_not_read_is_dropped(net):
    peer = net.add("p1").start().wait_joined()
    peer.control.call("store", name=peer.user, type="note", value="x" * 4000)
    slow = Control(peer.socket)
    slow.socket.settimeout(1)

    def flood():
        try:
            for _ in range(100000):
                slow.send("counters")
        except OSError:
            pass
    thread = threading.Thread(target=flood)
    thread.start()
    wait_for(lambda: peer.counters()["control_clients_too_slow"] == 1, 60, "the slow client dropped")
    slow.socket.close()
    thread.join()
    assert value_of(peer.control.call("fetch", name=peer.user, type="note"))


# ---- command line ----

def test_D_01_versions_and_help():
    for program in (TORC, TORCD, BUILD / "torc-authority"):
        assert run(program, "--version").stdout.startswith(program.name + " ")
        assert "usage: " + program.name in run(program, "--help").stdout
        assert run(program, "--nonsense", check=False).returncode == 2
    assert json.loads(run(TORC, "version", "--json").stdout)["version"]


def test_D_42_STO_21_nothing_of_the_store_is_lost_by_kill_9(net):
    peer = net.add("p1").start().wait_joined()
    resource = resource_of(peer.user)
    peer.control.call("store", name=peer.user, type="note", value="survives")
    peer.kill()
    peer.process.wait()
    peer.start().wait_joined()
    assert value_of(peer.control.call("fetch", resource=resource, type="note")) == b"survives"
