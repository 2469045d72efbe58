"""Commands and chains: docs/protocols/websocket_v2.md, sections 2 to 4."""

from __future__ import annotations

from typing import Any, get_args

import pytest

import wsfeeds.command.commands  # noqa: F401  # makes the commands known
from wsfeeds.command import conditions, hooks, spec
from wsfeeds.command import variables as module
from wsfeeds.command.comparisons import compare
from wsfeeds.command.conditions import Operation
from wsfeeds.command.exact import dumps, loads
from wsfeeds.command.hooks import CommandFailed, Compiler, Context
from wsfeeds.command.paths import NOTHING
from wsfeeds.command.variables import Variables
from wsfeeds.command.variants import SendFailed
from wsfeeds.errors import UsageError


class Peer:
    """The far end of a chain: keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.closing = False
        self.open = True

    def send(self, text: str) -> None:
        if not self.open:
            raise SendFailed("the connection is not open")
        self.sent.append(text)

    def request_close(self) -> None:
        self.closing = True


class Bench:
    """Runs chains against one peer, with one set of variables."""

    def __init__(self, **environment: str) -> None:
        self.peer = Peer()
        self.environment = environment
        self.vars: dict[str, Any] = {}

    def __call__(self, data: Any, *chain: dict[str, Any]) -> Any:
        variables = Variables(list(chain), self.environment)
        commands = [spec.convert(each, spec.Command, "") for each in chain]
        compiled = Compiler(variables).chain(commands, "hook")
        context = Context(
            data=data, hook="onMessage", connection=self.peer, variables=variables, vars=self.vars
        )
        work = compiled.run(context)
        try:
            next(work)
        except StopIteration as end:
            return end.value
        raise AssertionError("nothing here is to be waited for")


@pytest.fixture
def bench() -> Bench:
    return Bench(SECRET="s3cret", PROJECT_ID="of-the-test")


def send(text: str) -> dict[str, Any]:
    return {"command": "websocket-v2-send", "params": {"sendMessage": text}}


def path(expression: str, **more: Any) -> dict[str, Any]:
    return {"command": "json-path", "params": {"path": expression, **more}}


def parse(**params: Any) -> dict[str, Any]:
    return {"id": 1007, "type": "PARSE", "params": params}


# --- Send, Close ------------------------------------------------------------------------------


def test_send_and_close_pass_their_input_through(bench) -> None:
    assert bench({"a": 1}, send("x"), {"id": 9, "type": "WS_V2"}) == {"a": 1}
    assert bench.peer.sent == ["x"]
    assert bench.peer.closing


def test_send_on_a_closed_connection_fails_as_a_command(bench) -> None:
    bench.peer.open = False
    with pytest.raises(CommandFailed, match="not open"):
        bench(None, send("x"))


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("%{SECRET}", "s3cret"),
        ("a %{SECRET} b", "a s3cret b"),
        ("@{PREVIOUS_OUTPUT}", '{"a":{"b":[1.50,2]}}'),
        ("[@{STEP_OUTPUT}]", '[{"a":{"b":[1.50,2]}}]'),
        ("${a.b}", "[1.50,2]"),
        ("${data.a.b[0]}", "1.50"),
        ("${a.b[-1]}", "2"),
        ("${a.b.length}", "2"),
        ("${hook}", "onMessage"),
        ("@{PROJECT_ID}", "of-the-test"),
        ("${vars.kept} ${kept}", "1 1"),
        ("@{UNKNOWN} #{OTHER} {x} $5 100%", "@{UNKNOWN} #{OTHER} {x} $5 100%"),
    ],
)
def test_variables_in_what_is_sent(bench, text, sent) -> None:
    bench.vars["kept"] = 1
    bench(loads('{"a":{"b":[1.50,2]}}'), send(text))
    assert bench.peer.sent == [sent]


def test_variables_look_into_text_that_is_json(bench) -> None:
    """A raw message needs no JSON Parse before, as with If-Else."""
    text = '{"a":[1.50,{"b":"ö"}]}'
    bench(text, send("${a[0]} ${data.a[1].b} ${data}"))
    assert bench.peer.sent == [f"1.50 ö {text}"]
    with pytest.raises(CommandFailed, match="no value"):
        bench("no json", send("${a}"))


def test_each_uuid_is_new(bench) -> None:
    bench(None, send("#{UUID} #{UUID}"))
    one, other = bench.peer.sent[0].split()
    assert one != other


def test_facts_of_the_run_stay_what_they_were_at_its_start(monkeypatch) -> None:
    """Its id, and the milliseconds at which it started."""
    monkeypatch.setattr(module, "wall_seconds", lambda: 1_700_000_000.25)
    run = Variables([], {})
    text = "@{RUN_ID} @{START_TIMESTAMP}"
    first = run.text(text, module.nowhere)
    monkeypatch.setattr(module, "wall_seconds", lambda: 1_800_000_000.0)
    assert run.text(text, module.nowhere) == first
    assert first.endswith(" 1700000000250")
    assert Variables([], {}).text("@{RUN_ID}", module.nowhere) != first.split()[0]


def test_a_variable_without_value_fails_the_command(bench) -> None:
    with pytest.raises(CommandFailed, match=r"\$\{nope\}"):
        bench({}, send("x ${nope}"))


# --- Json Path --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("$", '{"a":[{"p":1.50,"s":"x"},{"p":2}],"n":null}'),
        ("$.a[0].p", "1.50"),
        ("$.a[-1].p", "2"),
        ("$['a'][1]['p']", "2"),
        ("$.n", "null"),
        ("$.a[*].p", "[1.50,2]"),
        ("$..p", "[1.50,2]"),
        ("$.a[?(@.s == 'x')]", '[{"p":1.50,"s":"x"}]'),
        ("$.a[?@.p > 1.75].p", "[2]"),
        ("$.b[*]", "[]"),
        ("$.a[0:1].p", "[1.50]"),
    ],
)
def test_json_path_finds_one_value_or_a_list(bench, expression, found) -> None:
    text = '{"a":[{"p":1.50,"s":"x"},{"p":2}],"n":null}'
    assert dumps(bench(text, path(expression))) == found.encode()
    assert dumps(bench(loads(text), path(expression))) == found.encode()


def test_a_definite_path_without_match_has_no_value(bench) -> None:
    assert bench("{}", path("$.a")) is NOTHING
    assert bench("{}", path("$.a"), path("$.b"), {"command": "decode"}, send("on")) is NOTHING
    assert bench.peer.sent == ["on"]


def test_json_path_s_first_name_wins(bench) -> None:
    assert bench('{"a":1,"b":2}', path("$.b", jsonPath="$.a")) == 1


def test_source_selects_a_member_first(bench) -> None:
    assert bench('{"a":{"b":2},"b":1}', path("$.b", source="a")) == 2
    assert bench("[]", path("$.b", source="a")) is NOTHING


def test_key_stores_the_result_and_lets_the_data_pass(bench) -> None:
    assert bench('{"a":1}', path("$.a", key="x")) == '{"a":1}'
    assert bench.vars == {"x": 1}
    assert bench("{}", path("$.a", key="x")) == "{}"
    assert bench.vars == {}


def test_input_replaces_the_previous_output(bench) -> None:
    assert bench("ignored", path("$.a", input={"a": 1})) == 1
    assert bench("ignored", path("$.a", input='{"a":2}')) == 2
    assert bench({"in": {"a": 3}}, path("$.a", input="${data.in}")) == 3


@pytest.mark.parametrize("data", ["no json", "", "{"])
def test_text_that_is_no_json_fails(bench, data) -> None:
    with pytest.raises(CommandFailed, match=r"^hook\[0\]\.params: the input is no JSON"):
        bench(data, path("$"))


def test_a_path_of_variables_is_checked_when_it_runs(bench) -> None:
    bench.vars["which"] = "a"
    assert bench('{"a":1}', path("$.${which}")) == 1
    bench.vars["which"] = "["
    with pytest.raises(CommandFailed, match="no JSONPath"):
        bench('{"a":1}', path("$.${which}"))


# --- JSON Parse -------------------------------------------------------------------------------


def test_json_parse(bench) -> None:
    assert bench("[1,2]", parse()) == [1, 2]
    assert bench({"already": 1}, parse()) == {"already": 1}
    assert bench('{"inner":"{\\"a\\":1}"}', parse(source="inner")) == {"a": 1}
    assert bench("x", parse(input="[3]")) == [3]
    assert bench("[4]", parse(key="k")) == "[4]"
    assert bench.vars == {"k": [4]}
    assert bench("not json", parse(validate=False)) == "not json"
    with pytest.raises(CommandFailed, match="no JSON"):
        bench("not json", parse())


# --- If-Else ----------------------------------------------------------------------------------


def if_else(condition: dict[str, Any], **more: Any) -> dict[str, Any]:
    params = {"condition": condition, "trueCommands": [send("yes")],
              "falseCommands": [send("no")], "timeout": 1000, **more}  # fmt: skip
    return {"id": 1100, "type": "EXECUTION_FLOW", "params": params}


def simple(left: str, operation: str, right: Any) -> dict[str, Any]:
    return {
        "left": {"type": "property", "value": left},
        "operation": operation,
        "right": {"type": "value", "value": right},
    }


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (simple("status", "==", "active"), True),
        (simple("CommandResult.status", "==", "active"), True),
        (simple("$.odds[0].p", ">", 1.4), True),
        (simple("odds.0.p", ">", 1.6), False),
        (simple("missing", "==", None), True),
        (simple("missing", "===", None), False),
        ({"operator": "AND", "conditions": [simple("n", ">", 1), simple("n", "<", 3)]}, True),
        ({"operator": "AND", "conditions": [simple("n", ">", 1), simple("n", "<", 2)]}, False),
        ({"operator": "OR", "conditions": [simple("n", ">", 5), simple("n", "<", 3)]}, True),
        (
            {"operator": "OR", "conditions": [
                simple("n", ">", 5),
                {"operator": "AND", "conditions": [simple("status", "includes", "act")]},
            ]},
            True,
        ),
    ],
)  # fmt: skip
def test_if_else_runs_the_list_it_chooses(bench, condition, holds) -> None:
    data = '{"status":"active","n":2,"odds":[{"p":1.50}]}'
    assert bench(data, if_else(condition)) == data
    assert bench.peer.sent == ["yes" if holds else "no"]


@pytest.mark.parametrize("family", ["EXECUTION_FLOW", "FLOW", "if-else"])
def test_if_else_is_known_in_whatever_family_it_stands(bench, family) -> None:
    """The page does not tell which one it is."""
    bench('{"a":1}', if_else(simple("a", "==", 1)) | {"type": family})
    assert bench.peer.sent == ["yes"]


def test_if_else_gives_the_output_of_its_branch(bench) -> None:
    chosen = if_else(simple("a", "==", 1), trueCommands=[path("$.b")])
    assert bench('{"a":1,"b":2}', chosen) == 2
    assert (
        bench('{"a":0,"b":2}', if_else(simple("a", "==", 1), falseCommands=[])) == '{"a":0,"b":2}'
    )


def test_if_else_looks_at_another_context(bench) -> None:
    bench.vars["kept"] = {"a": 1}
    bench("{}", if_else(simple("a", "==", 1), context="kept"))
    assert bench.peer.sent == ["yes"]


def test_variables_inside_a_branch_are_expanded_when_it_gets_there(bench) -> None:
    branch = [path("$.b", key="k"), send("${k}")]
    bench('{"a":1,"b":2}', if_else(simple("a", "==", 1), trueCommands=branch))
    assert bench.peer.sent == ["2"]


def test_a_branch_has_its_time(bench) -> None:
    slow = if_else(simple("a", "==", None), timeout=0.000001, trueCommands=[send("x"), send("y")])
    with pytest.raises(CommandFailed, match="If-Else"):
        bench("{}", slow)


@pytest.fixture
def sending_takes_a_second(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in (hooks, conditions):
        monkeypatch.setattr(part, "monotonic", lambda: float(len(bench.peer.sent)))


@pytest.mark.usefixtures("sending_takes_a_second")
def test_the_time_of_a_branch_is_in_milliseconds_and_its_own(bench) -> None:
    inside = if_else(simple("a", "==", None), timeout=1500, trueCommands=[send("x"), send("y")])
    bench("{}", inside, send("after"))
    assert bench.peer.sent == ["x", "y", "after"]
    inside["params"]["trueCommands"].append(send("late"))
    with pytest.raises(CommandFailed, match="If-Else"):
        bench("{}", inside, send("after"))
    assert bench.peer.sent[3:] == ["x", "y"]


@pytest.mark.usefixtures("sending_takes_a_second")
def test_a_branch_within_a_branch_does_not_outlive_it(bench) -> None:
    inner = if_else(simple("a", "==", None), timeout=9000, trueCommands=[send("y"), send("late")])
    with pytest.raises(CommandFailed, match="If-Else"):
        bench(
            "{}",
            if_else(simple("a", "==", None), timeout=1500, trueCommands=[send("x"), inner]),
        )
    assert bench.peer.sent == ["x", "y"]


def test_variables_in_a_condition_are_expanded(bench) -> None:
    bench.vars |= {"name": "status", "wanted": "open"}
    condition = simple("${name}", "==", "${wanted}")
    bench('{"status":"open"}', if_else(condition))
    bench('{"status":"closed"}', if_else(condition))
    assert bench.peer.sent == ["yes", "no"]


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({}, "hook[0].params.condition"),
        ({"condition": simple("a", "~", 1)}, "hook[0].params.condition.operation"),
        ({"condition": {"left": {"type": "value"}}}, "hook[0].params.condition.operation"),
        ({"condition": {"operator": "AND"}}, "hook[0].params.condition.conditions"),
        ({"condition": {"operator": "XOR"}}, "hook[0].params.condition.operator"),
        ({"condition": simple("a", "==", 1), "timeout": 0}, "hook[0].params.timeout"),
        ({"condition": simple("a", "==", 1), "trueCommands": [{"command": "nope"}]},
         "hook[0].params.trueCommands[0].command"),
        ({"condition": {"left": {"type": "property", "value": 1}, "operation": "==",
                        "right": {"type": "value"}}}, "hook[0].params.condition"),
    ],
)  # fmt: skip
def test_if_else_is_checked_all_the_way_down(bench, params, place) -> None:
    whole = {"trueCommands": [], "timeout": 5, **params}
    with pytest.raises(UsageError) as caught:
        bench("{}", {"command": "if-else", "params": whole})
    assert caught.value.message.startswith(place)


@pytest.mark.parametrize(
    ("left", "operation", "right", "holds"),
    [
        ("abc", "includes", "b", True),
        ([1, 2], "includes", 2, True),
        ([1, 2], "includes", "2", False),
        (5, "includes", "5", False),
        ("abc", "startsWith", "ab", True),
        ("abc", "startsWith", "b", False),
        ("abc", "endsWith", "bc", True),
        (None, "endsWith", "bc", False),
        (1, "==", "1", True),
        (1, "==", "1.0", True),
        (1, "===", "1", False),
        (1, "===", 1.0, True),
        (True, "==", 1, True),
        (True, "===", 1, False),
        (None, "==", 0, False),
        ("a", "!=", "b", True),
        ("1", "!=", 1, False),
        ("1", "!==", 1, True),
        ({"a": 1}, "===", {"a": 1}, True),
        ("10", ">", "9", False),
        ("10", ">", 9, True),
        (2, ">", 2, False),
        (3, ">", 2, True),
        (2, ">=", 2, True),
        (1, ">=", 2, False),
        (1, "<", 2, True),
        (2, "<", 2, False),
        (3, "<=", 2, False),
        (2, "<", "x", False),
        (2, "<=", 2, True),
        ("", "<", 1, True),
        ([1], "<", 5, False),
    ],
)
def test_comparisons_are_javascript_s(left, operation, right, holds) -> None:
    assert compare(left, operation, right) is holds


def test_every_operation_can_be_judged() -> None:
    for operation in get_args(Operation):
        assert compare(1, operation, 1) in {True, False}
        assert compare(NOTHING, operation, NOTHING) in {True, False}


def test_chains_know_whether_they_only_send(bench) -> None:
    compiler = Compiler(Variables([], {}))
    commands = [spec.Command(command="send", params={"sendMessage": "x"})]
    assert compiler.chain(commands, "h").silent
    assert not compiler.chain([*commands, spec.Command(command="decode")], "h").silent
