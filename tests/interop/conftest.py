"""One overlay of five peers for all tests of a session, and clients that are closed behind each test."""

import itertools

import pytest

import peer
from interop_daemons import Ring

USERS = itertools.count(1)


@pytest.fixture(scope="session")
def ring():
    result = Ring(5)
    yield result
    result.stop()


class Attach:
    """Makes clients: `attach(at)` is a new user attached to peer number `at`, its resource is `client.home`."""

    def __init__(self, ring):
        self.ring = ring
        self.clients = []

    def member(self, *users):
        return self.ring.member(*(users or (f"user{next(USERS)}@example.org",)))

    def __call__(self, at=0, own=None):
        client = peer.Client(self.ring.overlay, own or self.member())
        self.clients.append(client)
        client.connect(self.ring.address(at))
        client.home = peer.wire.resource_of(client.own.users[0])
        return client

    def at_distance(self, distance):
        """A new user attached to the peer `distance` places clockwise of the one responsible for its resource."""
        own = self.member()
        return self(self.ring.clockwise(peer.wire.resource_of(own.users[0]))[distance], own)


@pytest.fixture
def attach(ring):
    result = Attach(ring)
    yield result
    for client in result.clients:
        client.close()
