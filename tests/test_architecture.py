"""The house rules of docs/architecture.md, as tests."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from tests.subjects import SUBJECTS

ROOT = Path(__file__).resolve().parents[1]
HOUSE = sorted((ROOT / "runner").rglob("*.py"))
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path, *, inside_functions: bool = True) -> set[str]:
    """Names of the modules a file imports; type-checking blocks count where they list what a room loads later."""
    tree = parsed(path)
    found: set[str] = set()
    later = any(isinstance(node, ast.Name) and node.id == "__getattr__" for node in ast.walk(tree))

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not later:
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not inside_functions:
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            found.update(_named(_whole(path, node), [alias.name for alias in node.names]))
        if isinstance(node, ast.Call) and _loads(node):
            found.update(
                name.value
                for name in node.args[:1]
                if isinstance(name, ast.Constant) and isinstance(name.value, str)
            )
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return found


def _whole(path: Path, node: ast.ImportFrom) -> str:
    """The module of `from module import …`, a relative one by its full name."""
    if not node.level:
        return node.module or ""
    inside = path.relative_to(ROOT).parts[: -node.level] if path.is_relative_to(ROOT) else ()
    return ".".join([*inside, *filter(None, [node.module])])


def _loads(call: ast.Call) -> bool:
    """Whether it imports by a name: `importlib.import_module` or `__import__`."""
    return ast.unparse(call.func).rpartition(".")[2] in ("import_module", "__import__")


def _named(module: str, names: list[str]) -> set[str]:
    """What `from module import names` imports: of each name the submodule where it is one, else the module."""
    place = ROOT.joinpath(*module.split("."))
    return {
        f"{module}.{name}" if (place / f"{name}.py").is_file() or (place / name).is_dir() else module
        for name in names
    }


def uses(path: Path, package: str, **options: bool) -> bool:
    """Whether a file imports a package or anything in it."""
    return any(name.partition(".")[0] == package for name in imports(path, **options))


def module_of(path: Path) -> str:
    """The dotted name of a file's module; of a package's `__init__`, the package's."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in HOUSE + EXPERIMENTS}


def first_party(path: Path) -> set[str]:
    """Modules of runner/ and experiments/ that a file imports, those inside functions too."""
    return {name for name in imports(path) if name in MODULES} - {module_of(path)}


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Strongly connected parts of more than one node: R. Tarjan, SIAM J. Comput. 1, 146 (1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        path.append(node)
        for other in sorted(arrows.get(node, ())):
            if other not in number:
                visit(other)
            if other in path:
                lowest[node] = min(lowest[node], lowest[other])
        if lowest[node] == number[node]:
            part = path[path.index(node) :]
            del path[path.index(node) :]
            if len(part) > 1:
                found.append(sorted(part))

    for node in sorted(arrows):
        if node not in number:
            visit(node)
    return found


def test_circles_are_found() -> None:
    """Two circles that share a node are one; a chain and a node by itself are none (drawn on paper)."""
    arrows = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"b", "e"}, "e": {"f"}, "f": set(), "g": {"e"}}

    assert circles(arrows) == [["a", "b", "c", "d"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports inside functions count: what needs each other is one thing, or needs a third below both."""
    found = circles({name: first_party(path) for name, path in MODULES.items()})

    assert not found, "\n".join("a circle of imports: " + ", ".join(part) for part in found)


@cache
def floors() -> dict[str, tuple[list[str], set[str]]]:
    """The table of docs/architecture.md, from the lowest room up: first name → (all names, what it may import)."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    _, _, table = text.partition("## Who may import whom")
    rows = [line.split("|") for line in table.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    named = [(re.findall(r"`(\S+?)`", row[1]), set(re.findall(r"`(\S+?)`", row[3]))) for row in rows]
    return {names[0]: (names, allowed) for names, allowed in named}


@cache
def floor_of(module: str) -> str | None:
    """The row that a module is in, by the longest name that it begins with; None for the root and its `__main__`."""
    place = module.removeprefix("runner.").replace(".", "/")
    fitting = [
        (len(name), first)
        for first, (names, _) in floors().items()
        for name in names
        if place == name or place.startswith(f"{name}/")
    ]
    return max(fitting)[1] if fitting else None


def test_a_room_may_import_rooms_below_it_only() -> None:
    """The table is in order, so rooms cannot need each other."""
    seen: set[str] = set()
    for first, (_, allowed) in floors().items():
        assert allowed <= seen, f"{first} stands above {allowed - seen}"
        seen.add(first)


def test_every_module_is_in_a_room() -> None:
    """The root holds the package itself, `__main__` and the errors; rooms that are gone leave the table."""
    homeless = {name for name in MODULES if floor_of(name) is None}
    names = {name for names, _ in floors().values() for name in names}

    assert homeless == {"runner", "runner.__main__"}
    assert {path.name for path in (ROOT / "runner").glob("*.py")} == {
        "__init__.py",
        "__main__.py",
        "errors.py",
    }
    assert {name for name in names if not list(ROOT.glob(f"runner/{name}*"))} == {"experiments"}


def test_modules_import_what_their_room_may() -> None:
    """Imports inside functions count; the first three rows are open to everybody above."""
    table = floors()
    everybody = set(list(table)[:3])
    wrong = []
    for name, path in MODULES.items():
        own = floor_of(name)
        if own is None:
            continue
        allowed = everybody | {own} | table[own][1]
        wrong += [
            f"{name} imports {other}" for other in sorted(first_party(path)) if floor_of(other) not in allowed
        ]

    assert not wrong, "\n".join(wrong)


HEAVY = {
    "runner.display.console": "its class derives from Rich's",
    "runner.review.figures.shown": "its class derives from Matplotlib's",
    "runner.hamiltonian.operator": "its class derives from Qiskit's",
    "runner.hamiltonian.hydrogen": "its constants are NumPy's",
    "runner.serve.api": "Starlette, Uvicorn and the client's schemas, which nobody needs before the port is taken",
    "runner.serve.process": "the same",
    "runner.serve.runtime": "the same",
    "runner.whatif.rehearsal": "its stages derive from the engine's classes",
}
"""Modules that may be imported inside functions, and why they cannot wait for what they import (`runner.lazy`)."""


def test_functions_import_nothing_of_ours() -> None:
    """What a module needs stands at its top; a command line and a room's face load what they are asked for."""
    paths = [
        path for path in HOUSE + EXPERIMENTS if path.parent.name != "cli" and not path.name.startswith("__")
    ]
    inside = {path: imports(path) - imports(path, inside_functions=False) for path in paths}
    ours = {path: names & MODULES.keys() - HEAVY.keys() for path, names in inside.items()}

    assert {path: names for path, names in ours.items() if names} == {}


BY_NAME = {
    "runner/cli/line.py": "a verb's module",
    "runner/cli/manual.py": "the source of a schema, for its docstrings",
    "runner/declare/registry.py": "the modules of the groups, and plug-ins",
    "runner/engine/kernel/__init__.py": "compiled loops",
    "runner/lazy/__init__.py": "what waits until it is used",
    "runner/sweep/launcher.py": "what a launcher needs to be installed",
    "runner/tracking/store.py": "MLflow or its store",
}
"""Files that import what only the name in a variable says, and what that is."""


def nameless(path: Path) -> list[str]:
    """Imports by a name that is no text in the file."""
    return [
        ast.unparse(node)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and _loads(node)
        and not (node.args and isinstance(node.args[0], ast.Constant))
    ]


def test_modules_are_imported_by_statements() -> None:
    """What is imported by a name in a variable is seen by none of these tests; a few files need it."""
    files = {path.relative_to(ROOT).as_posix() for path in HOUSE + EXPERIMENTS if nameless(path)}

    assert files == BY_NAME.keys()


def test_the_house_does_not_import_experiments() -> None:
    """Imports go experiments → runner; only the registry knows the name of the package."""
    assert [path for path in HOUSE if uses(path, "experiments")] == []


def test_the_runtime_is_a_library() -> None:
    """runner/runtime imports neither Hydra nor OmegaConf nor MLflow."""
    above = ("hydra", "omegaconf", "mlflow")

    assert [
        path for path in HOUSE if "runtime" in path.parts and any(uses(path, name) for name in above)
    ] == []


def test_mlflow_is_imported_in_one_place() -> None:
    """MLflow is the tracker's business alone."""
    users = {path.relative_to(ROOT / "runner").parts[0] for path in HOUSE if uses(path, "mlflow")}

    assert {name.removesuffix(".py") for name in users} == {"tracking"}


@pytest.mark.parametrize("package", ["hydra", "omegaconf"])
def test_hydra_and_omegaconf_end_at_composition(package: str) -> None:
    """Behind what is declared there are plain dataclasses only."""
    rooms = {path.relative_to(ROOT / "runner").parts[0] for path in HOUSE if uses(path, package)}

    assert rooms == {"declare"}
    assert not [path for path in EXPERIMENTS if uses(path, package)]


def replaced(path: Path) -> list[str]:
    """What a file assigns to of something that is Hydra's: of a name that it imports, or of an instance of it."""
    tree = parsed(path)
    theirs = {
        alias.asname or alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if (isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "hydra")
        or isinstance(node, ast.Import)
        for alias in node.names
        if isinstance(node, ast.ImportFrom) or alias.name.partition(".")[0] == "hydra"
    }
    held = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _root(node.value) in theirs
        for part in node.targets
        for target in ast.walk(part)
        if isinstance(target, ast.Name)
    }
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store | ast.Del)
        and _root(node) in theirs | held
    ]


def _root(node: ast.AST) -> str:
    """The name that an expression of attributes, calls and items begins with."""
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def test_of_hydra_only_what_it_offers_is_used() -> None:
    """No module, name or attribute of Hydra's that begins with an underscore, and nothing of it is replaced."""
    for path in (path for path in HOUSE if uses(path, "hydra")):
        nodes = list(ast.walk(parsed(path)))
        modules = sorted(imports(path))
        names = [alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names]
        attributes = [
            node.attr
            for node in nodes
            if isinstance(node, ast.Attribute)
            and not (isinstance(node.value, ast.Name) and node.value.id == "self")
        ]
        calls = [
            node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]

        assert not [name for name in modules if name.startswith("hydra.") and "._" in name], path
        assert not [name for name in names if name.startswith("_") and name != "_"], path
        assert not [name for name in attributes if name.startswith("_") and not name.startswith("__")], path
        assert not {"setattr", "delattr"} & {*calls}, path
        assert not replaced(path), path


def test_instantiate_is_never_called() -> None:
    """No configuration can name a Python object."""
    for path in HOUSE + EXPERIMENTS:
        nodes = list(ast.walk(parsed(path)))

        assert "instantiate" not in {node.id for node in nodes if isinstance(node, ast.Name)}
        assert "instantiate" not in {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def test_experiments_do_not_touch_primitives_files_or_tracking() -> None:
    """An experiment sees the lab and what the lab gives it."""
    for path in EXPERIMENTS:
        assert not any(
            uses(path, package) for package in ("mlflow", "hydra", "omegaconf", "qiskit_aer", "pathlib")
        )
        assert not any(name.startswith("runner.runtime") for name in imports(path))


def test_heavy_packages_stay_out_of_help_and_config_errors() -> None:
    """`--help`, completion and bad input import neither qiskit, Aer, SciPy nor MLflow."""
    program = """
import sys
from runner.__main__ import main
for line in ("--help", "--help optimizer", "optimizer=coblya", "seed=abc", "-sc query=bash"):
    main(line.split())
    heavy = {"numpy", "qiskit", "qiskit_aer", "scipy", "mlflow", "numba", "matplotlib"}
    print("imported by", line, *heavy & set(sys.modules), sep="|")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )

    told = [line.split("|")[1:] for line in done.stdout.splitlines() if line.startswith("imported by")]
    assert told == [["--help"], ["--help optimizer"], ["optimizer=coblya"], ["seed=abc"], ["-sc query=bash"]]


OURS = re.compile(
    r"(.*\.)?_?(service|services|machine|timeline|session|config|settings|declaration|plan|run_config)"
    r"(\.\w+)*|(.*\.)?(config|declaration|service)\.backend"
)
"""How what we made ourselves is called, wherever it is: the rooms that may ask other things too are no exception."""

ROOMS = ("run", "services", "whatif", "runtime", "declare")
"""Where what we made ourselves is asked for what it states, never for a name it may have."""

MAY_LACK_IT = {
    "runner/run/execution.py": {"yaml"},
    "runner/run/gradient.py": {"a", "angle", "angle.gradient(p)", "circuit.global_phase"},
    "runner/run/transpiler.py": {"backend"},
    "runner/services/ibm.py": {"job", "pub"},
    "runner/runtime/backends.py": {"backend", "operation"},
    "runner/declare/files.py": {"error"},
    "runner/declare/foreign.py": {"operation"},
    "runner/declare/messages.py": {"error"},
    "runner/declare/registry.py": {"module"},
}
"""File → things of Qiskit, the client, PyYAML, OmegaConf or a plug-in that are asked whether they have an attribute."""


def probes(path: Path) -> set[str]:
    """What `getattr` with a written name and `hasattr` are asked of in a file."""
    return {
        ast.unparse(node.args[0])
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("getattr", "hasattr")
        and isinstance(node.args[1], ast.Constant | ast.JoinedStr)
    }


@pytest.mark.parametrize("room", [*ROOMS, "experiments"])
def test_services_backends_plans_and_configs_are_not_probed(room: str) -> None:
    """What differs between ours is stated (runner/services/protocol.py) or in a base class."""
    paths = EXPERIMENTS if room == "experiments" else [p for p in HOUSE if p.parent.name == room]
    found = {path.relative_to(ROOT).as_posix(): probes(path) for path in paths}

    assert {name: asked for name, asked in found.items() if asked - MAY_LACK_IT.get(name, set())} == {}


def test_no_room_probes_a_service_a_configuration_or_a_plan() -> None:
    """Neither with `getattr` and a written name nor by catching the AttributeError."""
    found = {
        (path.relative_to(ROOT).as_posix(), what)
        for path in HOUSE + EXPERIMENTS
        for what in probes(path) | tried(path)
        if OURS.fullmatch(what)
    }

    assert found == set()


def tried(path: Path) -> set[str]:
    """What is asked for an attribute by itself where its lack is caught."""
    return {
        ast.unparse(inner.value)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Try)
        and any(handler.type and "AttributeError" in ast.unparse(handler.type) for handler in node.handlers)
        for statement in node.body
        for inner in ast.walk(statement)
        if isinstance(inner, ast.Attribute)
    }


def test_nobody_reaches_into_a_service() -> None:
    """Its clock and machine are handed in; only what paces a served one holds its lock."""
    reached = {
        (path.relative_to(ROOT).as_posix(), ast.unparse(node))
        for path in HOUSE + EXPERIMENTS
        if path.parent.name != "runtime"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute)
        and node.attr in ("machine", "timeline", "clock", "plan")
        and ast.unparse(node.value).rpartition(".")[2].lstrip("_") in ("service", "machine", "timeline")
        and (node.attr in ("machine", "timeline") or isinstance(node.ctx, ast.Store))
    }

    assert reached == {("runner/serve/pace.py", "self.service.timeline")}


def test_nothing_is_put_into_a_service() -> None:
    """No attribute of one that somebody else made is set, by whatever way, outside the room that makes it."""
    found = set()
    for path in HOUSE + EXPERIMENTS:
        for node in ast.walk(parsed(path)):
            stored = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del)
            called = isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
                "setattr", "__setattr__", "delattr", "__delattr__",
            )  # fmt: skip
            owner = (
                ast.unparse(node.value if stored else node.args[0])
                if stored or (called and node.args)
                else ""
            )
            if owner.rpartition(".")[2].lstrip("_") in ("service", "machine", "timeline"):
                found.add((path.relative_to(ROOT).as_posix(), ast.unparse(node)))

    assert found == {
        ("runner/runtime/service.py", "self.timeline.machine"),
        ("runner/runtime/service.py", "service._key"),
        ("runner/review/figures/timeline.py", "timeline.end"),  # the lanes that are drawn, no service's
    }


def _number(node: ast.AST) -> object:
    """The value of a constant, or of a product of such: `8 * 3600`."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        left, right = _number(node.left), _number(node.right)
        return left * right if isinstance(left, int | float) and isinstance(right, int | float) else None
    return node.value if isinstance(node, ast.Constant) else None


def test_a_plans_longest_times_are_known_in_one_place() -> None:
    """Everybody else asks it: `Plan.max_time`."""
    places = {
        path.relative_to(ROOT).as_posix()
        for path in HOUSE + EXPERIMENTS
        for node in ast.walk(parsed(path))
        if (
            isinstance(node, ast.Attribute)
            and node.attr in ("max_session_time", "max_batch_time", "max_job_time")
        )
        or (isinstance(node, ast.Constant) and node.value in (28_800, 10_800))
        or (isinstance(node, ast.BinOp) and _number(node) == 28_800)
    }

    assert places == {"runner/runtime/plan.py"}


def kind_words(path: Path) -> list[str]:
    """Where a file spells out what a fact is called: any text that is a dotted kind, and what it does with `kind`."""
    from runner.record.events import RUN
    from runner.serve.ledger import LEDGER

    known = RUN.keys() | LEDGER.keys()
    tree, found = parsed(path), []
    kinds = {"kind"} | {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _is_kind(node.value, {"kind"})
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        texts = set()
        if isinstance(node, ast.Match) and _is_kind(node.subject, kinds):
            texts = {part.value for case in node.cases for part in ast.walk(case.pattern)
                     if isinstance(part, ast.Constant)}  # fmt: skip
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("startswith", "endswith", "partition", "split") and _is_kind(
                node.func.value, kinds
            ):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
        elif isinstance(node, ast.Compare) and any(
            _is_kind(part, kinds) for part in (node.left, *node.comparators)
        ):
            texts = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
        elif isinstance(node, ast.Subscript) and _is_kind(node.slice, kinds):
            texts = {part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant)}
        elif isinstance(node, ast.Dict):
            texts = {
                key.value for key in node.keys if isinstance(key, ast.Constant) and "." in str(key.value)
            }
        if texts & known:
            found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def _is_kind(node: ast.AST, names: set[str]) -> bool:
    """Whether it is what a fact is called: `event.kind`, `line["kind"]`, `line.get("kind")`, or a name of such."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        return node.func.attr == "get" and ast.unparse(node.args[0]) == "'kind'"
    if isinstance(node, ast.Subscript):
        return ast.unparse(node.slice) == "'kind'"
    return (isinstance(node, ast.Name) and node.id in names) or (
        isinstance(node, ast.Attribute) and node.attr == "kind"
    )


def kinds_compared(path: Path) -> list[str]:
    """Where a file spells out what a fact is called in the journal, or asks for it."""
    from runner.record.events import RUN
    from runner.serve.ledger import LEDGER

    known, found = RUN.keys() | LEDGER.keys(), []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Compare):
            names = {
                getattr(
                    part, "id", getattr(part, "attr", getattr(getattr(part, "slice", None), "value", None))
                )
                for part in (node.left, *node.comparators)
            }
            words = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
            if any("." in str(word) for word in words & known) or ("kind" in names and words & known):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_facts_are_known_by_their_class() -> None:
    """Only the record compares what they are called; everybody else makes and reads them by type."""
    others = [path for path in HOUSE + EXPERIMENTS if "record" not in path.parts]

    assert not [place for path in others for place in kinds_compared(path) + kind_words(path)]


RULES: dict[str, tuple[Callable[[Path], object], str]] = {
    "module": (lambda path: "._" in "".join(imports(path)), "import hydra._internal.utils as u"),
    "assigned": (
        replaced,
        "from hydra.core.config_store import ConfigStore\nConfigStore.instance().load = None",
    ),
    "held": (
        replaced,
        "from hydra.core.config_store import ConfigStore\nstore = ConfigStore.instance()\nstore.load = None",
    ),
    "imported": (lambda path: uses(path, "hydra"), "__import__('hydra')"),
    "by name": (
        lambda path: uses(path, "mlflow"),
        "import importlib\nimportlib.import_module('mlflow.store')",
    ),
    "variable": (nameless, "import importlib\nname = 'x'\nimportlib.import_module(name)"),
    "match": (kind_words, "match event.kind:\n    case 'job.submitted' | 'evaluation':\n        pass"),
    "starts": (kind_words, "event.kind.startswith('evaluation')"),
    "key": (kind_words, "{'job.submitted': 1}[event.kind]"),
    "other name": (kind_words, "sort = line['kind']\nsort == 'evaluation'"),
    "probe": (lambda path: any(map(OURS.fullmatch, probes(path))), "getattr(service, 'plans', None)"),
    "of a part": (
        lambda path: any(map(OURS.fullmatch, probes(path))),
        "hasattr(config.backend, 'noise')",
    ),
    "caught": (
        lambda path: any(map(OURS.fullmatch, tried(path))),
        "try:\n    service.mitigation\nexcept AttributeError:\n    pass",
    ),
}
"""What a rule is told by → lines that break it."""


@pytest.mark.parametrize("name", RULES)
def test_what_breaks_a_rule_is_seen(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule finds the lines that break it, and nothing in an innocent file."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    finds, text = RULES[name]
    guilty, innocent = tmp_path / "guilty.py", tmp_path / "innocent.py"
    guilty.write_text(text, encoding="utf-8")
    innocent.write_text("import math\n\nprint(math.pi)\n", encoding="utf-8")

    assert finds(guilty)
    assert not finds(innocent)


def test_relative_imports_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`from ..run import results` in runner/record/files.py is runner.run.results."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "runner" / "record" / "files.py"
    for room in ("record", "run"):
        (tmp_path / "runner" / room).mkdir(parents=True)
    (tmp_path / "runner" / "run" / "results.py").touch()
    path.write_text("def f():\n    from ..run import results\n    from .x import y\n", encoding="utf-8")

    assert imports(path) == {"runner.run.results", "runner.record.x"}
    assert imports(path, inside_functions=False) == set()


STRICT = ("record", "declare", "run", "services", "runtime")
"""Rooms that are typed strictly."""

MOST_ANY = 12
"""How often they may say `Any`, in a thousand lines."""


@pytest.mark.parametrize("room", STRICT)
def test_rooms_say_what_they_hold(room: str) -> None:
    """Named types, protocols and `object` for what is passed on; `Any` is for the rest, and that is little."""
    paths = sorted((ROOT / "runner" / room).rglob("*.py"))
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)
    said = sum(
        (node.id if isinstance(node, ast.Name) else node.attr) == "Any"
        for p in paths
        for node in ast.walk(parsed(p))
        if isinstance(node, ast.Name | ast.Attribute)
    )

    assert 1000 * said <= MOST_ANY * lines


def test_strictly_typed_rooms_are_checked_strictly() -> None:
    """What `mypy --strict` adds for a module, as its help lists it, is switched on for them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    rooms = {f"runner.{room}.*" for room in STRICT}
    (strict,) = [part for part in settings["overrides"] if set(part["module"]) == rooms]

    assert {name for name, value in strict.items() if value is True} == {
        "check_untyped_defs",
        "disallow_any_generics",
        "disallow_incomplete_defs",
        "disallow_subclassing_any",
        "disallow_untyped_calls",
        "disallow_untyped_decorators",
        "extra_checks",
        "no_implicit_reexport",
        "strict_equality",
        "warn_return_any",
    }
    assert settings["disallow_untyped_defs"]
    assert settings["warn_unused_ignores"]


def test_a_public_class_has_a_name_of_its_own() -> None:
    """Who reads a name, or searches for it, comes upon one thing."""
    homes: dict[str, list[str]] = {}
    for path in HOUSE + EXPERIMENTS:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())

    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_every_noun_has_its_tests() -> None:
    """A module has a test module of its name, or stands in tests/subjects.py; what stands there exists."""
    files = {path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    stems = {Path(name).stem for name in files}
    listed = {
        f"runner.{name}".replace("runner.experiments.", "experiments.")
        for names in SUBJECTS.values()
        for name in names
    }
    nouns = {name for name, path in MODULES.items() if not path.name.startswith("_")}

    def named(module: str) -> bool:
        *_, room, noun = module.split(".")
        return f"test_{noun}" in stems or f"test_{room}_{noun}" in stems

    assert {name for name in nouns if not named(name)} - listed == set()
    assert listed - nouns == set()
    assert SUBJECTS.keys() - files == set()
