"""What holds for the repository as a whole."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOMES = ("moho", "agent", "encoders", "knowledge", "rl")
SOURCES = sorted(path for home in HOMES for path in (ROOT / home).rglob("*.py") if not any(part.is_symlink() for part in path.parents))
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())
UNPICKLES = {"moho/sandbox.py"}  # its own child's answer, and only the classes a reader returns


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_listed_packages_are_those_of_the_tree() -> None:
    tree = {str(path.parent.relative_to(ROOT)) for path in SOURCES if path.name == "__init__.py"}
    table = CONFIG["tool"]["setuptools"]["package-dir"]
    assert {table.get(package, package) for package in CONFIG["tool"]["setuptools"]["packages"]} == tree
    assert set(CONFIG["tool"]["setuptools"]["packages"]) == set(table)
    assert {str(path.parent.relative_to(ROOT)) for path in SOURCES} == tree  # no module outside a package


@pytest.mark.parametrize("home", HOMES[1:])
def test_the_four_directories_are_linked_into_the_package(home: str) -> None:
    link = ROOT / "moho" / home
    assert link.is_symlink()
    assert link.readlink() == Path("..") / home
    assert link.resolve() == ROOT / home


def forbidden(tree: ast.AST) -> list[str]:
    """Calls that would run text as code or as a shell command, or load code with data."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            names = {module.split(".")[0], *(alias.name.split(".")[0] for alias in node.names)}
            found += sorted(names & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"})
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        last = called.rpartition(".")[2]
        if called in ("exec", "eval", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"):
            found.append(called)
        if called.startswith("os.") and re.match(r"(exec|spawn|posix_spawn)", last):
            found.append(called)
        for keyword in node.keywords:
            value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
            if (keyword.arg == "shell" and value is not False) or (keyword.arg in ("allow_pickle", "trust_remote_code") and value is not False):
                found.append(f"{called}({keyword.arg}=...)")
            if keyword.arg == "weights_only" and value is not True:
                found.append(f"{called}(weights_only=...)")
        keywords = {keyword.arg for keyword in node.keywords}
        if called in ("np.load", "numpy.load") and "allow_pickle" not in keywords:
            found.append(f"{called} without allow_pickle=False")
        if called == "torch.load" and "weights_only" not in keywords:
            found.append("torch.load without weights_only=True")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_nothing_runs_text_as_code(path: Path) -> None:
    allowed = {"pickle"} if name(path) in UNPICKLES else set()
    assert set(forbidden(ast.parse(path.read_text()))) <= allowed


@pytest.mark.parametrize(
    "source",
    [
        "exec('1')",
        "import os\nos.system('ls')",
        "subprocess.run('ls', shell=True)",
        "import pickle",
        "from pickle import loads",
        "np.load(p)",
        "np.load(p, allow_pickle=True)",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "AutoModel.from_pretrained(p, trust_remote_code=True)",
        "os.execv(a, b)",
        "eval(x)",
    ],
)
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert forbidden(ast.parse(source))


def test_only_the_settings_and_the_doors_read_the_environment() -> None:
    """Writing thread counts and switches is not reading."""
    doors = {"moho/settings.py", "agent/cli.py"}
    reading = re.compile(r"os\.environ\.get\(|os\.getenv\(|os\.environ\[[^\]]+\](?! =)")
    found = {name(path) for path in SOURCES if reading.search(path.read_text())}
    assert found <= doors


def committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file() and not (ROOT / line).is_symlink()]


def test_nothing_names_a_place_on_one_machine() -> None:
    places = re.compile(r"(?<![\w.:/])/(?:work|root|home|tmp|Users|mnt|data|scratch)/\w+|[A-Z]:\\\\Users")
    allowed = re.compile(r"/(?:home|tmp|data|mnt)/(?:me|you|user|USER)\b")
    found = []
    for path in committed():
        if path.suffix in (".py", ".md", ".toml", ".txt", ".json", ".jsonl", ".yml", ".yaml", ".cfg", "") and path != Path(__file__).resolve():
            text = path.read_text(errors="ignore")
            found += [f"{name(path)}: {match[0]}" for match in places.finditer(text) if not allowed.match(match[0])]
    assert found == []


def test_every_file_is_small_enough_to_be_read() -> None:
    lengths = sorted(len(path.read_text().splitlines()) for path in SOURCES if path.name != "__init__.py")
    assert lengths[-1] < 900
    assert lengths[len(lengths) // 2] < 300


def test_every_module_says_what_it_is() -> None:
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        assert not tree.body or ast.get_docstring(tree), name(path)


def test_a_test_names_no_module_that_is_gone() -> None:
    for path in (ROOT / "tests").glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("moho."):
                assert (ROOT / "moho" / Path(*str(node.module).split(".")[1:])).with_suffix(".py").exists() or (
                    ROOT / "moho" / Path(*str(node.module).split(".")[1:])
                ).is_dir(), f"{path.name}: {node.module}"
