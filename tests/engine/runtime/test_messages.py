"""The Message operator."""

import pytest

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime.messages import message


def test_a_message_reaches_the_sink_and_the_source_passes_through():
    seen = []
    source = [3, 4, 5]
    assert message(source, True, "300", "Trace", "look", lambda *m: seen.append(m)) is source
    assert seen == [("Trace", "300", "look", source)]


@pytest.mark.parametrize("condition", [False, None])
def test_nothing_happens_unless_the_condition_is_true(condition):
    seen = []
    assert message(1, condition, "400", "Error", "no", lambda *m: seen.append(m)) == 1
    assert seen == []


def test_severity_is_message_when_none_is_given_and_a_sink_is_not_needed():
    seen = []
    message(1, True, None, None, "hello", lambda *m: seen.append(m))
    assert seen == [("Message", None, "hello", 1)]
    assert message(1, True, None, "Warning", "hello") == 1


def test_an_error_stops_the_evaluation_with_its_code_and_text():
    with pytest.raises(EvaluationError, match="400: This is an error!"):
        message(4, True, "400", "Error", "This is an error!")
    with pytest.raises(EvaluationError, match="without a code"):
        message(4, True, None, "Error", "without a code")
