import pytest

import enrolnet
import torcnet


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.failed_call = outcome.get_result().failed


@pytest.fixture
def make_net(request):
    """Makes overlays that end with the test; after a failure their logs are shown."""
    nets = []

    def make(**options):
        nets.append(torcnet.Net(**options))
        return nets[-1]
    yield make
    for net in nets:
        if getattr(request.node, "failed_call", False):
            print(net.tails())
        net.close()


@pytest.fixture
def net(make_net):
    return make_net()


@pytest.fixture(scope="module")
def ring():
    """Five peers that a module's tests share; they may store, but not stop anybody."""
    shared = torcnet.Net()
    try:
        shared.start(5)
        yield shared
    finally:
        shared.close()


@pytest.fixture
def make_authority(request, tmp_path):
    """Makes authorities that end with the test; after a failure their logs are shown."""
    made = []

    def make(**options):
        made.append(enrolnet.Enrolment(tmp_path, **options))
        return made[-1]
    yield make
    codes = [authority.stop() for authority in made]
    for authority in made:
        if getattr(request.node, "failed_call", False):
            print(authority.log.read_text(encoding="utf-8") if authority.log.exists() else "(not started)")
    assert set(codes) <= {0, None}, [authority.log.read_text(encoding="utf-8")[-4000:] for authority in made if authority.log.exists()]


@pytest.fixture
def authority(make_authority):
    """One that serves, with the accounts alice and bob."""
    one = make_authority()
    one.add("alice", f"alice@{torcnet.OVERLAY}")
    one.add("bob", f"bob@{torcnet.OVERLAY}")
    return one.start()
