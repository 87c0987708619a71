"""Writes conf/yarnflow-conf.yaml and docs/configuration.md from the declarations.

python -m yarnflow.config.render            writes both
python -m yarnflow.config.render --check    says which of them is out of date, and exits 1
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

from yarnflow.config.catalog import AREAS, NOT_ACTED_ON, options_of
from yarnflow.config.option import Option, OptionPrefix
from yarnflow.config.without_effect import WITHOUT_EFFECT

_ROOT = Path(__file__).resolve().parents[2]
_WIDTH = 108

_FILE_HEAD = """\
Configuration of yarnflow. Every option stands here, with its default commented out.

Lines have the form 'key: value'. Keys, values and their meaning are Flink's where Flink has the option.
docs/configuration.md lists the same options, and says how values are written and what overrides this file.

Written by `python -m yarnflow.config.render` from the declarations in yarnflow/config/. Change values as you
like; to change a default or a text, change its declaration."""

_PAGE_HEAD = """\
# Configuration

<!-- Written by `python -m yarnflow.config.render` from the declarations in yarnflow/config/. Do not edit. -->

## Where values come from

Each source overrides the ones before it:

1. the default;
2. the configuration file: the first of `yarnflow-conf.yaml`, `config.yaml` (Flink's nested form) and
   `flink-conf.yaml` (Flink's old form) in the configuration directory. That directory is the first of
   `--configDir`, `$YARNFLOW_CONF_DIR`, `$FLINK_CONF_DIR`, `conf/` of a checkout, `~/.yarnflow`;
3. the environment variables `FLINK_PROPERTIES` and `YARNFLOW_PROPERTIES`: lines of the form `key: value`;
4. `-Dkey=value` on the command line;
5. what the program sets itself.

A key that nothing reads gives a warning with the nearest known key. A value of the wrong type stops the start,
with file and line, key, value and what is accepted. Values of keys that contain `password`, `secret`, `token`
and the like are shown as `******`.

## How values are written

| Type | Examples |
|---|---|
| Duration | `10 s`, `1 min`, `500ms`, `1 h`, `2 d`; a bare number is milliseconds |
| MemorySize | `1024m`, `2 gb`, `64kb`; a bare number is bytes, but megabytes in flags (`-jm 1024`) |
| List | `a;b` or `[a, b]`; PyFlink's options separate with commas; quotes guard a part: `'a;b';c` |
| Map | `k:v,k2:v2` or `{k: v, k2: v2}`; with nested YAML also as a mapping |
| Ports | `8081`, `50100,50101`, `50100-50200` |
| Boolean | `true`, `false` |
"""


def render_file() -> str:
    """The text of conf/yarnflow-conf.yaml."""
    lines = _comment(_FILE_HEAD)
    for title, area in AREAS:
        lines += ["", "#" * 110, f"# {title}", "#" * 110]
        for option in options_of(area):
            lines += ["", *_comment(_plain(_doc(option)))]
            if isinstance(option, OptionPrefix):
                lines.append(f"# {option.prefix}{option.placeholder}: value")
            elif option.shown is not None:
                lines.append(f"{option.key}: {option.shown}")
            else:
                lines.append(f"# {option.key}: {_default(option)}".rstrip())
    return "\n".join(lines) + "\n"


def render_page() -> str:
    """The text of docs/configuration.md."""
    lines = [_PAGE_HEAD]
    for title, area in AREAS:
        lines += [f"## {title}", "", area.__doc__ or "", ""]
        lines += ["| Key | Default | Type | Meaning |", "|---|---|---|---|"]
        lines += [_row(option) for option in options_of(area)]
        lines.append("")
    lines += [
        "## Keys of Flink without effect",
        "",
        "An existing configuration of Flink is read as it is. These keys of it are accepted and do nothing; a "
        "name that ends in `.` stands for all keys that begin so.",
        "",
        "| Why | Keys |",
        "|---|---|",
    ]
    for reason, keys in WITHOUT_EFFECT.items():
        lines.append(f"| {reason} | {', '.join(f'`{key}`' for key in keys)} |")
    return "\n".join(lines) + "\n"


def _row(option: Option[Any] | OptionPrefix) -> str:
    if isinstance(option, OptionPrefix):
        return f"| `{option.prefix}{option.placeholder}` | | String | {_cell(option.doc)} |"
    doc = _doc(option)
    if option.choices or option.type.name == "Enum":
        doc += f" {option.accepts[0].upper()}{option.accepts[1:]}."
    elif option.minimum is not None:
        doc += f" At least {option.type.format(option.minimum)}."
    if option.fallback:
        doc += f" Also read from {', '.join(f'`{key}`' for key in option.fallback)}."
    default = f"`{_default(option)}`" if _default(option) else ""
    return f"| `{option.key}` | {default} | {option.type.name} | {_cell(doc)} |"


def _doc(option: Option[Any] | OptionPrefix) -> str:
    return f"{option.doc} Not acted on in this version." if option in NOT_ACTED_ON else option.doc


def _default(option: Option[Any]) -> str:
    return "" if option.default is None else option.type.format(option.default)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _plain(text: str) -> str:
    return text.replace("`", "'")


def _comment(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        lines += [f"# {line}" for line in textwrap.wrap(" ".join(paragraph.split()), _WIDTH)] + ["#"]
    return lines[:-1]


def rendered() -> dict[Path, str]:
    """The files that are written from the declarations, and their text."""
    return {
        _ROOT / "conf" / "yarnflow-conf.yaml": render_file(),
        _ROOT / "docs" / "configuration.md": render_page(),
    }


def main(arguments: list[str]) -> int:
    """Write the files, or check them; returns the exit code."""
    stale = [
        path for path, text in rendered().items() if not path.is_file() or path.read_text("utf-8") != text
    ]
    for path in stale:
        if "--check" in arguments:
            print(f"{path.relative_to(_ROOT)} is out of date: run `python -m yarnflow.config.render`")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(rendered()[path], "utf-8")
            print(f"wrote {path.relative_to(_ROOT)}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
