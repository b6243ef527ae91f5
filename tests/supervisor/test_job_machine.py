"""Random commands, exits and deadlines against the job machine: what must hold, whatever happens.

The world below carries effects out as the engine
does, but late and in any order the machine has to cope with.
"""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from gaffer.config.jobconfig import JobConfig
from gaffer.supervisor import messages
from gaffer.supervisor.job import Copy, Job
from gaffer.supervisor.restart_policy import After, Done, GiveUp, Now

EXAMPLES, STEPS = 250, 60

DECISIONS = st.one_of(
    st.just(Now()),
    st.builds(After, st.floats(0.01, 30), st.booleans()),
    st.just(GiveUp("tired")),
    st.just(Done()),
)


class World(RuleBasedStateMachine):
    """The machine, and a plain record of everything it asked for."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.job = Job(JobConfig("web", "serve", numprocesses=2))
        self.pids = 0
        self.live: dict[int, tuple[Copy, SimpleNamespace]] = {}
        self.ending: set[int] = set()  # told to stop, leader alive
        self.lingering: set[int] = set()  # leader gone, descendants left
        self.turns = 0
        self.approvals: list[messages.Approved] = []
        self.decisions: list[messages.Decide] = []
        self.deadlines: list[tuple[float, messages.RetryDue | messages.ReadyDue]] = []
        self.generations: dict[int, int] = {}
        self.exits_given: list[int] = []
        self.told: list[tuple[str, int | None]] = []
        self.removed = 0
        self.ready: set[int] = set()  # pids that were told to be ready, and not to be unready since
        self.unanswered: set[int] = set()  # committed, and the caller was not told yet how it went
        # the model: what a reader of docs/configuration.rst expects
        self.wanted_up = False
        self.wanted = 2
        self.surge = 0
        self.unloaded = False

    # -- carrying effects out ---------------------------------------------------
    def send(self, message) -> None:
        for effect in self.job.step(message, self.now):
            getattr(self, "do_" + type(effect).__name__.lower())(effect)

    def do_enqueue(self, effect) -> None:
        self.turns += 1

    def do_prepare(self, effect) -> None:
        self.approvals.append(messages.Approved(effect.copy, effect.copy.generation, None))

    def do_launch(self, effect) -> None:
        copy = effect.copy
        assert copy.process is None, "two processes for one copy"
        assert not self.unloaded and (self.wanted_up or copy.committed), "started although it is not wanted up"
        if not copy.committed:
            assert copy.index < self.wanted + self.surge, "started beyond the wanted number"
            assert all(other is not copy for other, _ in self.live.values())
        self.pids += 1
        process = SimpleNamespace(pid=copy.committed.pid if copy.committed else self.pids, ended=0.0, started=self.now)
        self.live[process.pid] = (copy, process)
        self.send(messages.Spawned(copy, process))

    def do_end(self, effect) -> None:
        pid = effect.copy.process.pid
        assert pid not in self.ending | self.lingering, "told to stop twice"
        self.ending.add(pid)

    def do_decide(self, effect) -> None:
        self.decisions.append(effect)
        self.generations[id(effect)] = effect.copy.generation

    def do_abandon(self, effect) -> None:
        del self.live[effect.process.pid]
        self.ending.discard(effect.process.pid)
        self.lingering.discard(effect.process.pid)

    def do_later(self, effect) -> None:
        assert effect.at >= self.now
        self.deadlines.append((effect.at, effect.message))

    def do_notify(self, effect) -> None:
        self.told.append((effect.event, effect.process.pid if effect.process else None))
        if effect.event == "ready":
            assert effect.process.pid not in self.ready, "told to be ready twice"
            self.ready.add(effect.process.pid)
        if effect.event == "unready":
            self.ready.remove(effect.process.pid)
        if effect.event == "stop":
            assert not self.live, "told to be stopped while processes live"

    def do_reportcommit(self, effect) -> None:
        self.unanswered.remove(effect.commit.pid)
        assert (effect.error is None) == (effect.commit.pid in self.live)

    def do_removed(self, effect) -> None:
        self.removed += 1
        assert self.unloaded and not self.live and self.removed == 1

    @invariant()
    def every_commit_is_answered(self) -> None:
        waiting = {copy.committed.pid for copy in self.job.extras.values() if copy.process is None}
        assert self.unanswered == waiting

    # -- commands -----------------------------------------------------------------
    @rule()
    def start(self) -> None:
        self.wanted_up = not self.unloaded
        self.send(messages.Start())

    @rule()
    def stop(self) -> None:
        self.wanted_up, self.surge = False, 0
        self.send(messages.Stop())
        self.told_to_end_all()

    @rule()
    def gaffer_itself_ends(self) -> None:
        """What is detached and was not told to stop is let go; everything else is told to stop."""
        before, leaving = set(self.live), self.ending | self.lingering
        self.wanted_up, self.surge = False, 0
        self.send(messages.Stop(keep_detached=True))
        if self.job.config.detach:
            assert set(self.live) == leaving
        else:
            assert set(self.live) == before
            self.told_to_end_all()

    @rule()
    def restart(self) -> None:
        self.wanted_up = not self.unloaded
        self.send(messages.Restart())

    @rule()
    def reload(self) -> None:
        self.wanted = self.job.config.numprocesses
        self.send(messages.Reload())

    @rule()
    def stop_all(self) -> None:
        self.send(messages.StopAll())

    @rule(count=st.integers(0, 5))
    def scale(self, count: int) -> None:
        self.wanted = count
        self.send(messages.Scale(count))

    @rule(
        count=st.integers(0, 3),
        cmd=st.sampled_from(["serve", "other"]),
        start=st.sampled_from([None, True, False]),
        detach=st.booleans(),
        replace=st.booleans(),
    )
    def update(self, count: int, cmd: str, start: bool | None, detach: bool, replace: bool) -> None:
        if self.unloaded:
            return
        self.wanted = count
        was_up = self.wanted_up
        self.wanted_up = self.wanted_up if start is None else start
        if was_up and start is False:
            self.surge = 0
        self.send(messages.Update(JobConfig("web", cmd, numprocesses=count, detach=detach), start, replace))

    @rule()
    def commit(self) -> None:
        self.pids += 1
        self.unanswered.add(self.pids)
        self.send(messages.Commit(self.pids))

    @rule(data=st.data())
    @precondition(lambda self: self.live)
    def stop_pid(self, data) -> None:
        self.send(messages.StopPid(data.draw(st.sampled_from(sorted(self.live)))))

    @rule()
    @precondition(lambda self: self.now > 20)
    def unload(self) -> None:
        self.unloaded, self.wanted_up, self.surge = True, False, 0
        self.send(messages.Unload())
        self.told_to_end_all()

    @rule(count=st.integers(0, 3))
    def keep_more_for_a_while(self, count: int) -> None:
        if self.wanted_up:
            self.surge = count
        self.send(messages.Surge(count))

    @rule(data=st.data(), ready=st.booleans())
    @precondition(lambda self: self.live)
    def a_probe_answers(self, data, ready: bool) -> None:
        pid = data.draw(st.sampled_from(sorted(self.live)))
        self.send(messages.SetReady(pid, ready, "the probe's answer"))
        if pid not in self.ending | self.lingering:
            assert (pid in self.ready) == ready

    @rule(data=st.data())
    @precondition(lambda self: self.live)
    def a_process_does_not_work(self, data) -> None:
        pid = data.draw(st.sampled_from(sorted(self.live)))
        self.send(messages.Fail(pid, "no answer"))
        assert pid in self.ending | self.lingering

    @rule()
    def starts_are_released(self) -> None:
        self.send(messages.Release())
        assert not any(copy.state == "held" for copy in self.job.copies.values())

    def told_to_end_all(self) -> None:
        assert set(self.live) == self.ending | self.lingering, "a process of a stopped job was not told to stop"

    # -- what happens by itself ------------------------------------------------------
    @rule()
    @precondition(lambda self: self.turns)
    def turn(self) -> None:
        self.turns -= 1
        self.send(messages.StartTurn())

    @rule(data=st.data(), answer=st.sampled_from(["start", "start, not ready", "wait", "no"]))
    @precondition(lambda self: self.approvals)
    def plugins_answer(self, data, answer: str) -> None:
        asked = self.approvals.pop(data.draw(st.integers(0, len(self.approvals) - 1)))
        if answer == "start":
            self.send(asked)
        elif answer == "start, not ready":
            self.send(asked._replace(plan=SimpleNamespace(unready="the probe has not answered yet")))
        elif answer == "wait":
            self.send(messages.Held(asked.copy, asked.generation, "it waits"))
        else:
            self.send(messages.SpawnFailed(asked.copy, asked.generation, OSError("no")))

    @rule(data=st.data(), code=st.sampled_from([0, 1, None]), caused=st.booleans())
    @precondition(lambda self: set(self.live) - self.lingering)
    def leader_exits(self, data, code: int | None, caused: bool) -> None:
        pid = data.draw(st.sampled_from(sorted(set(self.live) - self.lingering)))
        copy, _ = self.live[pid]
        self.exits_given.append(pid)
        if pid in self.ending:
            self.ending.discard(pid)
            self.lingering.add(pid)
        else:
            del self.live[pid]
        self.send(messages.Exited(copy, code, "status", caused))

    @rule(data=st.data())
    @precondition(lambda self: self.lingering)
    def rest_goes(self, data) -> None:
        pid = data.draw(st.sampled_from(sorted(self.lingering)))
        self.lingering.discard(pid)
        copy, _ = self.live.pop(pid)
        self.send(messages.Gone(copy))

    @rule(data=st.data(), decision=DECISIONS)
    @precondition(lambda self: self.decisions)
    def policy_answers(self, data, decision) -> None:
        asked = self.decisions.pop(data.draw(st.integers(0, len(self.decisions) - 1)))
        before = self.job.active
        self.send(messages.Decided(asked.copy, self.generations.pop(id(asked)), decision))
        if before and not self.job.active:
            assert isinstance(decision, (GiveUp, Done)), "only an end ends a job"
            self.wanted_up, self.surge = False, 0

    @rule(seconds=st.floats(0.01, 40))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        due = [message for at, message in self.deadlines if at <= self.now]
        self.deadlines = [(at, message) for at, message in self.deadlines if at > self.now]
        for message in due:
            self.send(message)

    # -- what always holds -----------------------------------------------------------
    @invariant()
    def agrees_with_the_model(self) -> None:
        World.steps += 1
        assert self.job.active == self.wanted_up
        assert self.job.wanted == self.wanted

    @invariant()
    def never_more_than_wanted(self) -> None:
        counted = [copy for copy, _ in self.live.values() if not copy.committed]
        assert len({copy.index for copy in counted}) == len(counted), "two processes of one index"
        staying = [copy for copy in counted if copy.process.pid not in self.ending | self.lingering]
        assert len(staying) <= self.wanted + self.surge

    @invariant()
    def the_table_holds_what_lives(self) -> None:
        assert {copy.process.pid for copy in self.job.live()} == set(self.live)

    @invariant()
    def counts_are_right(self) -> None:
        counted: dict[str, int] = {}
        for copy in self.job.copies.values():
            for key in filter(None, (copy.state, copy.readiness)):
                counted[key] = counted.get(key, 0) + 1
        assert {state: n for state, n in self.job._counts.items() if n} == counted

    @invariant()
    def only_what_is_up_has_a_readiness(self) -> None:
        for copy in self.job.live():
            assert bool(copy.readiness) == (copy.state == "up")
            assert (copy.readiness == "ready") <= (copy.process.pid in self.ready)

    @invariant()
    def nothing_waits_that_was_released(self) -> None:
        for copy in self.job.copies.values():
            assert copy.state != "held" or copy.asked_at == self.job._releases

    @invariant()
    def every_exit_is_told_once(self) -> None:
        assert [pid for event, pid in self.told if event == "exit"] == self.exits_given

    def teardown(self) -> None:
        """Let everything settle: a job wanted up is up, any other has nothing left."""
        for _ in range(200):
            if not self.settle_once():
                break
        else:
            raise AssertionError("the machine never settles")
        up = [copy for copy, _ in self.live.values() if not copy.committed]
        if self.wanted_up:
            ended = [copy for copy in self.job.copies.values() if copy.state in ("failed", "done")]
            held = [copy for copy in self.job.copies.values() if copy.state == "held"]
            assert len(up) + len(ended) + len(held) == self.wanted + self.surge
        else:
            assert not self.live or all(copy.committed for copy, _ in self.live.values())
        if self.unloaded:
            assert self.removed == 1

    def settle_once(self) -> bool:
        if self.turns:
            self.turns -= 1
            self.send(messages.StartTurn())
        elif self.approvals:
            self.send(self.approvals.pop(0))
        elif self.decisions:
            asked = self.decisions.pop(0)
            self.send(messages.Decided(asked.copy, self.generations.pop(id(asked)), Now()))
        elif self.ending:
            pid = self.ending.pop()
            self.lingering.add(pid)
            self.exits_given.append(pid)
            self.send(messages.Exited(self.live[pid][0], 0, "status"))
        elif self.lingering:
            copy, _ = self.live.pop(self.lingering.pop())
            self.send(messages.Gone(copy))
        elif self.deadlines:
            self.now = max(at for at, _ in self.deadlines)
            due, self.deadlines = [message for _, message in self.deadlines], []
            for message in due:
                self.send(message)
        else:
            return False
        return True


def test_random_histories_keep_all_invariants():
    World.steps = 0
    run_state_machine_as_test(
        World,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert World.steps >= 10_000, "the supervisor issue asks for ten thousand steps a run"
