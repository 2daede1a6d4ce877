"""The rules of the house that reading the source can check: imports, output, lengths."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import make_tree

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "bwbuild"

#: Rooms from the highest to the lowest; a module imports from its own and from lower ones.
RANKS = {
    "__main__": -1,
    "entry": 0,
    "cli": 1,
    "corpus": 2,
    "tryout": 2,
    "conduct": 2,
    "build": 3,
    "audit": 4,
    "checks": 4,
    "root": 5,
    "sandbox": 5,
    "handover": 5,
    "lookup": 5,
    "deb": 6,
    "config": 6,
    "host": 6,
    "permissions": 7,
    "trace": 7,
    "process": 7,
    "units": 7,
    "interrupt": 8,
    "orphans": 8,
    "errors": 9,
    "tether": 9,
    "events": 9,
    "__init__": 10,
}
#: The fifth floor's neighbours may know each other in one direction only.
NEIGHBOURS = {("root", "sandbox")}
#: All of that room only computes.
AUDIT = (
    "of_permission",
    "facts",
    "score",
    "assessments",
    "reach",
    "rights",
    "words",
    "of_line",
    "of_build",
    "probe",
)
#: Modules that only compute: nothing in them may reach the machine.
PURE = {
    "build/plan.py": {"bwbuild.sandbox.runner", "bwbuild.build.scratch", "bwbuild.handover.publish"},
    "sandbox/policy.py": {"os", "bwbuild.process"},
    "sandbox/bwrap.py": {"os", "bwbuild.process"},
    "sandbox/pinned.py": {"os", "bwbuild.process"},
    "sandbox/spec.py": {"os", "bwbuild.process"},
    "sandbox/identity.py": {"os", "bwbuild.process"},
    "sandbox/environment.py": {"os", "bwbuild.process"},
    "sandbox/unpack.py": {"os", "bwbuild.process", "tempfile", "time"},
    "sandbox/small.py": {"os", "bwbuild.process", "tempfile", "time"},
    "sandbox/inspection.py": {"os", "bwbuild.process", "tempfile", "time"},
    "handover/packages.py": {"os", "pathlib", "bwbuild.process"},
    "sandbox/script.py": {"os", "bwbuild.process", "tempfile", "time"},
    "root/etc.py": {"os", "pathlib", "bwbuild.process"},
    "root/alternatives.py": {"os", "bwbuild.process"},
    "root/diversions.py": {"os", "bwbuild.process"},
    "root/generated.py": {"os", "bwbuild.process"},
    "root/regenerated.py": {"os", "bwbuild.process"},
    "lookup/search.py": {"os", "pathlib", "bwbuild.process"},
    "lookup/messages.py": {"os", "pathlib", "bwbuild.process"},
    "lookup/shapes.py": {"os", "pathlib", "bwbuild.process"},
    "lookup/modules.py": {"os", "pathlib", "bwbuild.process"},
    "permissions/words.py": {"os", "bwbuild.process"},
    "permissions/answers.py": {"os", "pathlib", "bwbuild.process"},
    "permissions/exposes.py": {"os", "pathlib", "bwbuild.process"},
    "build/granted/terms.py": {"os", "pathlib", "bwbuild.process"},
    "sandbox/permits.py": {"os", "bwbuild.process"},
    "sandbox/program.py": {"os", "bwbuild.process", "tempfile", "time"},
    "permissions/finish_args.py": {"os", "pathlib", "bwbuild.process"},
    **{
        f"tryout/{name}.py": {"os", "bwbuild.process", "time"}
        for name in ("difference", "explaining", "learned", "picture", "programs", "telling", "values")
    },
    "sandbox/traced.py": {"os", "pathlib", "bwbuild.process"},
    "trace/parse.py": {"pathlib", "bwbuild.process"},
    "deb/less.py": {"os", "pathlib", "bwbuild.process"},
    "build/learn/analyse.py": {"os", "pathlib", "bwbuild.process", "time"},
    "build/learn/words.py": {"os", "bwbuild.process", "time"},
    "deb/clearsign.py": {"os", "pathlib", "bwbuild.process"},
    "deb/relations.py": {"os", "pathlib", "bwbuild.process"},
    "deb/closure.py": {"os", "pathlib", "bwbuild.process"},
    "build/study/dependencies.py": {"os", "pathlib", "bwbuild.process", "time"},
    "deb/buildoptions.py": {"os", "pathlib", "bwbuild.process"},
    **{f"audit/{name}.py": {"os", "bwbuild.process"} for name in AUDIT},
    "checks/result.py": {"os", "pathlib", "bwbuild.process"},
    "build/notes.py": {"os", "pathlib", "bwbuild.process"},
    "build/asked.py": {"os", "pathlib", "bwbuild.process"},
    "build/record/findings.py": {"os", "pathlib", "bwbuild.process"},
    "build/verdict.py": {"os", "bwbuild.process", "time"},
    **{
        f"conduct/{name}.py": {"os", "bwbuild.process", "time", "bwbuild.sandbox.runner"}
        for name in (
            *("values", "experiments", "judge", "compare", "effects", "steps", "words", "subject"),
            *("acts", "plans", "listing", "members"),
        )
    },
    "build/watch/limits.py": {"os", "pathlib", "bwbuild.process", "time"},
    "build/jobs.py": {"os", "pathlib", "bwbuild.process", "time"},
    "build/record/headtail.py": {"os", "pathlib", "bwbuild.process", "time"},
    "sandbox/scope.py": {"os", "pathlib", "bwbuild.process", "time"},
    **{
        f"corpus/{name}.py": {"os", "bwbuild.process", "time"}
        for name in ("schedule", "noise", "held", "compare", "values", "stored")
    },
    **{
        f"corpus/reports/{name}.py": {"os", "bwbuild.process", "time"}
        for name in ("as_json", "charts", "sections", "since", "text")
    },
}
LONGEST_MODULE = 350
LONGEST_FUNCTION = 60


@dataclass(frozen=True)
class Module:
    """One module: its path below the package, its text and its tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.path.split("/")[0].removesuffix(".py")

    def imports(self, *, type_checking: bool = True) -> Iterator[str]:
        """Dotted names of all that is imported, wherever it stands."""
        skipped = set() if type_checking else {id(node) for node in self._for_types()}
        for node in ast.walk(self.tree):
            if id(node) in skipped:
                continue
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}: a relative import"
                yield node.module or ""
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def _for_types(self) -> Iterator[ast.AST]:
        for node in ast.walk(self.tree):
            if (
                isinstance(node, ast.If)
                and isinstance(node.test, ast.Name)
                and node.test.id == "TYPE_CHECKING"
            ):
                yield from ast.walk(node)


def module(path: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    return Module(str(path.relative_to(PACKAGE)), text, ast.parse(text))


MODULES = [module(path) for path in sorted(PACKAGE.rglob("*.py"))]
each = pytest.mark.parametrize("module", MODULES, ids=[module.path for module in MODULES])


def top(name: str) -> str:
    return name.split(".", maxsplit=1)[0]


def importers(library: str) -> set[str]:
    return {module.path for module in MODULES if any(top(name) == library for name in module.imports())}


def test_there_are_modules() -> None:
    assert len(MODULES) > 40
    assert {module.room for module in MODULES} <= RANKS.keys()


@each
def test_imports_run_one_way(module: Module) -> None:
    for name in module.imports():
        parts = name.split(".")
        if parts[0] != "bwbuild" or len(parts) < 2 or parts[1] not in RANKS:
            continue
        here, there = module.room, parts[1]
        if here == there:
            continue
        lower = RANKS[here] < RANKS[there]
        assert lower or (here, there) in NEIGHBOURS, f"{module.path} imports {name}"


def test_no_circle_among_modules() -> None:
    known = {
        "bwbuild." + m.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__"): m
        for m in MODULES
    }
    edges = {
        name: {n for n in m.imports(type_checking=False) if n in known and n != name}
        for name, m in known.items()
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " imports ".join((*way[way.index(name) :], name))
        if name not in done:
            for following in edges[name]:
                visit(following, (*way, name))
            done.add(name)

    for name in edges:
        visit(name, ())


def test_one_module_starts_programs() -> None:
    assert importers("subprocess") == {"process.py"}


@each
def test_no_other_way_to_start_programs(module: Module) -> None:
    bad = {
        "system",
        "popen",
        "execv",
        "execve",
        "execvp",
        "execvpe",
        "posix_spawn",
        "spawnlp",
        "fork",
        "forkpty",
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert node.attr not in bad, f"{module.path}:{node.lineno}"
    assert not {"multiprocessing", "pty", "commands"} & {top(name) for name in module.imports()}


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("click", {"cli"}),
        ("rich", {"cli"}),
        ("debian", {"deb"}),
        ("distributed", {"corpus"}),
        ("dask", {"corpus"}),
    ],
)
def test_libraries_stay_in_their_room(library: str, rooms: set[str]) -> None:
    assert {path.split("/")[0] for path in importers(library)} <= rooms


@pytest.mark.parametrize(("path", "forbidden"), PURE.items(), ids=list(PURE))
def test_pure_modules_have_no_effects(path: str, forbidden: set[str]) -> None:
    (found,) = (module for module in MODULES if module.path == path)
    assert not forbidden & set(found.imports(type_checking=False))


@each
def test_only_cli_prints_and_exits(module: Module) -> None:
    if module.room in ("cli", "__main__"):
        return
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        assert name not in ("print", "exit", "quit", "sys.exit", "os._exit"), f"{module.path}:{node.lineno}"
        assert not name.startswith(("sys.stdout", "sys.stderr")), f"{module.path}:{node.lineno}"
    raised = [
        ast.unparse(node.exc) for node in ast.walk(module.tree) if isinstance(node, ast.Raise) and node.exc
    ]
    assert not [text for text in raised if text.startswith("SystemExit")]


@each
def test_length(module: Module) -> None:
    assert module.text.count("\n") < LONGEST_MODULE
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length < LONGEST_FUNCTION, f"{module.path}: {node.name} has {length} lines"


@each
def test_errors_are_not_swallowed(module: Module) -> None:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{module.path}:{node.lineno}: a bare except"
            only_pass = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
            assert not only_pass, f"{module.path}:{node.lineno}: an error is swallowed"
            if ast.unparse(node.type) in ("Exception", "BaseException"):
                assert any(isinstance(inner, ast.Raise) for inner in ast.walk(node)), (
                    f"{module.path}:{node.lineno}"
                )


@each
def test_module_has_a_docstring_and_no_unfinished_work(module: Module) -> None:
    if module.path != "__init__.py":
        assert ast.get_docstring(module.tree) is not None
    tokens = tokenize.generate_tokens(io.StringIO(module.text).readline)
    comments = " ".join(token.string for token in tokens if token.type == tokenize.COMMENT)
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", comments)
    assert "NotImplemented" not in module.text


@each
def test_values_are_frozen(module: Module) -> None:
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            text = ast.unparse(decorator)
            # A private dataclass may be state that its module owns.
            if text.startswith("dataclass") and not node.name.startswith("_"):
                assert "frozen=True" in text, f"{module.path}: {node.name}"


def test_heavy_libraries_are_imported_late() -> None:
    """Start-up time: what one command needs is not paid for by all."""
    heavy = {"rich", "debian", "psutil", "jinja2", "distributed", "dask", "seccomp"}
    for found in MODULES:
        for node in found.tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module or ""]
                )
                assert not heavy & {top(name) for name in names}, found.path


#: What only a build on the base of a suite needs.
BASES = {f"bwbuild.root.{name}" for name in ("bases", "layers", "apt", "bootstrap", "chamber", "sources")}
#: Modules of a build on this machine: first those that run the plan, then those that make a view for it.
BUILD = (
    *("bwbuild.cli.build", "bwbuild.cli.session", "bwbuild.cli.terminal", "bwbuild.build.execute"),
    *(
        "bwbuild.build.inputs",
        "bwbuild.root.declared",
        "bwbuild.root.remaking",
        "bwbuild.build.study.undeclared",
    ),
)


def imported(code: str, home: Path, *arguments: str) -> set[str]:
    """What a new Python that has run ``code`` has imported; nobody's settings are in ``home``."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules, file=sys.stderr)", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return set(done.stderr.split())


def test_a_dry_run_in_a_tree_imports_nothing_of_bases(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    code = "from bwbuild.cli.main import run\nassert run(sys.argv[1:]) == 0"
    found = imported(code, tmp_path, "--dry-run", "--view", "host", str(tree))
    assert "bwbuild.build.plan" in found
    assert not BASES & found


def test_a_build_on_this_machine_imports_nothing_of_bases(tmp_path: Path) -> None:
    found = imported("\n".join(f"import {name}" for name in BUILD), tmp_path)
    assert set(BUILD) <= found
    assert not BASES & found


@pytest.mark.parametrize("words", ["--help", "corpus run --help", "worker --help"])
def test_help_imports_nothing_of_a_cluster(words: str, tmp_path: Path) -> None:
    found = imported(
        "from bwbuild.cli.main import run\nassert run(sys.argv[1:]) == 0", tmp_path, *words.split()
    )
    assert "bwbuild.cli.main" in found
    assert not {name for name in found if name.startswith(("distributed", "dask", "bwbuild.corpus.cluster"))}
