"""The service is killed in the middle of issuing: no serial number, peer-id or name is lost or given twice."""
import random
import signal
import threading

from enrolnet import certificate_of, make_csr, peer_of, users_of
from torcnet import OVERLAY, free_port, wait_for

ROUNDS = 6
CLIENTS = 6


class Client(threading.Thread):
    """Enrols an account again and again, each time with a new key, until it is told to stop. A request whose answer is
    lost is sent again."""

    def __init__(self, authority, number):
        super().__init__()
        self.authority, self.user = authority, f"user{number}@{OVERLAY}"
        self.account = f"user{number}"
        self.got, self.retried, self.faults = [], 0, []
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            csr = make_csr([self.user])
            while not self.stopping.is_set():
                try:
                    answer = self.authority.enrol(self.account, csr)
                except OSError:
                    self.retried += 1
                    self.stopping.wait(0.01)
                    continue
                if answer.status != 200:
                    self.faults.append(answer)
                    return
                self.got.append(certificate_of(answer.body))
                break


def kill_while_issuing(one, others=()):
    """Kills `one` again and again while accounts enrol with it and with the others, and looks at what is left."""
    print("seed 35")
    dice = random.Random(35)
    for i in range(CLIENTS):
        one.add(f"user{i}", f"user{i}@{OVERLAY}")
    all_of_them = [one, *others]
    for each in all_of_them:
        each.start()
    clients = [Client(all_of_them[i % len(all_of_them)], i) for i in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for _ in range(ROUNDS):
            aim = len(one.issued()) + dice.randrange(5, 40)
            wait_for(lambda: one.metrics()["certificates_issued_total"] > 0 and len(one.issued()) >= aim, 60, f"{aim} issued")
            one.stop(signal.SIGKILL)
            one.start()
    finally:
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join()
    assert not any(client.faults for client in clients), [client.faults for client in clients]
    issued = one.issued()
    serials = [line["serial"] for line in issued]
    peers = [line["peer"] for line in issued]
    assert len(set(serials)) == len(serials) and len(set(peers)) == len(peers)
    owners = {}
    for line in issued:
        for user in line["users"]:
            assert owners.setdefault(user, line["account"]) == line["account"]
    known = {line["serial"]: line for line in issued}
    got = [(client, certificate) for client in clients for certificate in client.got]
    assert len(got) > ROUNDS * 5 and sum(client.retried for client in clients) > 0
    for client, certificate in got:  # whatever left the service is in its registry
        line = known[f"{certificate.serial_number:032x}"]
        assert (line["peer"], line["users"], line["account"]) == (peer_of(certificate), users_of(certificate), client.account)
    assert len({certificate.serial_number for _, certificate in got}) == len(got)
    assert len(issued) - len(got) <= CLIENTS  # a request whose answer was lost got the same certificate when sent again
    assert all(line["time"] for each in all_of_them for line in each.audit())  # every line is whole


def test_ENR_35_R_52_killed_while_issuing(make_authority):
    kill_while_issuing(make_authority(port=free_port(), settings={"policy": {"certificates": 10000}}))
