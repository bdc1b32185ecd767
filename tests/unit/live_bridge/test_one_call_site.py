"""Orders come into being in one place, behind the gate: read from the sources themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import live_bridge

PACKAGE = Path(live_bridge.__file__).parent
SOURCES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")
}
CREATING = {
    "create_order", "createOrder", "create_orders", "create_market_order", "create_limit_order",
    "create_market_buy_order", "create_market_sell_order", "create_limit_buy_order",
    "create_limit_sell_order", "create_order_with_take_profit_and_stop_loss", "edit_order",
    "private_post_order", "privatePostOrder",
    "request", "fetch2", "withdraw", "transfer",
}  # fmt: skip


def calls(tree: ast.AST, names: set[str]) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names
    ]


def functions_that_call(tree: ast.AST, names: set[str]) -> list[str]:
    return [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and calls(node, names)]


def test_ccxt_is_asked_for_an_order_in_one_line() -> None:
    found = {
        name: len(calls(tree, CREATING)) for name, tree in SOURCES.items() if not name.startswith("loopback/")
    }
    assert {name: count for name, count in found.items() if count} == {"ccxt_account.py": 1}
    assert functions_that_call(SOURCES["ccxt_account.py"], {"create_order"}) == ["submit"]


def test_an_exchange_is_handed_an_order_by_the_sender_and_a_simulation_by_the_paper_desk() -> None:
    found = {name: functions_that_call(tree, {"submit"}) for name, tree in SOURCES.items()}
    assert {name: where for name, where in found.items() if where} == {
        "sending.py": ["_post"],
        "desk.py": ["act"],
    }
    (post,) = calls(SOURCES["desk.py"], {"submit"})
    assert isinstance(post.func, ast.Attribute)
    assert ast.unparse(post.func.value) == "broker"
    assert "broker = PaperExchange(" in ast.unparse(SOURCES["desk.py"])


def test_the_one_request_follows_the_gate_and_the_durable_intent() -> None:
    tree = SOURCES["sending.py"]
    assert functions_that_call(tree, {"_post"}) == ["_send"]
    (send,) = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "_send"]
    text = ast.unparse(send)
    order = [text.index(part) for part in ("_obstacle(", "if reason:", "Draft('SENT'", "self._post(")]
    assert order == sorted(order)
    (obstacle,) = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "_obstacle"]
    assert isinstance(obstacle.body[-1], ast.Return)
    assert "refusal(" in ast.unparse(obstacle.body[-1])


def test_what_is_sent_comes_out_of_the_risk_step_or_a_persons_flatten() -> None:
    # Orders are planned by two functions: after permit(), and to a weight of zero.
    planning = {name for name, tree in SOURCES.items() if "plan_orders(" in ast.unparse(tree)}
    assert planning == {"orders.py", "planning.py", "operations.py"}
    plan = ast.unparse(SOURCES["planning.py"])
    steps = ("permit(portfolio", "targets, placing = (_targets(permission,", "plan = _ordered(targets,")
    order = [plan.index(step) for step in steps]
    assert order == sorted(order)
    assert [plan.count(call) for call in ("plan_orders(", "plan_orders(targets,", "_ordered(")] == [1, 1, 2]
    assert "Target(s, 0.0, account.quantities[s]" in ast.unparse(SOURCES["operations.py"])
