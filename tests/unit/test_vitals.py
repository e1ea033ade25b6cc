"""Threads that matter: their failures are counted, their death is seen by metrics, readiness and health."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from mentor.jobs.worker_health import ConsumerWatch, serve_health
from mentor.serving.vitals import Rounds, Vitals
from tests.support.toy_service import serving, toy
from tests.support.waiting import eventually


class Clockwork:
    """A round that fails, hangs or ends its thread as it is told."""

    def __init__(self) -> None:
        self.rounds = 0
        self.raises: BaseException | None = None
        self.hang: threading.Event | None = None

    def __call__(self) -> None:
        self.rounds += 1
        if self.hang:
            self.hang.wait()
        if self.raises:
            raise self.raises


def exported(vitals: Vitals, registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


def test_a_round_that_raises_is_counted_and_the_next_one_comes() -> None:
    registry = CollectorRegistry()
    vitals, work = Vitals(registry), Clockwork()
    work.raises = FileNotFoundError("a file that another one removed")
    rounds = Rounds("reaper", work, every_s=0.01)
    rounds.watched_by(vitals)
    rounds.start()
    eventually(lambda: work.rounds > 3)
    text = exported(vitals, registry)
    assert vitals.ill() == {}
    assert 'mentor_thread_alive{thread="reaper"} 1.0' in text
    rounds.stop()
    assert float(text.split('mentor_thread_errors_total{thread="reaper"} ')[1].split()[0]) >= 2
    assert vitals.ill() == {}, "one that was stopped is not missed"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_or_hangs_is_ill() -> None:
    registry = CollectorRegistry()
    vitals, dying, hanging = Vitals(registry), Clockwork(), Clockwork()
    dying.raises, hanging.hang = SystemExit(), threading.Event()
    for name, work in (("dying", dying), ("hanging", hanging)):
        rounds = Rounds(name, work, every_s=0.01, patience_s=0.1)
        rounds.watched_by(vitals)
        rounds.start()
    eventually(lambda: len(vitals.ill()) == 2)
    assert vitals.ill()["dying"] == "has ended"
    assert "has not come round" in vitals.ill()["hanging"]
    assert 'mentor_thread_alive{thread="dying"} 0.0' in exported(vitals, registry)
    hanging.hang.set()
    eventually(lambda: set(vitals.ill()) == {"dying"})
    rounds.stop()


async def test_a_service_whose_thread_has_died_is_neither_healthy_nor_ready() -> None:
    service = toy()
    async with serving(service) as (client, _, _):
        assert (await client.get("/health")).status_code == 200
        service.vitals.watch("reaper", lambda: "has ended")
        health, ready = await client.get("/health"), await client.get("/ready")
        assert (health.status_code, health.json()["threads"]) == (503, {"reaper": "has ended"})
        assert (ready.status_code, ready.json()["reasons"]) == (503, {"threads": "reaper has ended"})
        service.vitals.unwatch("reaper")
        assert (await client.get("/health")).status_code == 200


def test_a_worker_says_over_http_that_a_thread_has_died() -> None:
    registry = CollectorRegistry()
    vitals = Vitals(registry)
    port = serve_health(registry, vitals, "127.0.0.1", 0)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    assert opener.open(f"http://127.0.0.1:{port}/health").status == 200
    vitals.watch("consumer", lambda: "takes nothing")
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open(f"http://127.0.0.1:{port}/health")
    assert (caught.value.code, b"takes nothing" in caught.value.read()) == (503, True)
    assert b'mentor_thread_alive{thread="consumer"} 0.0' in opener.open(f"http://127.0.0.1:{port}/metrics").read()


class Lengths:
    """A queue's length, as Redis tells it."""

    def __init__(self) -> None:
        self.length = 0

    def llen(self, key: str) -> int:
        return self.length


def test_a_consumer_that_takes_nothing_while_it_could_is_ill() -> None:
    queue = Lengths()
    watch = ConsumerWatch(queue, ["queue"], 1, stall_s=0.0)  # type: ignore[arg-type]
    watch.look()
    assert watch.ails() is None
    queue.length = 1
    with watch.taken():
        watch.look()
        assert watch.ails() is None, "its one slot is taken"
    watch.look()
    assert "takes nothing" in (watch.ails() or "")
    with watch.taken():
        assert watch.ails() is None
