"""What follows an exit, on fake processes: the restart setting, backoff, flapping, exits that do not count."""

import signal

import pytest

import gaffer
from gaffer.testing import settle

TERM, KILL, USR1 = signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch):
    monkeypatch.setattr("gaffer.supervisor.restart_policy._random", lambda: 0.5)


class Life:
    """A manager with one job ``web``, the time, and what happened."""

    def __init__(self, make, spawner, clock):
        self.spawner, self.clock, self.events = spawner, clock, []
        self.manager = make()
        self.manager.start()
        self.manager.subscribe(".", lambda event, message: self.events.append((event, message)))

    def load(self, **settings):
        self.manager.load(gaffer.JobConfig("web", "serve", **settings))
        settle(self.manager)

    def exit(self, code=0, index=0):
        self._live(index).exit(code)
        settle(self.manager)

    def die(self, signum=signal.SIGSEGV):
        self._live(0).die(signum)
        settle(self.manager)

    def _live(self, index):
        return next(process for process in self.spawner.alive if process.index == index)

    def kill(self, signum):
        self.manager.kill(self.spawner.alive[0].pid, signum)
        settle(self.manager)

    def wait(self, seconds):
        self.clock.advance(seconds)
        settle(self.manager)

    def call(self, name, *args, **options):
        getattr(self.manager, name)("web", *args, **options)
        settle(self.manager)

    @property
    def starts(self):
        return len(self.spawner.processes)

    @property
    def info(self):
        return self.manager.info("web")

    def count(self, event):
        return sum(name == event for name, _ in self.events)


@pytest.fixture
def life(gaffer_manager, gaffer_spawner, gaffer_clock):
    return Life(gaffer_manager, gaffer_spawner, gaffer_clock)


# -- the restart setting --------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 255])
def test_process_is_replaced_after_any_exit_code(life, code):
    life.load(min_uptime=0.0)
    for number in (2, 3):
        life.exit(code)
        assert life.starts == number and life.info["restarts"] == number - 1


@pytest.mark.parametrize(
    ("setting", "codes", "end", "comes_back"),
    [
        ("on-failure", [0], 0, False),
        ("on-failure", [0], 3, True),
        ("on-failure", [0, 3], 3, False),
        ("on-failure", [3], 0, True),
        ("on-failure", [0], TERM, True),
        ("never", [0], 0, False),
        ("never", [0], 3, False),
        ("never", [0], KILL, False),
    ],
)
def test_restart_setting(life, setting, codes, end, comes_back):
    life.load(restart=setting, exit_codes=codes, min_uptime=0.0)
    life.die(end) if isinstance(end, signal.Signals) else life.exit(end)
    if comes_back:
        assert life.starts == 2 and life.info["active"]
    else:
        assert (life.info["state"], life.info["active"], life.info["reason"]) == ("stopped", False, None)
        assert (life.starts, life.count("start"), life.count("stop")) == (1, 1, 1)


def test_job_that_is_done_can_be_started_again(life):
    life.load(restart="never")
    for number in (2, 3):
        life.exit()
        assert life.info["state"] == "stopped"
        life.call("start_job")
        assert life.starts == number


def test_job_is_done_when_all_its_copies_are(life):
    life.load(restart="never", numprocesses=2)
    life.exit(index=1)
    assert life.info["active"] and life.info["running"] == 1
    life.exit(index=0)
    assert life.info["state"] == "stopped" and not life.info["active"]


# -- backoff --------------------------------------------------------------------------------------


def test_early_exits_are_retried_with_growing_delays(life):
    life.load()
    for number, delay in enumerate((0.1, 0.2, 0.4, 0.8), 2):
        life.exit(1)
        assert life.info["state"] == "backoff" and life.info["retry_in"] == pytest.approx(delay)
        life.wait(delay * 0.9)
        assert life.starts == number - 1
        life.wait(delay * 0.2)
        assert life.starts == number


def test_waiting_job_shows_its_last_exit(life):
    life.load()
    life.exit(3)
    info = life.info
    assert info["reason"] == "exited with code 3" and info["last_exit"]["exit_status"] == 3
    assert info["active"] and info["running"] == 0 and info["processes"] == []


def test_long_uptime_resets_the_delays(life):
    life.load(min_uptime=2.0)
    for _ in range(3):
        life.exit(1)
        life.wait(1.0)
    life.wait(2.1)
    life.exit(1)
    assert life.starts == 5 and life.info["retry_in"] is None
    life.exit(1)
    assert life.info["retry_in"] == pytest.approx(0.1)


def test_each_copy_has_its_own_backoff(life):
    life.load(numprocesses=2)
    life.exit(1, index=0)
    life.wait(0.11)
    life.exit(1, index=0)
    assert life.info["retry_in"] == pytest.approx(0.2) and life.info["running"] == 1
    life.exit(1, index=1)
    assert life.info["retry_in"] == pytest.approx(0.1)


ENDS = {
    "stop": lambda life: life.call("stop_job"),
    "unload": lambda life: life.call("unload"),
    "scale": lambda life: life.call("scale", "=0"),
    "reload": lambda life: (life.call("stop_job"), life.call("reload")),
    "update": lambda life: life.manager.update(gaffer.JobConfig("web", "serve"), start=False),
}


@pytest.mark.parametrize("flapping", [None, [1, 10.0, 5.0, 5]], ids=["backoff", "flapping"])
@pytest.mark.parametrize("end", ENDS)
def test_no_deadline_starts_a_job_that_was_ended(life, end, flapping):
    life.load(**({} if flapping is None else {"flapping": flapping}))
    life.exit(1)
    assert life.info["state"] == ("backoff" if flapping is None else "flapping")
    ENDS[end](life)
    life.wait(1000.0)
    assert life.starts == 1


def test_retry_of_an_unloaded_job_does_not_affect_its_successor(life):
    life.load()
    life.exit(1)
    life.call("unload")
    life.load()
    life.wait(1000.0)
    assert (life.starts, life.info["running"], life.info["restarts"]) == (2, 1, 0)


@pytest.mark.parametrize("command", ["start_job", "restart_job", "reload", "manage"])
def test_command_does_not_wait_for_the_retry(life, command):
    life.load(flapping=[1, 10.0, 10_000.0, 5])
    life.exit(1)
    assert life.info["state"] == "flapping"
    life.call(command)
    assert life.starts == 2


def test_update_does_not_wait_for_the_retry(life):
    life.load(flapping=[1, 10.0, 10_000.0, 5])
    life.exit(1)
    life.manager.update(gaffer.JobConfig("web", "other"))
    settle(life.manager)
    assert life.starts == 2 and life.info["running"] == 1


# -- flapping -------------------------------------------------------------------------------------


def test_flapping_pauses_then_gives_up(life):
    """Two exits, a pause, two more, a pause, two more, and that was it."""
    life.load(flapping=[2, 30.0, 5.0, 2], min_uptime=0.0)
    for pauses in (1, 2):
        life.exit(1)
        life.exit(1)
        assert life.info["state"] == "flapping" and life.count("flap") == pauses
        life.wait(5.1)
    life.exit(1)
    life.exit(1)
    info = life.info
    assert info["state"] == "failed" and not info["active"] and "2 times" in info["reason"]
    flaps = [(event, message["retry_in"]) for event, message in life.events if event.endswith("flap")]
    assert flaps == [("flap", 5.0), ("job.default.web.flap", 5.0), ("proc.web.flap", 5.0)] * 2
    life.wait(1000.0)
    assert life.starts == 6 and life.count("stop") == 1


def test_failed_job_can_be_started(life):
    life.load(flapping=[1, 30.0, 1.0, 0])
    life.exit(1)
    assert life.info["state"] == "failed"
    life.call("start_job")
    assert life.starts == 2 and life.info["reason"] is None
    life.exit(1)
    assert life.info["state"] == "failed"
    life.manager.update(gaffer.JobConfig("web", "other"), start=True)
    settle(life.manager)
    assert life.info["running"] == 1 and life.info["reason"] is None


def test_without_a_limit_flapping_never_gives_up(life):
    life.load(flapping=[1, 30.0, 1.0, -1])
    for number in range(1, 11):
        life.exit(1)
        assert life.count("flap") == number and life.info["active"]
        life.wait(1.1)


def test_fewer_exits_than_attempts_are_no_flapping(life):
    life.load(flapping=[1000, 30.0, 1.0, 5], min_uptime=0.0)
    for _ in range(20):
        life.exit(1)
    assert life.starts == 21 and life.count("flap") == 0


def test_flapping_is_counted_for_each_copy(life):
    life.load(numprocesses=3, flapping=[2, 30.0, 1.0, 0], min_uptime=0.0)
    for index in (0, 1, 2, 1):
        life.exit(1, index)
    info = life.info
    assert (info["state"], info["active"], info["running"]) == ("failed", True, 2)
    assert sorted(process.index for process in life.manager.list("web")) == [0, 2]


# -- exits that do not count ----------------------------------------------------------------------


def exits(life):
    """Return the exits that count, of the first copy."""
    return life.manager.job("web").copies[0].remembered().exits


def test_stop_of_a_process_does_not_count(life):
    life.load()
    for number in range(2, 6):
        life.manager.stop_process(life.spawner.alive[0].pid)
        settle(life.manager)
        assert life.starts == number
    assert life.info["retry_in"] is None and not exits(life)


@pytest.mark.parametrize("signum", ["KILL", "term", 2, "SIGUSR1"])
def test_kill_through_gaffer_does_not_count(life, signum):
    life.load(flapping=[1, 100.0, 1000.0, 0])
    for number in range(2, 5):
        life.kill(signum)
        assert life.starts == number
    life.call("killall", signum)
    assert life.starts == 5 and not exits(life) and life.count("flap") == 0


@pytest.mark.parametrize("setting", ["never", "on-failure"])
def test_kill_through_gaffer_obeys_the_restart_setting(life, setting):
    life.spawner.ignores = {TERM}
    life.load(restart=setting, exit_codes=[7])
    life.kill("TERM")
    life.exit(7)
    assert life.info["state"] == "stopped" and life.starts == 1


def test_exit_after_a_signal_through_gaffer_does_not_count(life):
    """Servers catch TERM and exit with a code of their own: gaffer caused that as well."""
    life.spawner.ignores = {TERM}
    life.load()
    for number in range(2, 5):
        life.kill("TERM")
        life.exit(7)
        assert life.starts == number
    assert not exits(life)


def test_kill_from_elsewhere_counts(life):
    life.load()
    life.die(KILL)
    assert life.starts == 1 and len(exits(life)) == 1


def test_survived_signal_does_not_excuse_a_later_crash(life):
    """It was asked for USR1 and survived; that it dies by KILL from elsewhere is a crash."""
    life.spawner.ignores = {USR1}
    life.load()
    life.kill("USR1")
    life.die(KILL)
    assert len(exits(life)) == 1


# -- answers of plugins that cannot be used --------------------------------------------------------


@pytest.fixture
def confused(gaffer_manager, gaffer_spawner, gaffer_clock):
    """A life whose plugin gives answers that mean nothing."""

    class Confused:
        @gaffer.hookimpl
        def gaffer_restart_decision(self):
            return "restart"

        @gaffer.hookimpl
        def gaffer_stop_steps(self):
            return 15

    return Life(lambda: gaffer_manager(Confused()), gaffer_spawner, gaffer_clock)


def test_invalid_decision_leaves_it_to_the_policy(confused):
    confused.load(flapping=[2, 30.0, 5.0, 1], min_uptime=0.0)
    confused.exit(1)
    confused.exit(1)
    assert confused.starts == 2 and confused.info["retry_in"] == 5.0


def test_invalid_stop_steps_are_replaced_by_those_of_the_job(confused):
    confused.load(stop_signal="INT")
    confused.call("stop_job")
    assert confused.spawner.last.signals[0] == signal.SIGINT and confused.info["state"] == "stopped"


@pytest.mark.parametrize("command", ["restart_job", "reload"])
def test_replacements_on_request_are_counted_apart_from_deaths(life, command):
    life.load(min_uptime=0.0)
    life.exit(1)
    assert (life.info["restarts"], life.info["replacements"]) == (1, 0)
    life.call(command)
    assert (life.starts, life.info["restarts"], life.info["replacements"]) == (3, 1, 1)
    life.exit(1)
    assert (life.info["restarts"], life.info["replacements"]) == (2, 1)


def test_a_process_ended_by_a_signal_through_gaffer_is_a_replacement(life):
    life.load(min_uptime=0.0)
    life.kill(signal.SIGKILL)
    assert (life.starts, life.info["restarts"], life.info["replacements"]) == (2, 0, 1)
    life.die()
    assert (life.info["restarts"], life.info["replacements"]) == (1, 1)
