#!/usr/bin/env bash
# outlines_core takes `minLength` or `maxLength` of a string, and then forgets its `pattern` and its `format`.
#
# Packages: outlines_core 0.2.14, llguidance 1.9.1, jsonschema 4.26.0.
# Expected: each keyword is an assertion of its own, and an instance must meet all of them (JSON Schema 2020-12, core
# 7.6.1); keywords that outlines_core does not support it refuses with an error ("Unsupported JSON Schema structure").
# Seen: alone, `pattern` and `format` become part of the expression that the model's answer is held to. With a length
# beside them they are left out without a word: a "date" of any ten characters, a code of any letters.
# Control: llguidance, given the same schema, takes only what fits both, and jsonschema agrees with it.
# Consequence: adding a harmless bound to a schema takes its strictest constraint away. Validate answers afterwards.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip -q install --disable-pip-version-check outlines_core==0.2.14 llguidance==1.9.1 jsonschema==4.26.0
cat >look.py <<'PY'
import json
import re
import sys
from importlib.metadata import version

from jsonschema import Draft202012Validator, FormatChecker
from llguidance import LLMatcher, LLTokenizer
from outlines_core.json_schema import build_regex_from_schema

BYTES = LLTokenizer("byte")
CASES = [({"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"}, {"minLength": 7}, "please"),
         ({"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"}, {"maxLength": 7}, "no code"),
         ({"type": "string", "format": "date"}, {"maxLength": 10}, "tomorrow")]


def outlines_takes(schema, value):
    return re.fullmatch(build_regex_from_schema(json.dumps(schema)), json.dumps(value)) is not None


def llguidance_takes(schema, value):
    text = json.dumps(value)
    matcher = LLMatcher(BYTES, LLMatcher.grammar_from_json_schema(json.dumps(schema)))
    return matcher.try_consume_tokens(BYTES.tokenize_str(text)) == len(text) and matcher.is_accepting()


def valid(schema, value):
    return Draft202012Validator(schema, format_checker=FormatChecker()).is_valid(value)


print("outlines_core", version("outlines_core"), "llguidance", version("llguidance"))
same = True
for alone, bound, value in CASES:
    both = alone | bound
    value = value if valid(bound, value) else value.ljust(bound.get("minLength", 0), "!")
    seen = [outlines_takes(alone, value), outlines_takes(both, value), llguidance_takes(both, value), valid(both, value)]
    print(f"{json.dumps(both)} and {value!r}: outlines_core without the bound {seen[0]}, with it {seen[1]}; "
          f"llguidance {seen[2]}; jsonschema {seen[3]}")
    same = same and seen == [False, True, False, False]
sys.exit(0 if same else 1)
PY
env/bin/python look.py
