"""Names and words: what files may be called, what every file must open with, and what no file may say."""

from __future__ import annotations

import ast
import re

from harness.sources import ROOT, name_of, python_files, tracked, tree

BANNED_NAMES = {"util", "utils", "common", "helper", "helpers", "misc", "base", "manager"}
# Words of a workplace, not of the product; split so that this file does not hold them itself.
FOREIGN_WORDS = [
    "/" + "work/",
    "issue" + " #",
    "chat" + "gpt",
    "clau" + "de",
    "anthro" + "pic",
    "lang" + "uage model",
    "TO" + "DO",
    "FIX" + "ME",
]
SENTENCES = range(1, 6)
TEXT_SUFFIXES = {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".sh", ".txt", ".conf", ".cfg", ""}
LOCKED = {"requirements/run.txt", "requirements/dev.txt", "LICENSE"}  # hashes, and a text that is not ours


def test_no_file_or_folder_has_a_name_that_says_nothing():
    vague = [name_of(p) for p in tracked() if {part.split(".")[0] for part in p.relative_to(ROOT).parts} & BANNED_NAMES]
    assert not vague


def _sentences(docstring):
    """How many sentences its prose has; tables, drawings and indented samples are no prose."""
    prose = " ".join(line for line in docstring.splitlines() if line and line[0] not in " |├└│-")
    plain = re.sub(r"`[^`]*`|e\.g\.|i\.e\.", "word", prose)
    return len(re.findall(r"[.!?](?=\s+[A-Z`\"(\[]|\W*$)", plain + ("" if plain.rstrip().endswith(".") else ".")))


def test_every_module_opens_with_one_to_five_sentences():
    wrong = {}
    for path in python_files("src", "tests", "benchmarks", "docs", "examples"):
        count = _sentences(ast.get_docstring(tree(path)) or "")
        if not ast.get_docstring(tree(path)) or count not in SENTENCES:
            wrong[name_of(path)] = count
    assert not wrong


def test_no_file_speaks_of_anything_but_the_project():
    found = []
    for path in tracked():
        if path.suffix not in TEXT_SUFFIXES or name_of(path) in LOCKED:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{name_of(path)}: {word}" for word in FOREIGN_WORDS if re.search(rf"(?<!\w){re.escape(word)}", text)]
    assert not found


def test_names_use_whole_words_and_units_come_last():
    """Settings and plan fields that are times or sizes end in their unit, as `connect_timeout_ms` does."""
    wrong = []
    for path in python_files("src"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.arg | ast.Name):
                name = node.arg if isinstance(node, ast.arg) else node.id
                if re.match(r"(ms|millis|seconds|secs)_[a-z]", name):
                    wrong.append(f"{name_of(path)}:{node.lineno} {name}")
    assert not wrong


def test_every_lint_exception_has_its_reason():
    bare = []
    for path in python_files("src", "tests", "benchmarks", "docs", "examples"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = re.search(r"#\s*(noqa(?::\s*[A-Z0-9, ]+)?|type:\s*ignore(?:\[[^\]]*\])?)(.*)$", line)
            if match and '"' not in match[0] and not re.match(r"\s*[-#]\s*\S", match[2]):
                bare.append(f"{name_of(path)}:{number}")
    assert not bare
