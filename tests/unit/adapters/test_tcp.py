"""The TCP probe against real sockets on the loopback."""

from __future__ import annotations

import socket
import threading

import pytest

from velero_vmservice.adapters.tcp import SocketProbe


def test_a_port_with_a_listener_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert SocketProbe().connect("127.0.0.1", server.getsockname()[1], seconds=5) == ""


def test_a_port_without_a_listener_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert SocketProbe().connect("127.0.0.1", port, seconds=5) == "refuses the connection (Connection refused)"


def test_a_port_whose_queue_is_full_does_not_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, socket.socket() as first:
        address = server.getsockname()
        first.connect(address)
        assert SocketProbe().connect(*address, seconds=0.05) == "does not answer within 0.05 s"


@pytest.mark.parametrize("host", ["no such host.invalid", "a" * 300, "a..b", "\x00", "ü" * 70], ids=ascii)
def test_an_address_that_is_none_is_reported_and_never_raised(host: str) -> None:
    assert SocketProbe().connect(host, 80, seconds=0.2) != ""


@pytest.mark.parametrize("port", [0, 65536, -1])
def test_nor_is_a_port_that_is_none(port: int) -> None:
    assert SocketProbe().connect("127.0.0.1", port, seconds=0.2) != ""


def test_a_name_that_the_dns_does_not_answer_for_costs_no_more_than_the_deadline() -> None:
    looked_up, answer = threading.Event(), threading.Event()

    def hang(host: str) -> list[str]:
        del host
        looked_up.set()
        answer.wait(60)
        return ["127.0.0.1"]

    probe = SocketProbe(resolve=hang)
    assert "is not resolved within 0.05 s" in probe.connect("vip.example.com", 80, seconds=0.05)
    assert looked_up.is_set()
    assert not answer.is_set()
    answer.set()


def test_lookups_that_hang_do_not_pile_up() -> None:
    names, answer = list[str](), threading.Event()

    def hang(host: str) -> list[str]:
        names.append(host)
        answer.wait(60)
        return []

    probe = SocketProbe(resolve=hang)
    states = [probe.connect(f"vip-{number}.example.com", 80, seconds=0.02) for number in range(10)]
    assert all("is not resolved" in state for state in states)
    assert len(names) < len(states)
    answer.set()


def test_a_name_with_two_addresses_answers_if_one_of_them_does() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        probe = SocketProbe(resolve=lambda _: ["127.0.0.2", "127.0.0.1"])
        assert probe.connect("vip.example.com", server.getsockname()[1], seconds=5) == ""
