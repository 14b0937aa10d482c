"""The scenario language: what it gives, its errors, its clock, and every scenario that comes with the lab."""
import pathlib

import pytest

from netlab import Lab, LabError, ScenarioError, parse_scenario, probe, wait_until
from netlab.scenario import Link, Numbers, read_numbers, with_numbers

HERE = pathlib.Path(__file__).resolve().parent


def test_a_whole_scenario():
    scenario = parse_scenario("""
# two homes
seed 9
wan rtt=100ms loss=1%   # everywhere
box home address hairpin isolated ipv6=firewall lan=10.0.0.0/24 timeout=30s ipv4=203.0.113.8 up.rate=1.5mbit
host alice behind home ipv4=10.0.0.7
host eye ipv4=203.0.113.10,203.0.113.11 ipv6=2001:db8::10 jitter=250us
at 2s cut eye
run eye clock sh -c 'echo "a # b"'
at 1.5s link all delay=1ms
at 3s kill clock term
""", "homes")
    home, alice, eye = scenario.boxes["home"], scenario.hosts["alice"], scenario.hosts["eye"]
    assert scenario.seed == 9 and (home.kind, home.hairpin, home.isolated, home.ipv6) == ("address", True, True, "firewall")
    assert str(home.lan) == "10.0.0.0/24" and home.timeout_us == 30000000 and alice.behind == "home"
    link = with_numbers(with_numbers(Link(), scenario.wan), home.link)
    assert link == Link(Numbers(25000, 0, 10000, 1500), Numbers(25000, 0, 10000))
    assert with_numbers(Link(), eye.link).up.jitter_us == 250
    assert [str(address) for address in eye.addresses] == ["203.0.113.10", "203.0.113.11", "2001:db8::10"]
    assert [(action.verb, action.at_us) for action in scenario.actions] == [
        ("run", 0), ("link", 1500000), ("cut", 2000000), ("kill", 3000000)]
    assert scenario.actions[0].value == ("clock", ["sh", "-c", 'echo "a # b"'])


def test_rate_may_be_taken_back():
    link = with_numbers(Link(), read_numbers(["rate=1gbit"]))
    assert link.up.rate_kbit == 1000000 and with_numbers(link, read_numbers(["down.rate=none"])).down.rate_kbit == 0


@pytest.mark.parametrize("line,why", [
    ("bix home port", "expected wan, seed, box, host, at or an action"),
    ("box home", "expected box NAME KIND"),
    ("box home cone", "expected a kind of box: public, full-cone, address, port, symmetric, hairpin, udp-reject, udp-drop, "
                      "tls443, ipv6-only, not \"cone\""),
    ("box Home port", "expected a name: a-z, 0-9 and -, at most 15, a letter first, not \"Home\""),
    ("box all port", "not \"all\""),
    ("box a-name-much-too-long port", "at most 15"),
    ("box there port", "expected a new name: there is there already"),
    ("box home public hairpin", "hairpin needs a box that translates; public does not"),
    ("box home port lan=10.0.0.0/8", "expected a network of 24 bits"),
    ("box home port lan=ten", "expected a network such as 192.168.1.0/24, not \"ten\""),
    ("box home port ipv6=maybe", "expected what to do with IPv6: none, firewall, open, not \"maybe\""),
    ("box home port timeout=10ms", "expected a timeout of at least 1s"),
    ("box home port ipv4=203.0.113.8,203.0.113.9", "expected one ipv4 address"),
    ("box home port colour=blue", "expected hairpin, isolated, ipv6, lan, timeout, ipv4 or numbers of a link"),
    ("host h behind", "expected the name of a box after behind"),
    ("host h behind nowhere", "expected a box (there) after behind, not \"nowhere\""),
    ("host h behind there delay=1ms", "h is behind there, which has the link"),
    ("host h ipv4=2001:db8::1", "expected IPv4 addresses, not \"2001:db8::1\""),
    ("host h ipv4=300.1.1.1", "expected an IPv4 or IPv6 address, not \"300.1.1.1\""),
    ("host h ipv4=203.0.113.1\nhost i ipv4=203.0.113.1", "expected an address of its own: h has 203.0.113.1"),
    ("wan delay=5", "expected a time such as 50ms, 1.5s or 200us, not \"5\""),
    ("wan delay=99999s", "expected a time of at most"),
    ("wan loss=101%", "expected a loss such as 1% or 0.05%, not \"101%\""),
    ("wan rate=0kbit", "expected a rate from 1kbit"),
    ("wan rate=fast", "expected a rate such as 512kbit, 10mbit or 1gbit, not \"fast\""),
    ("wan left.delay=5ms", "expected delay, rtt, jitter, loss, rate, queue (of one direction: up.delay) and = and a value"),
    ("seed x", "expected a number below 2^32, not \"x\""),
    ("at 1s", "expected at TIME ACTION"),
    ("at 1s explode", "expected an action (link, cut, mend, forget, move, kind, run, kill), not \"explode\""),
    ("at soon cut there", "expected a time"),
    ("cut", "expected cut NAME|all"),
    ("cut nothing", "expected a link (there, all), not \"nothing\""),
    ("link there", "expected link NAME|all KEY=VALUE..."),
    ("move there 1.2.3", "expected an IPv4 or IPv6 address"),
    ("kind there ipv6-only", "there cannot become ipv6-only from port"),
    ("run there x true", "expected a host (there is none), not \"there\""),
    ("kill x", "expected a process (there is none), not \"x\""),
    ("kill x loud", "expected a signal such as KILL, TERM or HUP, not \"loud\""),
    ("run 'there", "expected closed quotes"),
])
def test_errors_name_line_and_what_is_expected(line, why):
    with pytest.raises(ScenarioError) as error:
        parse_scenario("box there port\n# a comment\n" + line, "my.lab")
    number = 4 if "\n" in line else 3
    assert str(error.value).startswith(f"my.lab:{number}: ") and why in str(error.value)


def test_a_process_is_run_once():
    with pytest.raises(ScenarioError, match="my.lab:3: expected a name of its own"):
        parse_scenario("host h\nrun h x true\nrun h x true", "my.lab")


def test_inner_address_outside_its_network():
    with pytest.raises(LabError, match="a is to have 10.0.0.1, but home has 192.168.1.0/24 inside"):
        Lab.from_text("box home port\nhost a behind home ipv4=10.0.0.1")


def test_the_clock():
    """What happens at its time, in order, and a process with its log."""
    told = []
    with Lab.from_text("""
host a
host b
run a talker sh -c 'echo I am; exec sleep 1000'
at 100ms cut b
at 300ms kill talker
at 200ms link all delay=3ms
""") as lab:
        lab.play(told.append)
        lab.wait_played()
        assert told == ["0s run a", "0.1s cut b", "0.2s link all", "0.3s kill talker"]
        assert lab.processes["talker"].returncode == -9
        with open(lab.outside("/run/netlab/talker.log"), encoding="utf-8") as log:
            assert log.read() == "I am\n"


def test_an_action_that_fails_later_names_its_line():
    with Lab.from_text("host a\nhost b\nmove a 203.0.113.2\n", "my.lab") as lab:
        lab.play()
        with pytest.raises(ScenarioError, match="my.lab:3: 203.0.113.2 is taken"):
            lab.wait_played()


@pytest.mark.parametrize("path", sorted(HERE.glob("scenarios/*.lab")), ids=lambda path: path.name)
def test_scenarios_that_come_with_it(path):
    with Lab.from_file(path) as lab, probe.Observer(lab, "server") as eye:
        for host in lab.scenario.hosts.values():
            box = lab.scenario.boxes.get(host.behind)
            if box is None or box.kind in ("public", "full-cone", "address", "port", "symmetric", "hairpin"):
                with probe.udp(lab, host.name) as sock:
                    assert eye.sees(sock)[0] == str(lab.public_address(host.name))
        wait_until("the router counts", lambda: lab.stats()["links"]["server"]["left"] > 0)
