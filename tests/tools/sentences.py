"""Where the product decides by reading a sentence back: how it begins or ends, what is in it, what it equals.

A sentence is for people. It is worded once, where it is shown; what was known when it was worded is decided on as an
enum or a field. The syntax tree of a module shows each place that

- cuts, splits or matches a text, whatever it is called: `removeprefix`, `startswith`, `partition`, a pattern;
- looks for a text in a sentence, or compares a sentence with a constant. What a sentence is called, `SENTENCES` says.

Left out is what no sentence is, by its name (`NO_SENTENCES`), and what `ALLOWED` names with its reason: most of it is
text of another system, read at the edge where that system has no better sign. Whether a text was said before, so that
it need not be said again, is not a decision.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CUTS: Final = frozenset(
    {"removeprefix", "removesuffix", "startswith", "endswith", "partition", "rpartition", "split", "rsplit"}
)
_MATCHES: Final = frozenset({"match", "fullmatch", "search", "findall", "finditer", "split", "sub", "subn"})
_PASSED_THROUGH: Final = frozenset({"lower", "upper", "strip", "lstrip", "rstrip", "decode", "get", *_CUTS})
"""Methods after which a text is still called what it was called before."""

_SENTENCES: Final = """
    reason message text words word sentence description described hint remedy remedies why note notes warning warnings
    waiting_for waited_for problem problems cause title details doubt advice lacks doing error line
"""
SENTENCES: Final = frozenset(_SENTENCES.split())
"""What variables and fields are called that hold text for people, our own or another system's."""

_NAMES: Final[Mapping[str, str]] = {
    "keys, names and ids": "key name names path operation_id task_id other_id prefix plural group capture claim",
    "addresses and paths": "host server address target url netloc region directory no_proxy bucket",
    "managers, domains, objects": "owner mark domain reference object plain apiVersion counting",
}
NO_SENTENCES: Final = {name: what for what, names in _NAMES.items() for name in names.split()}
"""Names of what is not a sentence, and what it is."""

ALLOWED: Final[Mapping[str, str]] = {
    "adapters/kubernetes/errors.py": "the API server's and urllib3's text, where the status says too little",
    "adapters/kubernetes/login.py": "a token of the client's, `Bearer TOKEN`, and paths in KUBECONFIG",
    "adapters/registration_engine/*": "gRPC's and OpenSSL's text: one status stands for many causes",
    "adapters/s3/*": "botocore's, OpenSSL's and servers' text, and the syntax of AWS' files",
    "adapters/transport/*": "the syntax of NO_PROXY and of headers",
    "adapters/vcenter/*": "pyvmomi's, requests' and vCenter's text, and the syntax of YAML",
    "adapters/velero/*": "the syntax of PEM and YAML",
    "cli/options.py": "what a person typed: KEY=VALUE",
    "cli/views/terminal.py:invocation_from": "what a person typed: an option with its value",
    "doctor/job.py:_is_copied": "the value of a variable, which may hold a secret",
    "kube/label_selector.py": "what a person typed: kubectl's syntax of selectors",
    "kube/names.py": "Kubernetes' rules for names",
    "registration/explain.py:_topic": "what a person typed: a code, a topic, or a whole message",
    "report/model.py:read": "a step of a report that was stored before reports had them in parts",
    "rpc/*": "the syntax of the handshake, and gRPC's names of methods",
    "settings/*": "what an administrator wrote",
    "vadp/job_list.py": "a list of VMs that a VADP product or a person wrote",
    "settings_faults.py": "a key that an administrator wrote",
    "text.py": "the cleaner of every text, which decides nothing",
    "velero/*": "the syntax of Velero's filters, modifiers and conditions",
    "vmoperator/*": "names, versions and addresses in objects",
    "restore/verify/*": "names of claims, and addresses",
    "vsphere/network_override.py": "what a person wrote: the mappings of one restore",
    "vsphere/saved/contents.py:bootstrap_objects": "YAML, at the line between two objects",
    "vsphere/saved/disks.py": "paths and modes of disks in a VMX file",
    "vsphere/saved/vmx.py": "the syntax of a VMX file",
    "vsphere/registervm_errors.py": "RegisterVM's message, in which its code stands among other words",
}
"""Modules, or functions of one, that may look into a text by its form, and what that text is."""


@dataclass(frozen=True, slots=True)
class Look:
    """One place at which a text is looked into."""

    module: str
    function: str
    line: int
    code: str

    def allowed_by(self, pattern: str) -> bool:
        """Say whether a key of `ALLOWED` names the place."""
        return fnmatch(f"{self.module}:{self.function}" if ":" in pattern else self.module, pattern)

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.code}"


def read_back(source: str, module: str) -> list[Look]:
    """Return the places of a module at which a sentence is read back and that are not allowed."""
    return [look for look in looks(source, module) if not any(map(look.allowed_by, ALLOWED))]


def looks(source: str, module: str) -> Iterator[Look]:
    """Yield the places of a module at which a text is looked into that is not a name or the like, allowed or not."""
    for function, node in _with_function(ast.parse(source), ""):
        if isinstance(node, ast.Call | ast.Compare) and _reads(node):
            yield Look(module, function, node.lineno, ast.unparse(node))


def _with_function(node: ast.AST, function: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        within = child.name if isinstance(child, ast.FunctionDef) else function
        yield within, child
        yield from _with_function(child, within)


def _reads(node: ast.Call | ast.Compare) -> bool:
    return any(
        _called(text) not in NO_SENTENCES for text in (_cut(node) if isinstance(node, ast.Call) else _compared(node))
    )


def _cut(node: ast.Call) -> Iterator[ast.expr]:
    """Yield what a call cuts, splits or matches."""
    if not isinstance(node.func, ast.Attribute):
        return
    owner = _called(node.func.value)
    if node.func.attr in _MATCHES and node.args and (owner == "re" or owner.isupper()):
        yield node.args[-1]
    elif node.func.attr in _CUTS:
        yield node.func.value


def _compared(node: ast.Compare) -> Iterator[ast.expr]:
    """Yield the sentences that are searched for a constant, or compared with one."""
    sides = [node.left, *node.comparators]
    for left, operator, right in zip(sides, node.ops, node.comparators, strict=False):
        if isinstance(operator, ast.In | ast.NotIn):
            pairs = [(left, right)]
        elif isinstance(operator, ast.Eq | ast.NotEq):
            pairs = [(left, right), (right, left)]
        else:
            continue
        yield from (text for constant, text in pairs if _is_constant(constant) and _called(text) in SENTENCES)


def _is_constant(node: ast.expr) -> bool:
    """Say whether an expression is a text that the code holds; '' asks only whether there is a text at all."""
    match node:
        case ast.Constant(value=str(value)):
            return bool(value)
        case ast.Attribute(value=owner):
            return _is_constant(owner) or node.attr.lstrip("_").isupper()
        case ast.Name(id=name):
            return name.lstrip("_").isupper()
        case _:
            return isinstance(node, ast.JoinedStr)


def _called(node: ast.expr) -> str:
    """Return what the text is called that an expression makes: `name` of `str(vm.name).lower()`; '' for a new text."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=ast.Name(), args=[first, *_]):
            return _called(first)
        case ast.Call(func=ast.Attribute(value=owner, attr=method), args=arguments):
            if method == "get" and arguments and isinstance(arguments[0], ast.Constant):
                return str(arguments[0].value)
            return _called(owner) if method in _PASSED_THROUGH else method
        case ast.Subscript(value=owner, slice=ast.Constant(value=str(name))):
            return name
        case ast.Subscript(value=owner):
            return _called(owner)
        case ast.BoolOp(values=[first, *_]):
            return _called(first)
        case _:
            return ""
