#!/usr/bin/env python3
"""Each rule of layering.py catches what it forbids and lets pass what it allows."""
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import layering


def problems(path, line):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "src", path)
        file.parent.mkdir(parents=True)
        file.write_text(line + "\n")
        return layering.check(Path(folder))[0]


class Layering(unittest.TestCase):
    def test_forbidden(self):
        for path, line in (
            ("base/a.cc", '#include "crypto/aead.h"'),
            ("access/a.cc", '#include "http/server.h"'),
            ("vector/a.cc", '#include "rag/chunker.h"'),
            ("guard/a.cc", '#include "crypto/hash.h"'),
            ("gateway/a.cc", '#include "inference/model.h"'),
            ("extract/a.h", '  #  include "http/message.h"'),
            ("base/a.cc", "#include <crypto/aead.h>"),
            ("base/a.cc", '#include "../crypto/aead.h"'),
            ("base/a.cc", '#include "nowhere/a.h"'),
            ("utils/a.cc", "#include <string>"),
            ("identity/a.cc", "#include <openssl/evp.h>"),
            ("http/server.cc", "#include <openssl/ssl.h>"),
            ("base/secret.cc", "#include <sodium.h>"),
            ("engine/a.cc", "#include <boost/asio.hpp>"),
            ("gateway/a.cc", '#include "llama.h"'),
            ("engine/a.cc", "#include <ggml-cpu.h>"),
            ("tenancy/a.cc", "#include <sqlite3.h>"),
            ("rag/a.cc", "#include <poppler-document.h>"),
            ("rag/a.cc", "#include <zip.h>"),
        ):
            with self.subTest(path=path, line=line):
                self.assertTrue(problems(path, line))

    def test_allowed(self):
        for path, line in (
            ("crypto/a.cc", '#include "base/result.h"'),
            ("crypto/a.cc", "#include <openssl/evp.h>"),
            ("http/tls.cc", "#include <openssl/ssl.h>"),
            ("http/detail/tls_session.h", "#include <openssl/ssl.h>"),
            ("http/detail/asio.h", "#include <boost/asio.hpp>"),
            ("inference/a.cc", '#include "llama-ext.h"'),
            ("storage/a.cc", "#include <sqlite3.h>"),
            ("extract/a.cc", "#include <zip.h>"),
            ("gateway/a.cc", '#include "rag/chunker.h"'),
            ("base/a.cc", "// #include \"rag/chunker.h\""),
        ):
            with self.subTest(path=path, line=line):
                self.assertEqual(problems(path, line), [])

    def test_cycle_in_the_table(self):
        with mock.patch.dict(layering.MAY_USE, {"base": {"crypto"}}):
            self.assertIn("cycle", problems("base/a.cc", "")[0])

    def test_no_sources(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertTrue(layering.check(Path(folder))[0])


if __name__ == "__main__":
    unittest.main()
