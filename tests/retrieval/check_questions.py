#!/usr/bin/env python3
"""Checks that the labelled questions, the demo's walk-through and the documents agree.

Needs pdftotext (poppler-utils). Prints each disagreement and exits 1 if there is one.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from document_text import document_text, squeeze

HERE = Path(__file__).resolve().parent
CORPUS = HERE.parents[1] / "demo" / "corpus"
ANSWERABLE = {"lexical", "paraphrase", "table", "multi"}
UNANSWERABLE = {"off_topic", "near_miss", "foreign"}
FORMATS = {".pdf", ".docx", ".html", ".md", ".txt"}

problems = []


def complain(where, what):
    problems.append(f"{where}: {what}")


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


class Tenant:
    def __init__(self, folder):
        manifest = load(folder / "manifest.json")
        self.name = folder.name
        self.users = {user["name"]: user for user in manifest["users"]}
        self.access = {document["file"]: document["access"] for document in manifest["documents"]}
        present = {path.name for path in folder.iterdir() if path.suffix in FORMATS}
        if present != set(self.access):
            complain(self.name, f"manifest and folder differ: {sorted(present ^ set(self.access))}")
        if {Path(file).suffix for file in self.access} != FORMATS:
            complain(self.name, "not all five formats are there")
        self.text = {file: document_text(folder / file) for file in self.access}

    def restricted(self, file):
        return self.access[file] is not None

    def may_read(self, user, file):
        access = self.access[file]
        who = self.users[user]
        return access is None or user in access.get("users", []) or any(
            set(who[kind]) & set(access.get(kind, [])) for kind in ("roles", "groups"))

    def files_with(self, string):
        return {file for file, text in self.text.items() if squeeze(string) in text}


def check_answer(where, tenant, expect, strings, multi):
    for file in expect:
        if file not in tenant.text:
            return complain(where, f"no such document: {file}")
    for string in strings:
        found = tenant.files_with(string) & set(expect)
        if not found or (not multi and found != set(expect)):
            complain(where, f"\"{string}\" is not in {sorted(set(expect) - found)}")
        if any(tenant.restricted(file) for file in expect) and tenant.files_with(string) - set(expect):
            complain(where, f"restricted answer \"{string}\" also stands in an open document")
    if multi:
        for file in expect:
            if not any(file in tenant.files_with(string) for string in strings):
                complain(where, f"nothing of the answer is in {file}")
    elif strings:
        whole = set.intersection(*(tenant.files_with(string) for string in strings))
        if whole - set(expect) and min(len(string) for string in strings) > 12:
            complain(where, f"also answered by {sorted(whole - set(expect))}")


def check_foreign(where, tenants, own, entry):
    there = tenants[entry["answered_at"]]
    for file in entry["answered_in"]:
        if not any(file in there.files_with(string) for string in entry["must_not_contain"]):
            complain(where, f"nothing of the answer is in {there.name}/{file}")
    for string in entry["must_not_contain"]:
        if own.files_with(string):
            complain(where, f"\"{string}\" stands in {own.name}'s own {sorted(own.files_with(string))}")


def check_questions(tenants):
    questions = load(HERE / "questions.json")
    for identifier, count in Counter(question["id"] for question in questions).items():
        if count > 1:
            complain(identifier, "id used twice")
    for text, count in Counter((question["tenant"], question["question"]) for question in questions).items():
        if count > 1:
            complain(text[0], f"asked twice: {text[1]}")
    for question in questions:
        own, where, kind = tenants[question["tenant"]], question["id"], question["kind"]
        if kind in ANSWERABLE:
            check_answer(where, own, question["expect"], question["answer_contains"], kind == "multi")
            if question["restricted"] != any(own.restricted(file) for file in question["expect"]):
                complain(where, "\"restricted\" disagrees with the manifest")
            if kind == "multi" and len(question["expect"]) < 2:
                complain(where, "a multi question needs two documents")
        elif kind in UNANSWERABLE:
            if question["expect"]:
                complain(where, "expects an answer to a question that has none")
            if kind == "foreign":
                check_foreign(where, tenants, own, question)
        else:
            complain(where, f"unknown kind {kind}")
    return questions


def check_walkthrough(tenants):
    for part in load(CORPUS / "walkthrough.json")["tenants"]:
        own, where = tenants[part["tenant"]], f"walk-through of {part['tenant']}"
        for step in part["answered"]:
            check_answer(where, own, [step["expect"]], step["answer_contains"], False)
            if not own.may_read(step["user"], step["expect"]):
                complain(where, f"{step['user']} may not read {step['expect']}")
        secret = part["restricted"]
        check_answer(where, own, [secret["document"]], secret["answer_contains"], False)
        if not own.may_read(secret["allowed_user"], secret["document"]):
            complain(where, "the allowed user may not read the restricted document")
        if own.may_read(secret["denied_user"], secret["document"]):
            complain(where, "the denied user may read the restricted document")
        check_foreign(where, tenants, own, part["foreign"])
        if part["foreign"]["user"] not in own.users:
            complain(where, f"unknown user {part['foreign']['user']}")


def check_stripped(tenants):
    for name, strings in load(HERE / "stripped_strings.json").items():
        tenant, file = name.split("/")
        raw = (CORPUS / tenant / file).read_text(encoding="utf-8")
        for string in strings:
            if string not in raw or string in tenants[tenant].text[file]:
                complain(name, f"\"{string}\" should stand in the source and not in the text")


def main():
    tenants = {path.parent.name: Tenant(path.parent) for path in sorted(CORPUS.glob("*/manifest.json"))}
    questions = check_questions(tenants)
    check_walkthrough(tenants)
    check_stripped(tenants)
    for problem in problems:
        print(problem)
    for name in tenants:
        kinds = Counter(question["kind"] for question in questions if question["tenant"] == name)
        print(f"{name}: {len(tenants[name].text)} documents, "
              + ", ".join(f"{kinds[kind]} {kind}" for kind in sorted(kinds)))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
