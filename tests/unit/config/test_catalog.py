"""The declarations as a whole, and what is written from them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import yarnflow
from yarnflow.config import render
from yarnflow.config.catalog import AREAS, NOT_ACTED_ON, declared_options, declared_prefixes, options_of
from yarnflow.config.core import CoreOptions
from yarnflow.config.loader import read_file
from yarnflow.config.option import Option, is_secret
from yarnflow.config.without_effect import WITHOUT_EFFECT


def test_each_key_is_declared_once() -> None:
    counts = Counter(option.key for option in declared_options())
    assert [key for key, count in counts.items() if count > 1] == []


def test_every_option_class_is_in_the_catalog() -> None:
    known = {area for _, area in AREAS}
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("yarnflow.config."):
            for value in vars(module).values():
                if isinstance(value, type) and value.__name__.endswith("Options"):
                    assert value in known, value


@pytest.mark.parametrize("option", declared_options(), ids=lambda option: option.key)
def test_a_default_is_a_value_its_option_accepts(option: Option[object]) -> None:
    if option.default is not None:
        assert option.parse(option.format(option.default)) == option.default
    if option.shown is not None:
        option.parse(option.shown)
    assert option.doc.endswith(".")
    assert not is_secret(option.key)
    assert not [keys for keys in WITHOUT_EFFECT.values() if option.key in keys]


def test_areas_say_what_they_are() -> None:
    for title, area in AREAS:
        assert area.__doc__, title
        assert options_of(area), title
    assert declared_prefixes()


def test_every_option_is_read_somewhere_or_said_not_to_be() -> None:
    package = Path(yarnflow.__file__).parent
    code = "\n".join(path.read_text() for path in package.rglob("*.py") if path.parent.name != "config")
    read = set(re.findall(r"(?<=\.)[A-Z][A-Z0-9_]+\b", code))
    assert [
        f"{area.__name__}.{name}"
        for _, area in AREAS
        for name, option in vars(area).items()
        if isinstance(option, Option) and option not in NOT_ACTED_ON and name not in read
    ] == []


def test_prefixes_without_effect_hide_no_typo_of_an_area_we_read() -> None:
    prefixes = [key for keys in WITHOUT_EFFECT.values() for key in keys if key.endswith(".")]
    for option in declared_options():
        assert not [prefix for prefix in prefixes if option.key.startswith(prefix)] or option.key.startswith(
            # Areas in which Flink has many keys and we have few.
            ("fs.", "state.backend.", "security.", "yarn.security.")
        ), option.key


@pytest.mark.parametrize("path", list(render.rendered()), ids=lambda path: path.name)
def test_written_files_agree_with_the_declarations(path: Path) -> None:
    assert path.read_text("utf-8") == render.rendered()[path], "run `python -m yarnflow.config.render`"


def test_check_names_a_file_that_is_out_of_date(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(render, "_ROOT", tmp_path)
    assert render.main(["--check"]) == 1
    assert "docs/configuration.md is out of date" in capsys.readouterr().out
    assert render.main([]) == 0
    assert render.main(["--check"]) == 0
    assert set(read_file(tmp_path / "conf" / "yarnflow-conf.yaml")) == {
        option.key for option in declared_options() if option.shown is not None
    }
    assert CoreOptions.LOG_LEVEL.key in (tmp_path / "docs" / "configuration.md").read_text()


def test_importing_and_loading_a_flat_file_imports_nothing_heavy() -> None:
    code = (
        "import sys, yarnflow.config.loader as l; l.load();"
        "print([m for m in ('yaml', 'logging', 'click', 'inspect', 'difflib', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=render._ROOT
    )
    assert done.stdout.strip() == "[]"
