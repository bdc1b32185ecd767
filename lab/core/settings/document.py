"""From YAML text to a validated frozen model, with one message per fault, each naming file, line and key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from lab.core.errors import ConfigError

__all__ = [
    "SHOWN_FAULTS",
    "Location",
    "Section",
    "dotted",
    "fault_message",
    "known_part",
    "model_in",
    "overlaid",
    "parse_document",
    "read_document",
    "refusal",
]

Location = tuple[str | int, ...]

_LONGEST_TEXT: Final = 1_000_000
SHOWN_FAULTS: Final = 20


class Section(BaseModel):
    """Base of every part of a file a user writes: frozen, unknown keys refused, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, str_strip_whitespace=True)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse ``yes`` and ``"0.3"`` where a number belongs; pydantic would convert them."""
        if not isinstance(value, (bool, str)):
            return value
        annotation = cls.model_fields[str(info.field_name)].annotation
        allowed = {annotation, *getattr(annotation, "__args__", ())}
        if allowed & {int, float} and not allowed & {bool, str}:
            raise ValueError(f"should be a number, not {'yes or no' if value in {True, False} else 'text'}")
        return value


M = TypeVar("M", bound=BaseModel)


def parse_document(text: str, model: type[M], *, source: str, defaults: Mapping[str, Any] | None = None) -> M:
    """Read YAML `text` into `model`.

    Parameters
    ----------
    text : str
        YAML, loaded safely: tags, duplicate keys, aliases and non-mappings are refused.
    model : type of pydantic.BaseModel
        Normally a :class:`Section`.
    source : str
        Name of the file, for the messages.
    defaults : mapping, optional
        Values of the keys that the file leaves out, at any depth.

    Raises
    ------
    ConfigError
        With one line per fault: ``file:line: key: what was found, what is allowed``.
    """
    values, lines = read_document(text, source)
    try:
        return model.model_validate(overlaid(defaults or {}, values))
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            where = f"{source}:{lines.get(known_part(fault['loc'], lines), 1)}: "
            faults.append(fault_message(fault, f"{where}{dotted(fault['loc']) or 'document'}", model))
        raise refusal(faults, source) from None


def refusal(faults: Sequence[str], source: str) -> ConfigError:
    """Return the error that tells `faults`, each once, and how many more there are."""
    told = list(dict.fromkeys(faults))
    if len(told) > SHOWN_FAULTS:
        told[SHOWN_FAULTS:] = [f"{source}: {len(told) - SHOWN_FAULTS} more faults"]
    return ConfigError("\n".join(told))


def read_document(text: str, source: str) -> tuple[Any, dict[Location, int]]:
    """Return the plain values of YAML `text`, and the line of every key."""
    if len(text) > _LONGEST_TEXT:
        raise ConfigError(f"{source}: {len(text):,} characters, expected at most {_LONGEST_TEXT:,}")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError(f"{source}:1: expected lines of the form 'key: value', found none")
        lines: dict[Location, int] = {}
        _index(root, (), lines, set(), source)
        return yaml.safe_load(text), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = " ".join(str(getattr(error, "problem", error)).split())
        raise ConfigError(f"{source}:{line}: not readable as plain YAML: {problem}") from None
    except RecursionError:
        raise ConfigError(f"{source}:1: nested too deeply; expected a few levels of keys") from None
    except ConfigError:
        raise
    except ValueError as error:
        # What looks like a date or a number to YAML and is none: 2020-13-01.
        raise ConfigError(f"{source}:1: not readable as plain YAML: {error}") from None


def overlaid(defaults: Mapping[str, Any], given: Any) -> Any:
    """Return `given` over `defaults`: mappings are merged at any depth, all else is replaced."""
    if not isinstance(given, dict):
        return given
    merged = {**defaults, **given}
    for key, value in defaults.items():
        if isinstance(value, Mapping) and key in given:
            merged[key] = overlaid(value, given[key])
    return merged


def _index(
    node: yaml.Node, at: Location, lines: dict[Location, int], seen: set[yaml.Node], source: str
) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.ScalarNode):
        return
    if node in seen:
        # Aliases of aliases grow without bound when they are read out.
        raise ConfigError(f"{source}:{node.start_mark.line + 1}: used again by an alias (*); write it out")
    seen.add(node)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*at, _key(key, source))
            if here in lines:
                raise ConfigError(
                    f"{source}:{key.start_mark.line + 1}: {dotted(here)}: key given twice; keep one"
                )
            lines[here] = key.start_mark.line + 1
            _index(value, here, lines, seen, source)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            _index(value, (*at, position), lines, seen, source)


def _key(node: yaml.Node, source: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:merge":
        raise ConfigError(f"{source}:{node.start_mark.line + 1}: expected a name as the key, and no merging")
    return str(node.value)


def known_part(location: Location, lines: Mapping[Location, int]) -> Location:
    """Return the longest beginning of `location` that stands in the file."""
    while location and location not in lines:
        location = location[:-1]
    return location


def fault_message(fault: Any, where: str, model: type[BaseModel], *, besides: Sequence[str] = ()) -> str:
    """Return one of pydantic's faults in words; `besides` are keys of the whole file that `model` lacks."""
    location: Location = fault["loc"]
    if fault["type"] == "extra_forbidden":
        allowed = sorted({*_keys_at(model, location[:-1]), *(besides if len(location) == 1 else ())})
        near = difflib.get_close_matches(str(location[-1]), allowed, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        return f"{where}: unknown key; {hint}allowed: {', '.join(allowed)}"
    if fault["type"] == "missing":
        return f"{where}: key missing; it is required"
    text = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{where}: found {_shown(fault['input'])}, {text}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def dotted(location: Location) -> str:
    """Return a location as it is written in messages."""
    return ".".join(str(part) for part in location)


def _keys_at(model: type[BaseModel], location: Location) -> list[str]:
    current: Any = model
    for part in location:
        if isinstance(part, int):
            continue
        field = getattr(current, "model_fields", {}).get(part)
        current = model_in(field.annotation) if field else None
    return sorted(getattr(current, "model_fields", {}))


def model_in(annotation: Any) -> Any:
    """Return the model that an annotation holds, or None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = model_in(inner)
        if found is not None:
            return found
    return None
