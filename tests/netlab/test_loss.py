"""Long messages over one link of datagrams across a bad network: each arrives or fails with an error, and nothing hangs."""
import threading
import time

import pytest

from labnet import LabNet
from netlab import Lab
from torcnet import Control  # found by labnet

WORLD = "wan rtt=100ms\nhost server ipv4=203.0.113.11\nhost alice\n"
BOOTSTRAP = "203.0.113.11"
SIZE, RATE_S, SECONDS = 60000, 17.5, 12  # 1 MiB/s
APPLICATION = 7777


@pytest.mark.long
@pytest.mark.parametrize("loss", ["0%", "0.5%"])  # of each pass, of which there are two one way
def test_GAP_47_TLS_05_FRG_05_a_mebibyte_a_second_in_messages_of_60_kB(loss):
    with Lab.from_text(WORLD) as lab:
        net = LabNet(lab, f"{BOOTSTRAP}:6084")
        try:
            server, alice = [net.launch(net.place(name, host, f"{lab.address(host)}:6084", candidates="udp")).wait_joined()
                             for name, host in (("p1", "server"), ("p2", "alice"))]
            net.wait_whole()
            alice.control.call("connect", route=[server.id])
            lab.link("all", loss=loss)
            listener = Control(server.socket)
            listener.call("listen", application=APPLICATION, tunnel=True)
            got = set()
            threading.Thread(target=take, args=(listener, got), daemon=True).start()
            answers, threads = [], []
            start = time.monotonic()
            for i in range(int(RATE_S * SECONDS)):
                threads.append(threading.Thread(target=send, args=(alice, server.id, i, answers)))
                threads[-1].start()
                time.sleep(max(0.0, start + (i + 1) / RATE_S - time.monotonic()))
            for thread in threads:
                thread.join(timeout=60)
                assert not thread.is_alive()
            assert len(answers) == len(threads)
            errors = [answer for _, answer in answers if not answer["ok"]]
            assert all(answer["code"] == 408 for answer in errors), errors
            assert {i for i, answer in answers if answer["ok"]} <= got
            print(f"{len(answers) - len(errors)} of {len(answers)} answered")
            assert len(errors) <= len(answers) // 20, f"{len(errors)} of {len(answers)} came to nothing"
            assert "dtls" in {link["kind"] for link in alice.control.call("links")["links"]}
        finally:
            net.close()


def take(listener, got):
    """What the application there is told, until the peer ends."""
    while True:
        try:
            line = listener.receive()
        except (ConnectionError, OSError, ValueError):
            return
        if line.get("event") == "tunnel" and line["message"] == message(int(line["dialog"])):
            got.add(int(line["dialog"]))


def message(number):
    return (f"{number:08d}" * (SIZE // 8))[:SIZE]


def send(alice, to, number, answers):
    control = Control(alice.socket, timeout=70)
    try:
        answers.append((number, control.ask("tunnel", route=[to], application=APPLICATION, dialog=str(number),
                                            message=message(number))))
    finally:
        control.close()
