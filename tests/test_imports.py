"""Who may import whom, and what an import must not load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGES = ("transferset", "augment", "label", "students", "stillhouse")
MAY_IMPORT = {
    "transferset": set(),
    "augment": {"transferset"},
    "label": {"transferset"},
    "students": {"transferset"},
    "stillhouse": {"transferset", "augment", "label", "students"},
}


def imported(path: Path) -> set[str]:
    """The top-level packages that a file names in its import statements, wherever they stand."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(str(node.module).partition(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_it_may(package):
    for path in (ROOT / package).rglob("*.py"):
        ours = imported(path) & set(PACKAGES) - {package}
        assert ours <= MAY_IMPORT[package], path


@pytest.mark.parametrize("package", ["transferset", "augment"])
def test_importing_it_loads_no_heavy_library(package):
    script = f"import sys, {package}; print(*{{'torch', 'transformers', 'spacy', 'gensim'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_is_the_one_of_this_checkout(package):
    module = __import__(package)
    assert Path(module.__file__).parent == ROOT / package


def test_public_names_are_sorted_and_exist():
    for package in PACKAGES[:-1]:
        module = __import__(package)
        assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_nobody_loads_or_writes_a_pickle():
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
                assert called not in ("pickle.load", "pickle.loads", "pickle.dump", "torch.load", "torch.save"), path
