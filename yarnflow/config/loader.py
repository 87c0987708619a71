"""Reading the configuration of a process: file < environment < -D.

The file is the first of these that exists, in the directory of `find_conf_dir`: yarnflow-conf.yaml, Flink's
config.yaml, Flink's flink-conf.yaml. Files of flat `key: value` lines are read here, because importing yaml costs
more than all the rest; a file with nested keys goes through yaml.

Keys are checked against the declarations: unknown ones warn with the nearest known one, wrong values raise.
Deprecated keys are stored under the current one, so that a stronger source wins whatever name it uses.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from yarnflow.config.catalog import NOT_ACTED_ON, declared_options, declared_prefixes
from yarnflow.config.configuration import Configuration
from yarnflow.config.option import Option
from yarnflow.config.values import LIST, MAP
from yarnflow.config.without_effect import reason_without_effect
from yarnflow.errors import ConfigurationError

#: What a configuration directory may hold, best first. Only the last is Flink's old format, which is not YAML.
FILE_NAMES = ("yarnflow-conf.yaml", "config.yaml", "flink-conf.yaml")
_LEGACY = "flink-conf.yaml"

#: Lines `key: value` that are laid over the file. Flink's images have it as FLINK_PROPERTIES, which is read too.
PROPERTIES_VARIABLES = ("FLINK_PROPERTIES", "YARNFLOW_PROPERTIES")

#: Text of a value and where it stands ("conf/yarnflow-conf.yaml:12"), by key.
Entries = dict[str, tuple[str, str]]

#: Keys this process has warned about: a session reads the configuration more than once.
_warned: set[str] = set()


def load(
    conf_dir: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Configuration:
    """Read and check the configuration.

    Args:
        conf_dir: the directory given with --configDir; without it see `find_conf_dir`.
        overrides: what was given with -D, by key.
        environ: environment variables.

    Raises:
        ConfigurationError: the directory has no configuration file, a file cannot be read, or a value is not of
            its option's type; the message names file and line, key, value and what is accepted.
    """
    path = _find_file(conf_dir, environ)
    layers = [read_file(path) if path else {}]
    for variable in PROPERTIES_VARIABLES:
        layers.append(_read_properties(environ.get(variable, ""), variable))
    layers.append({key: (value, f"-D{key}") for key, value in (overrides or {}).items()})

    merged: Entries = {}
    for layer in layers:
        merged.update(_canonical(layer))
    _check(merged)
    return Configuration({key: text for key, (text, _) in merged.items()})


def find_conf_dir(
    conf_dir: str | os.PathLike[str] | None = None, environ: Mapping[str, str] = os.environ
) -> Path | None:
    """The directory with the configuration file, `masters`, `workers` and `logging.yaml`; None if there is none.

    The first of: `conf_dir`, $YARNFLOW_CONF_DIR, $FLINK_CONF_DIR, conf/ beside bin/ in a checkout, ~/.yarnflow.

    Raises:
        ConfigurationError: a directory that was named does not exist.
    """
    named = {
        "--configDir": conf_dir,
        **{name: environ.get(name) for name in ("YARNFLOW_CONF_DIR", "FLINK_CONF_DIR")},
    }
    for source, value in named.items():
        if value:
            path = Path(value)
            if not path.is_dir():
                raise ConfigurationError(f"{source} is {str(value)!r}, which is not a directory")
            return path
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "bin").is_dir() and (checkout / "conf" / FILE_NAMES[0]).is_file():
        return checkout / "conf"
    home = environ.get("HOME")
    if home and (Path(home) / ".yarnflow").is_dir():
        return Path(home) / ".yarnflow"
    return None


def _find_file(conf_dir: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path | None:
    directory = find_conf_dir(conf_dir, environ)
    if directory is None:
        return None
    for name in FILE_NAMES:
        if (directory / name).is_file():
            return directory / name
    if conf_dir:
        raise ConfigurationError(f"{directory} has no configuration file: none of {', '.join(FILE_NAMES)}")
    return None


# ------------------------------------------------------------------------------------------------ reading


def read_file(path: Path) -> Entries:
    """The entries of one file, each with the line it stands on. Raises ConfigurationError if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    if path.name == _LEGACY:
        return _read_legacy(text, str(path))
    entries = _read_flat(text, str(path))
    return _read_yaml(text, str(path)) if entries is None else entries


def _read_legacy(text: str, name: str) -> Entries:
    """Flink's old format: `key: value`, a `#` anywhere starts a comment, quotes mean nothing."""
    entries: Entries = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        key, colon, value = content.partition(": ")
        if not colon or not key.strip() or not value.strip():
            # Flink skips such lines with a warning as well; one of them must not keep a job from starting.
            _warn(f"{name}:{number}: skipped, because it is not of the form 'key: value'")
            continue
        entries[key.strip()] = (value.strip(), f"{name}:{number}")
    return entries


def _read_flat(text: str, name: str) -> Entries | None:
    """YAML that consists of `key: value` lines alone, or None if it is more than that."""
    entries: Entries = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, colon, rest = line.partition(":")
        if (
            not colon
            or key != key.strip()
            or not key
            or key[0] in "-[{\"'&*!|>%@`?"
            or rest[:1] not in ("", " ", "\t")
        ):
            return None
        value = _scalar(rest.strip())
        if value is None:
            return None
        if key in entries:
            _warn(f"{name}:{number}: {key} is set a second time; this line counts")
        entries[key] = (value, f"{name}:{number}")
    return entries


def _scalar(text: str) -> str | None:
    """What a one-line YAML value says; None when only a YAML parser can tell."""
    if text[:1] in ("'", '"'):
        end = text.find(text[0], 1)
        plain = end > 0 and "\\" not in text[:end]
        rest = text[end + 1 :].lstrip()
        return text[1:end] if plain and (not rest or rest.startswith("#")) else None
    if not text or text[0] in "#&*!|>%@`":
        return None
    for i, char in enumerate(text):
        if char == "#" and text[i - 1] in " \t":
            text = text[:i].rstrip()
            break
    if text[0] in "[{" and text[-1] not in "]}":
        return None
    return text


def _read_yaml(text: str, name: str) -> Entries:
    import yaml  # not at the top: see the module's docstring

    try:
        # BaseLoader leaves every scalar as it is written: `off` and `1.10` are not booleans and numbers here.
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{name} is not YAML: {' '.join(str(error).split())}") from error
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise ConfigurationError(f"{name}: expected lines of the form 'key: value'")
    maps = {option.key for option in declared_options() if option.type is MAP}
    return dict(_flatten(root, "", name, maps))


def _flatten(node: Any, prefix: str, name: str, maps: set[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    for key_node, value_node in node.value:
        key = prefix + str(key_node.value)
        if isinstance(value_node.value, str):
            if value_node.value:  # a key with nothing behind it is as good as absent
                yield key, (value_node.value, f"{name}:{key_node.start_mark.line + 1}")
        elif value_node.id == "mapping" and key not in maps:
            yield from _flatten(value_node, key + ".", name, maps)
        else:
            yield key, (_text_of(value_node), f"{name}:{key_node.start_mark.line + 1}")


def _text_of(node: Any) -> str:
    """A list or mapping of YAML in the form that LIST and MAP read."""
    if node.id == "sequence":
        return LIST.format([_text_of(item) for item in node.value])
    if node.id == "mapping":
        return MAP.format({str(key.value): _text_of(value) for key, value in node.value})
    return str(node.value)


def _read_properties(text: str, variable: str) -> Entries:
    entries = _read_flat(text, f"${variable}")
    if entries is None:
        raise ConfigurationError(f"${variable}: expected lines of the form 'key: value'")
    return entries


# ------------------------------------------------------------------------------------------------ checking


def _by_key() -> dict[str, Option[Any]]:
    """The option each key is read by. One option's own key may be another's fallback: it belongs to the first."""
    options = declared_options()
    by_key = {fallback: option for option in options for fallback in option.fallback}
    by_key.update({option.key: option for option in options})
    return by_key


def _canonical(layer: Entries) -> Entries:
    """The layer with deprecated keys renamed; where a layer has several names of one option, the newest counts."""
    by_key = _by_key()
    renamed: Entries = {}
    for key, entry in layer.items():
        option = by_key.get(key)
        if option is None or key == option.key:
            renamed[key] = entry
        elif next(name for name in (option.key, *option.fallback) if name in layer) == key:
            renamed[option.key] = entry
    return renamed


def _check(entries: Entries) -> None:
    by_key = _by_key()
    prefixes = tuple(prefix.prefix for prefix in declared_prefixes())
    planned = {option.key for option in NOT_ACTED_ON}
    without_effect: list[str] = []
    not_acted_on: list[str] = []
    for key, (text, origin) in entries.items():
        option = by_key.get(key)
        if option is not None:
            try:
                value = option.parse(text)
            except ConfigurationError as error:
                raise ConfigurationError(f"{origin}: {error}") from None
            if option.key in planned and value != option.default:
                not_acted_on.append(option.key)
        elif key.startswith(prefixes):
            continue
        elif reason_without_effect(key):
            without_effect.append(key)
        elif key not in _warned:
            _warned.add(key)
            _warn(f"{origin}: nothing reads the key {key!r}{_nearest(key)}")
    news = [key for key in not_acted_on if key not in _warned]
    if news:
        # Somebody relies on these: encryption or checkpoints that are not there must not go unsaid.
        _warned.update(news)
        _warn(f"this version does not act on these options yet: {', '.join(news)}")
    if without_effect:
        import logging  # not at the top: most configurations give nothing to say

        logging.getLogger(__name__).info(
            "these keys of Flink have no effect here (docs/configuration.md says why): %s",
            ", ".join(without_effect),
        )


def _nearest(key: str) -> str:
    import difflib  # not at the top: only typos need it

    close = difflib.get_close_matches(key, [option.key for option in declared_options()], n=1, cutoff=0.75)
    return f"; did you mean {close[0]!r}?" if close else ""


def _warn(message: str) -> None:
    import logging  # not at the top: most configurations give nothing to say

    logging.getLogger(__name__).warning("%s", message)
