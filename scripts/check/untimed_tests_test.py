#!/usr/bin/env python3
"""untimed_tests.py finds every way in which a test has slept or measured time, and lets polling pass."""
import tempfile
import unittest
from pathlib import Path

import untimed_tests


def problems(path, line):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tests", path)
        file.parent.mkdir(parents=True)
        file.write_text(line + "\n")
        return untimed_tests.check(Path(folder))[0]


class UntimedTests(unittest.TestCase):
    def test_forbidden(self):
        for path, line in (
            ("acceptance/test_a.py", "    time.sleep(0.05)"),
            ("acceptance/test_a.py", "from time import monotonic, sleep"),
            ("acceptance/test_a.py", "    await asyncio.sleep(1)"),
            ("acceptance/test_a.py", "    threading.Event().wait(chosen.random())"),
            ("acceptance/test_a.py", "    assert time.monotonic() - began < 5"),
            ("acceptance/test_a.py", "    took = time.perf_counter() - began"),
            ("acceptance/test_a.py", "    assert time.time() < began + 5"),
            ("acceptance/test_a.py", "    assert began + 5 > time.monotonic()"),
            ("acceptance/traffic.py", "    time.sleep(chosen.random() * 1.2)"),
            ("unit/a/a_test.cc", "  std::this_thread::sleep_for(std::chrono::milliseconds(5));"),
            ("unit/a/support.h", "  ::usleep(10);"),
            ("unit/a/a_test.cc", "  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));"),
            ("unit/a/a_test.cc", "  while (Clock::now() < begin + kLong) work();"),
            ("unit/a/a_test.cc", "  EXPECT_EQ(told.wait_for(milliseconds(50)), std::future_status::timeout);"),
        ):
            with self.subTest(path=path, line=line):
                self.assertEqual(len(problems(path, line)), 1)

    def test_allowed(self):
        for path, line in (
            ("acceptance/test_a.py", "    deadline = time.monotonic() + seconds"),
            ("acceptance/test_a.py", "    while time.monotonic() < deadline:"),
            ("acceptance/test_a.py", "NOW = int(time.time())"),
            ("acceptance/test_a.py", "    # It may time.sleep( elsewhere."),
            ("acceptance/conftest.py", "        time.sleep(0.02)"),
            ("unit/support/eventually.h", "    std::this_thread::sleep_for(std::chrono::milliseconds(1));"),
            ("unit/a/a_test.cc", "    if (std::chrono::steady_clock::now() > deadline) return false;"),
            ("unit/a/a_test.cc", "  EXPECT_EQ(made.wait_for(seconds(0)), std::future_status::timeout);"),
            ("unit/a/a_test.cc", "  ASSERT_EQ(ended.wait_for(seconds(60)), std::future_status::ready);"),
            ("unit/a/a_test.cc", "  co_await reactor.sleep(minutes(5), cancel);"),
            ("unit/inference/timing_proof_test.cc", "  auto took = Clock::now() - began;"),
        ):
            with self.subTest(path=path, line=line):
                self.assertEqual(problems(path, line), [])

    def test_it_holds_here(self):
        root = Path(__file__).resolve().parent.parent.parent
        found, files = untimed_tests.check(root)
        self.assertEqual(found, [])
        self.assertGreater(files, 100)
        for name in untimed_tests.SLEEPERS | untimed_tests.CLOCKS:
            self.assertTrue((root / name).is_file(), name)


if __name__ == "__main__":
    unittest.main()
