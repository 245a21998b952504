"""The walk-through's voice: plain text, colours on a terminal only, a count of checks."""
import sys
import textwrap

WIDTH = 96


class Talk:
    def __init__(self):
        self.passed = self.failed = 0
        self.tty = sys.stdout.isatty()
        self.pending = False

    def paint(self, text, code):
        return f"\033[{code}m{text}\033[0m" if self.tty else text

    def say(self, text=""):
        if self.pending:
            print("\r" + " " * WIDTH + "\r", end="")
            self.pending = False
        print(text, flush=True)

    def title(self, text):
        self.say("\n" + self.paint(text, 1) + "\n" + "=" * len(text))

    def heading(self, text):
        self.say("\n" + self.paint(text, 1) + "\n" + "-" * len(text))

    def line(self, text):
        self.say("  " + text)

    def progress(self, text):
        if self.tty:
            print("\r  " + text.ljust(WIDTH - 2), end="", flush=True)
            self.pending = True

    def wrapped(self, label, text, indent="           "):
        body = textwrap.fill(" ".join(text.split()), WIDTH - len(indent), initial_indent="", subsequent_indent=indent)
        self.say(f"  {label:<8} {body}")

    def question(self, who, text):
        self.say()
        self.wrapped("asks", f"{who}: {text}")

    def answer(self, text):
        self.wrapped("answer", text if len(text) < 400 else text[:400] + " ...")

    def source(self, text):
        self.wrapped("source", text)

    def check(self, passed, text):
        if passed:
            self.passed += 1
        else:
            self.failed += 1
        mark = self.paint("ok", 32) if passed else self.paint("FAILED", 31)
        self.wrapped(mark if not self.tty else mark + " " * 6, text)

    def attack(self, what, result, passed):
        self.check(passed, f"{what}: {result}")

    def summary(self):
        self.heading("Result")
        self.say(f"  {self.passed} checks passed, {self.failed} failed")
