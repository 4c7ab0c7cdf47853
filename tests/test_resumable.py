"""What takes long ends softly: trainings at their next step, anything else where it is."""

import os
import signal

import pytest

from handloom.cli.machine import resumable


def test_what_asks_is_given_the_time_to_end():
    said = []

    def run(progress, stop):
        for step in range(100):
            if step == 3:
                os.kill(os.getpid(), signal.SIGINT)
            progress("train", step, 100)
            if stop():
                said.append(step)
                return None
        return "done"

    with pytest.raises(SystemExit) as ended:
        resumable("Training", run)
    assert ended.value.code == 130
    assert said == [3]


def test_what_does_not_ask_is_left(capsys):
    seen = []

    def run(progress, stop):
        for step in range(100):
            if step == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            progress("evaluate", step, 100)
            seen.append(step)
        return "done"

    with pytest.raises(SystemExit) as ended:
        resumable("ghtt-table2", run)
    assert ended.value.code == 130
    assert seen == [0, 1, 2, 3]
    assert "ended early" in capsys.readouterr().out


def test_a_result_is_handed_on():
    assert resumable("Training", lambda progress, stop: 7) == 7
