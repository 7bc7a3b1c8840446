"""The parameters of a notebook, as a pydantic model made from the cell tagged `parameters`.

Each line of that cell is `name: type = value`. Values are checked before a kernel starts: their type by the line, and
their meaning by the name, so that every page refuses the same profiles, devices, corpora, noises and seeds.
"""

from __future__ import annotations

import ast
import types
import typing
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import yaml
from nbformat import NotebookNode
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, create_model

from robustmer.book import PROFILES, known, nearest
from robustmer.experiments import check_device

TYPES = {"int": int, "float": float, "bool": bool, "str": str, "list": list, "dict": dict, "Any": Any}


class Parameters(BaseModel):
    """Base of every notebook's model: unknown names, nan and infinity are refused, defaults are checked too."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, validate_default=True)


def parameters_of(notebook: NotebookNode, name: str) -> type[Parameters]:
    """The model of a notebook's parameters, called `name`; it has no fields if no cell is tagged `parameters`."""
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) > 1:
        raise ValueError(f"{name}: {len(cells)} cells are tagged 'parameters'; a notebook has at most one such cell")
    fields, line = {}, None
    try:
        for line in ast.parse(cells[0].source).body if cells else []:
            field = line.target.id
            check = AfterValidator(partial(checked, field))
            fields[field] = (Annotated[type_of(line.annotation), check], ast.literal_eval(line.value))
        return create_model(name, __base__=Parameters, **fields)
    except Exception as error:  # each kind of wrong line has its own
        text = f"the line `{ast.unparse(line)}`" if line else f"a line that is not Python ({error})"
        raise ValueError(
            f"{name}: the parameters cell has {text}; each line must be `name: type = value`, "
            "the type made of int, float, bool, str, list, dict and None, and the value written out"
        ) from error


def type_of(node: ast.expr) -> Any:
    """The type that an annotation spells, such as `list[float] | None`; only TYPES and None are known."""
    allowed = (ast.Name, ast.Constant, ast.BinOp, ast.BitOr, ast.Subscript, ast.Tuple, ast.Load)
    if not all(isinstance(part, allowed) for part in ast.walk(node)):
        raise ValueError(f"unknown type {ast.unparse(node)}")
    return eval(ast.unparse(node), {"__builtins__": {}}, TYPES)


def validate(model: type[Parameters], values: Mapping[str, Any], text: bool = False) -> dict[str, Any]:
    """The given values in their declared types; the keys of a dictionary stay in their order.

    With `text` the values are words of a command line, and lists and dictionaries are read as YAML. Otherwise a value
    must have the declared type already; only an int may stand for a float. Raises ValueError, one sentence that lists
    the notebook's parameters, for an unknown name, a wrong type or a value that cannot be used.
    """
    fields = model.model_fields
    if text:
        values = {n: read_text(word, fields[n].annotation) if n in fields else word for n, word in values.items()}
    try:
        model_of_values = model.model_validate(values, strict=not text)
    except ValidationError as error:
        first = {problem["loc"][0]: problem for problem in reversed(error.errors())}
        sentences = "; ".join(sentence(model, name, first[name]) for name in reversed(first))
        listing = ", ".join(lines_of(model)) or "none"
        raise ValueError(f"{model.__name__}: {sentences}; its parameters are: {listing}") from error
    return {name: getattr(model_of_values, name) for name in fields if name in values}


def sentence(model: type[Parameters], name: str, problem: Mapping[str, Any]) -> str:
    """One problem that pydantic reports, in the words of this project."""
    if problem["type"] == "extra_forbidden":
        return f"no parameter {name!r}{nearest(name, model.model_fields)}"
    if problem["type"] == "value_error":
        return f"{name}: {problem['ctx']['error']}"
    wanted = "finite" if problem["type"] == "finite_number" else spell(model.model_fields[name].annotation)
    return f"{name} must be {wanted}, not {problem['input']!r}"


def read_text(text: str, kind: Any) -> Any:
    """A word of a command line, so far as pydantic does not read it: None, and YAML for lists and dictionaries."""
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if types.NoneType in kinds and text.lower() in ("none", "null"):
        return None
    nested = next((k for k in kinds if k is Any or (typing.get_origin(k) or k) in (list, dict)), None)
    if nested is None:
        return text
    try:  # the base loader leaves words as they are, and pydantic reads them as the type of the items
        return yaml.load(text, yaml.BaseLoader if typing.get_args(nested) else yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def spell(kind: Any) -> str:
    """A type as the parameters cell writes it."""
    plain = isinstance(kind, type) and not typing.get_args(kind)
    return (kind.__name__ if plain else str(kind)).replace("typing.", "").replace("NoneType", "None")


def lines_of(model: type[Parameters]) -> list[str]:
    """The parameters as the cell declares them."""
    return [f"{name}: {spell(field.annotation)} = {field.default!r}" for name, field in model.model_fields.items()]


def describe(model: type[Parameters]) -> str:
    """Help for one notebook: its parameters with types and defaults, and a command that sets one of them."""
    values = {name: field.default for name, field in model.model_fields.items()}
    if not values:
        return f"{model.__name__} has no parameters."
    name, value = ("profile", "smoke") if "profile" in values else next(iter(values.items()))
    word = f"'{value}'" if isinstance(value, list | dict) else value
    lines = "".join(f"  {line}\n" for line in lines_of(model))
    return f"Parameters of {model.__name__}:\n{lines}\nExample: robustmer run {model.__name__} -p {name} {word}"


def checked(name: str, value: Any) -> Any:
    """The value; ValueError where the type of a parameter allows it, but its name does not."""
    name = {"corpora": "corpus", "seeds": "seed", "folds": "fold", "noises": "noise"}.get(name, name)
    for item in value if isinstance(value, list | dict) else [value]:
        if name in ("seed", "fold") and item is not None and item < 0:
            raise ValueError(f"{item} is negative; give 0 or more")
        if name == "device":
            check_device(item)
        if name == "profile":
            known(item, PROFILES, name)
        if name == "corpus":
            from robustmer.corpora import CORPORA

            known(item, CORPORA, name)
        if name == "noise":
            from robustmer.experiments.papers.nmer import NOISES

            known(item, NOISES, name)
    return value
