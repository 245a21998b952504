#!/usr/bin/env python3
"""Does check_docs.py find what it is there to find? The control: it finds nothing in what stands there."""
import unittest
from pathlib import Path

import check_docs
from check_docs import Docs

ROOT = Path(__file__).resolve().parents[2]


class Altered(Docs):
    """The documentation and source with one text replaced in one file."""

    def __init__(self, name, old, new):
        super().__init__(ROOT)
        self.name, self.old, self.new = name, old, new

    def page(self, name):
        text = super().page(name)
        if name != self.name:
            return text
        assert self.old in text, f"{self.old!r} is not in {name}"
        return text.replace(self.old, self.new)

    def source(self, name):
        return self.page(f"src/{name}")


def problems(check, name="", old="", new=""):
    docs = Altered(name, old, new)
    getattr(docs, check)()
    return docs.problems


class Checks(unittest.TestCase):
    def found(self, what, check, name, old, new):
        self.assertEqual(problems(check), [], "the control")
        self.assertTrue(any(what in line for line in problems(check, name, old, new)), problems(check, name, old, new))

    def test_a_configuration_key_that_the_guide_lacks(self):
        self.found("drain_time_max", "check_config", "docs/operator-guide.md", "| `drain_time_max` |", "| drain |")

    def test_a_configuration_key_in_another_section(self):
        self.found("('[server]', 'threads')", "check_config", "docs/operator-guide.md", "| `threads` | number | 0 | 0 to 256 | reactor",
                   "| `batch` | number | 0 | 0 to 256 | reactor")

    def test_a_configuration_key_that_the_source_gained(self):
        self.found("brand_new", "check_config", "src/gateway/config.cc", 'r.flag("plain_http"',
                   'r.flag("brand_new", out.plain_http);\n  r.flag("plain_http"')

    def test_a_configuration_key_with_another_range(self):
        self.found("from 1 to 300, which", "check_config", "src/gateway/config.cc", 'r.number("slots", out.slots, 1, 256)',
                   'r.number("slots", out.slots, 1, 300)')

    def test_a_configuration_key_that_the_source_lost(self):
        self.found("no such thing", "check_config", "src/gateway/config.cc", 'r.flag("plain_http", out.plain_http);', "")

    def test_a_route_that_is_missing(self):
        self.found("/v1/models", "check_api", "docs/api.md", "| `GET` | `/v1/models` |", "| `GET` | `/v1/model` |")

    def test_a_route_with_another_permission(self):
        self.found("/v1/embeddings", "check_api", "src/gateway/routes.cc", "Permission::EmbeddingsCreate", "Permission::ModelsRead")

    def test_an_error_with_another_status(self):
        self.found("conflict", "check_api", "docs/api.md", "| 409 | `conflict` |", "| 400 | `conflict` |")

    def test_a_refused_parameter_that_is_missing(self):
        self.found("web_search_options", "check_api", "docs/api.md", "`web_search_options`", "web search")

    def test_a_metric_that_is_missing(self):
        self.found("bulkhead_stores_open", "check_operator_guide", "docs/operator-guide.md", "`bulkhead_stores_open`", "stores")

    def test_a_permission_that_is_missing(self):
        self.found("files.manage", "check_operator_guide", "docs/operator-guide.md", "| `files.manage` |", "| files |")

    def test_an_audit_member_that_is_missing(self):
        self.found("finish_reason", "check_audit", "docs/audit-format.md", "| `finish_reason` |", "| finish |")

    def test_a_column_that_is_missing(self):
        self.found("last_active", "check_schemas", "docs/formats.md", "last_active, ", "")

    def test_a_table_that_the_source_gained(self):
        self.found("notes", "check_schemas", "src/storage/platform_database.cc", "CREATE TABLE secrets",
                   "CREATE TABLE notes (id TEXT PRIMARY KEY);\nCREATE TABLE secrets")

    def test_a_module_that_may_use_something_else(self):
        self.found("guard", "check_modules", "docs/architecture.md", "may enter | base |", "may enter | base, crypto |")


class Pages(unittest.TestCase):
    """Links, paths and tests, in a page of their own."""

    def setUp(self):
        self.docs = Docs(ROOT)
        self.file = ROOT / "docs" / "api.md"

    def check(self, text):
        self.docs.check_links(self.file, text)
        self.docs.check_paths(self.file, text)
        self.docs.check_tests(self.file, text, self.docs.test_names())
        return self.docs.problems

    def test_control(self):
        self.assertEqual(self.check("[a](api.md#routes) `src/gateway/routes.cc:match_route` `tests/unit` `test_role_matrix` "
                                    "`Seals.OriginalsCantBeReorderedCutOrSwapped` `compile_fail.scope_made` [b](https://x.example)"), [])

    def test_what_is_not_there(self):
        for text in ("[a](nowhere.md)", "[a](api.md#no-such-heading)", "`src/gateway/nothing.cc`",
                     "`src/gateway/routes.cc:no_such_function`", "`test_that_nobody_wrote`", "`Seals.NotATest`",
                     "`compile_fail.not_a_snippet`"):
            self.docs.problems = []
            self.assertEqual(len(self.check(text)), 1, text)


class Form(unittest.TestCase):
    def test_a_source_that_is_written_otherwise_is_noticed(self):
        with self.assertRaises(check_docs.facts.FormChanged):
            problems("check_api", "src/gateway/routes.cc", "Route{Get,", "Route{  Get,")


if __name__ == "__main__":
    unittest.main(verbosity=0)
