"""Two authorities with one PostgreSQL database. The test runs a server of its own, as a user without rights."""
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading

import pytest

from enrolnet import PASSWORD, make_csr, peer_of
from test_enrol_crash import kill_while_issuing
from torcnet import AUTHORITY, OVERLAY, Failure, free_port, run, wait_for


class Postgres:
    """A server in a temporary directory, reached by its UNIX socket only."""

    def __init__(self):
        self.bin = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="torc-pg-", dir="/tmp"))
        self.user = []
        if os.geteuid() == 0:  # initdb refuses root
            who = pwd.getpwnam("nobody")
            os.chown(self.dir, who.pw_uid, who.pw_gid)
            self.user = ["setpriv", f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups"]
        self.process = None
        self.run("initdb", "-D", self.dir / "data", "-A", "trust", "-U", "torc", "-E", "UTF8", "--no-sync")
        self.start()
        self.run("createdb", "-h", self.dir, "-U", "torc", "authority")

    def run(self, program, *arguments):
        done = subprocess.run([*self.user, self.bin / program, *map(str, arguments)], capture_output=True, text=True,
                              check=False, cwd=self.dir)
        if done.returncode != 0:
            raise Failure(f"{program}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self):
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen([*self.user, self.bin / "postgres", "-D", self.dir / "data", "-h", "", "-k", self.dir],
                                            stdout=log, stderr=log, cwd=self.dir)

        def ready():
            return subprocess.run([self.bin / "pg_isready", "-h", self.dir, "-q"], check=False).returncode == 0
        wait_for(ready, 60, lambda: (self.dir / "log").read_text())

    def stop(self):
        self.process.send_signal(signal.SIGINT)  # ends the sessions, too
        self.process.wait(timeout=60)

    @property
    def url(self):
        return f"postgresql://torc@/authority?host={self.dir}"

    def close(self):
        self.stop()
        shutil.rmtree(self.dir)


@pytest.fixture
def postgres():
    server = Postgres()
    yield server
    server.close()


@pytest.fixture
def pair(make_authority, postgres):
    """Two authorities of one overlay, in two directories, on one database."""
    settings = {"database": {"url": postgres.url}}
    first = make_authority(name="first", settings=settings)
    return first, make_authority(name="second", settings=settings, clone=first)


def at_once(functions):
    results = [None] * len(functions)

    def call(i):
        results[i] = functions[i]()
    threads = [threading.Thread(target=call, args=(i,)) for i in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_R_52_BGAP_04_two_authorities_never_give_one_name_to_two_accounts(pair):
    names = [f"name{i}@{OVERLAY}" for i in range(20)]

    def claim(authority, account):
        return [run(AUTHORITY, "issue", authority.dir, "--user", name, "--account", account, "--out",
                    authority.root / f"{account}-{i}", check=False) for i, name in enumerate(names)]
    for one in pair:  # as many certificates as they like
        one.configure({"policy": {"certificates": "1000"}})
    first, second = at_once([lambda: claim(pair[0], "one"), lambda: claim(pair[1], "two")])
    for name, mine, theirs in zip(names, first, second):
        assert sorted((mine.returncode, theirs.returncode)) == [0, 1], (name, mine.stderr, theirs.stderr)
        assert "for ever" in mine.stderr + theirs.stderr
    issued = pair[0].issued()
    assert issued == pair[1].issued() and len(issued) == len(names)
    assert len({line["users"][0] for line in issued}) == len(names)
    assert not (pair[0].dir / "authority.db").exists()  # there is one truth


def test_R_52_SEC_22_limits_hold_over_both(pair):
    users = [f"user{i}@{OVERLAY}" for i in range(4)]
    for user in users:
        pair[0].add(user.split("@")[0], user)
    for one in pair:
        one.start()
    answers = at_once([lambda one=one, user=user: [one.enrol(user.split("@")[0], make_csr([user])) for _ in range(7)]
                       for one in pair for user in users])
    for i, user in enumerate(users):
        both = answers[i] + answers[len(users) + i]
        assert sorted(answer.status for answer in both) == [200] * 10 + [403] * 4
    issued = pair[1].issued()
    assert len(issued) == 40 and len({line["serial"] for line in issued}) == 40 and len({line["peer"] for line in issued}) == 40


def test_ENR_35_ENR_38_a_request_repeated_at_the_other_one(pair):
    user = f"alice@{OVERLAY}"
    pair[1].add("alice", user)
    for one in pair:
        one.start()
    csr = make_csr([user])
    answers = at_once([lambda one=one: one.enrol("alice", csr) for one in pair])
    assert answers[0].body == answers[1].body and len(pair[0].issued()) == 1
    first = pair[0].must_enrol("alice", [user])
    assert peer_of(pair[1].must_enrol("alice", [user], peer=peer_of(first))) == peer_of(first)


def test_D_17_the_database_goes_and_comes_back(pair, postgres):
    one = pair[0]
    user = f"alice@{OVERLAY}"
    one.add("alice", user)
    one.start()
    one.must_enrol("alice", [user])
    postgres.stop()
    refused = one.enrol("alice", make_csr([user]))
    assert refused.status == 500 and str(postgres.dir) not in refused.text
    assert one.ask("GET", "/p2psip/enroll").status == 200  # peers that only need the document get it
    assert one("user", "list", check=False).returncode != 0
    postgres.start()
    one.must_enrol("alice", [user])
    assert len(one.issued()) == 2
    refused = one("backup", one.root / "copy", check=False)
    assert refused.returncode == 1 and "pg_dump" in refused.stderr
    one.stop()
    assert "pg_restore" in one("restore", one.root / "copy", check=False).stderr


def test_R_52_BGAP_04_one_is_killed_while_both_issue(make_authority, postgres):
    settings = {"database": {"url": postgres.url}, "policy": {"certificates": 10000}}
    first = make_authority(name="first", settings=settings, port=free_port())
    kill_while_issuing(first, [make_authority(name="second", settings=settings, clone=first)])


def test_D_17_two_that_begin_at_once_make_one_set_of_tables(pair):
    done = at_once([lambda one=one, i=i: one.add(f"user{i}{one.dir.name}", f"user{i}{one.dir.name}@{OVERLAY}")
                    for one in pair for i in range(4)])
    assert all(result.returncode == 0 for result in done)
    assert PASSWORD not in pair[0]("user list").stdout
    assert len(pair[0]("user list").stdout.splitlines()) == 8
