"""A hash of what some code computes: it changes with the procedure, not with how that is written.

It follows names. From a function it goes on to every function, class and constant of the package
that the function names, to what those name, and so on. Left out are comments, formatting,
docstrings, annotations, and the texts of errors, warnings and logs. It does not enter functions
that make an artifact of their own: such an artifact is an input, and counts by its content.

What is found only while the code runs (``getattr``, a table of strings) isn't followed.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import linecache
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = "agentprm_lite"
ROOT = Path(__file__).resolve().parents[2]
#: The store keeps what others compute; servers and ranks share the same work.
OUTSIDE = tuple(
    f"{PACKAGE}.{name}" for name in ("tutorial.artifacts", "serve", "distributed.ranks")
)
#: What every artifact may rest on and no code names: it is reached through an object.
ALWAYS = ((f"{PACKAGE}.hub.format", "ChatFormat"),)
_SAYS = ("warn", "debug", "info", "warning", "error", "exception", "print")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


class _Meaning(ast.NodeTransformer):
    """Takes out of a syntax tree what computes nothing."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Call) and _called(node.value) in _SAYS:
            return None
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return ast.Raise(exc=node.exc.func if isinstance(node.exc, ast.Call) else node.exc)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return ast.Assert(test=self.visit(node.test))

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(arg=node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        value = self.visit(node.value) if node.value else None
        return ast.AnnAssign(node.target, ast.Constant(None), value, node.simple)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def _called(call: ast.Call) -> str:
    """Last name of what is called: ``warn`` in ``warnings.warn(...)``."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _names(node: ast.AST) -> Iterator[str]:
    """Names in a tree, dotted where attributes are read off them: ``np.log``, ``stages.pool``."""
    inner = {id(n.value) for n in ast.walk(node) if isinstance(n, ast.Attribute)}
    for n in ast.walk(node):
        dotted: list[str] = []
        while isinstance(n, ast.Attribute) and (dotted or id(n) not in inner):
            dotted.append(n.attr)
            n = n.value
        if isinstance(n, ast.Name) and (dotted or id(n) not in inner):
            yield ".".join([n.id, *reversed(dotted)])


@dataclass(frozen=True)
class _Part:
    """A definition or statement of a module."""

    meaning: str
    """Its syntax tree as text, without what computes nothing."""
    names: frozenset[str]
    """What it names."""
    makes_artifact: bool

    @classmethod
    def of(cls, node: ast.AST) -> _Part:
        calls = (_called(n) for n in ast.walk(node) if isinstance(n, ast.Call))
        return cls(ast.dump(node), frozenset(_names(node)), "artifact" in calls)


@dataclass
class _Module:
    """What a module defines and imports, also inside functions."""

    defined: dict[str, list[_Part]] = field(default_factory=dict)
    imported: dict[str, str] = field(default_factory=dict)
    """Name to ``module`` or ``module:name``."""
    does: list[_Part] = field(default_factory=list)
    """What it does when it is imported, such as a loop that fills a table."""
    strings: list[str] = field(default_factory=list)
    """Its texts of the form ``module:name``."""


@cache
def _module(source: str) -> _Module:
    tree, module = ast.parse(source), _Module()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for a in node.names:
                module.imported[a.asname or a.name] = f"{node.module}:{a.name}"
        elif isinstance(node, ast.Import):
            for a in node.names:
                module.imported[a.asname or a.name.split(".")[0]] = a.name.split(".")[0]
                if a.asname:
                    module.imported[a.asname] = a.name
        elif isinstance(node, ast.Constant) and str(node.value).startswith(f"{PACKAGE}."):
            module.strings.append(str(node.value))
    for node in _Meaning().visit(tree).body:
        names = []
        if isinstance(node, _Function | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            module.does.append(_Part.of(node))
        for name in names:
            module.defined.setdefault(name, []).append(_Part.of(node))
    return module


def _file(module: str, root: Path) -> Path | None:
    path = root.joinpath(*module.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((f for f in files if f.exists()), None) if module.startswith(PACKAGE) else None


@cache
def code_hash(starts: tuple[tuple[str, str], ...], root: Path = ROOT) -> str:
    """Hash of what functions and classes of the package compute, with all of it that they use.

    Args:
        starts: pairs of a module and a name in it, such as ``("agentprm_lite.labels", "gae")``.
        root: folder that holds the package.

    Returns:
        64 hexadecimal digits.
    """
    found: dict[tuple[str, str], str] = {}
    waiting = [*starts, *ALWAYS]
    while waiting:
        at, name = waiting.pop()
        path = _file(at, root)
        head, _, rest = name.partition(".")
        if path is None or at.startswith(OUTSIDE) or (at, head) in found:
            continue
        module = _module(path.read_text("utf-8"))
        if head in module.imported:
            target, _, inner = module.imported[head].partition(":")
            waiting.append((target, ".".join(filter(None, (inner, rest)))))
        elif head and _file(f"{at}.{head}", root):
            waiting.append((f"{at}.{head}", rest))
        elif lazy := [s for s in module.strings if s.endswith(f":{head}")]:
            waiting += [(s.split(":")[0], head) for s in lazy]
        elif not head or head in module.defined:  # a module that is handed on counts as a whole
            every = [part for parts in module.defined.values() for part in parts]
            parts = module.defined[head] if head else every
            if (at, name) not in starts and any(part.makes_artifact for part in parts):
                continue
            parts = [*parts, *module.does]
            found[at, head] = "\n".join(part.meaning for part in parts)
            waiting += [(at, n) for part in parts for n in part.names]
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()


def world_hash(world: type) -> str:
    """Hash of what a world computes: one of the package, or a reader's own.

    Of an own world count the files that its methods and its parents' are written in, and those of
    the functions, classes and modules that they name, as far as they are the reader's; in a
    notebook their cells, and the values of constants that they name.

    Args:
        world: the class.

    Returns:
        64 hexadecimal digits.
    """
    starts = [(c.__module__, c.__qualname__) for c in world.__mro__]
    if world.__module__.startswith(f"{PACKAGE}."):
        return code_hash(tuple(starts))
    own: dict[str, str] = {}
    top = world.__module__.partition(".")[0]
    waiting: list[Any] = [c for c in world.__mro__ if _is_own(c.__module__, top)]
    while waiting:
        value = waiting.pop()
        for name in _files(value) - own.keys():
            text = "".join(linecache.getlines(name))
            try:
                tree = _Meaning().visit(ast.parse(text))
            except SyntaxError:  # a cell that isn't Python alone
                own[name] = text
                continue
            own[name] = ast.dump(tree)
            known = vars(sys.modules[value.__module__])
            for used in {n.split(".")[0] for n in _names(tree)} & known.keys():
                thing = known[used]
                home = getattr(thing, "__module__", None) or ""
                if inspect.ismodule(thing):
                    if _is_own(thing.__name__, top) and (file := getattr(thing, "__file__", None)):
                        own[file] = "".join(linecache.getlines(file))
                elif not inspect.isroutine(thing) and not inspect.isclass(thing):
                    with suppress(TypeError):  # only what is a constant
                        own[f"{value.__module__}.{used}"] = json.dumps(thing, sort_keys=True)
                elif home.startswith(f"{PACKAGE}."):
                    starts.append((home, thing.__qualname__))
                elif _is_own(home, top):
                    waiting.append(thing)
    return hashlib.sha256(
        repr((sorted(own.items()), code_hash(tuple(starts)))).encode()
    ).hexdigest()


def _is_own(module: str, top: str) -> bool:
    """Whether a module is the world's, or another of the reader's, which nobody has installed."""
    head, file = module.partition(".")[0], getattr(sys.modules.get(module), "__file__", None)
    if head == top or head in (PACKAGE, *sys.stdlib_module_names):
        return head == top
    return file is not None and "site-packages" not in Path(file).parts


def _files(value: Any) -> set[str]:
    """Files, or cells, of a function or of a class and its parents of the same module.

    ``inspect.getsource`` finds no class of a notebook, but linecache has each function's cell.
    """
    parts = [p for p in getattr(value, "__mro__", ()) if p.__module__ == value.__module__]
    members = [member for part in parts for member in vars(part).values()] or [value]
    functions = [inspect.unwrap(getattr(member, "__func__", member)) for member in members]
    return {f.__code__.co_filename for f in functions if inspect.isfunction(f)}
