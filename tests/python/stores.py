"""Where the servers of the tests keep their data: an SQLite file each, or (`TRUNKLINE_TEST_STORE=postgres`) a database each, fresh, in
one real PostgreSQL that is started for the run by `scripts/postgres` and removed with it, or that runs already
(`TRUNKLINE_TEST_POSTGRES`: its URL). Where `TRUNKLINE_TEST_SQL` names a file for psql, it is run in each database once the schema is
there, as `scripts/citus.sql` is to be."""

import base64
import functools
import glob
import hashlib
import itertools
import os
import pathlib
import shutil
import sqlite3
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = (ROOT / (os.environ.get("TRUNKLINE_BIN") or TARGET / "release" / "trunkline")).resolve()
ON_POSTGRES = os.environ.get("TRUNKLINE_TEST_STORE", "sqlite") == "postgres"
assert ON_POSTGRES or os.environ.get("TRUNKLINE_TEST_STORE", "sqlite") == "sqlite", "TRUNKLINE_TEST_STORE is sqlite or postgres"


def only_on_a_file(reason):
    """Marks a test that makes no sense where the store is a database; the reason says why."""
    return pytest.mark.skipif(ON_POSTGRES, reason=f"on a file only: {reason}")


def tells(contents, secret):
    """Whether a secret stands in stored bytes: as it is, or as a database shows bytes."""
    clear = secret.encode()
    return any(form in contents for form in (clear, clear.hex().encode(), base64.b64encode(clear).rstrip(b"=")[:-1]))


def _script(*words):
    done = subprocess.run([ROOT / "scripts" / "postgres", *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"scripts/postgres {' '.join(map(str, words))}: {done.stderr}"
    return done.stdout.strip()


def _program(name):
    """One of PostgreSQL's own, of the newest that is installed."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), key=lambda path: int(path.split("/")[4]))
    return found[-1] if found else shutil.which(name)


class Postgres:
    """A PostgreSQL of the tests' own. It can be stopped, crashed, started again, and followed by a standby."""

    _all = []

    def __init__(self, folder=None, *settings):
        self.folder, self.settings = folder or _script("new"), settings
        self._all.append(self)
        # Also where this process is killed.
        _script("watch", str(os.getpid()), self.folder)
        self.url = None
        self.start()

    def start(self, *settings):
        self.url = _script("start", self.folder, *self.settings, *settings)
        return self

    def stop(self, how="immediate"):
        """`immediate` is a crash: nobody is told."""
        _script("stop", self.folder, how)

    def standby(self, *settings):
        """A second one that has what this one has."""
        return Postgres(_script("standby", self.folder), *settings)

    def promote(self):
        _script("promote", self.folder)

    def remove(self):
        if self in self._all:
            self._all.remove(self)
            _script("remove", self.folder)

    @classmethod
    def remove_all(cls):
        for one in list(cls._all):
            one.remove()

    def database(self, name="postgres"):
        return f"{self.url.rsplit('/', 1)[0]}/{name}"

    def sql(self, text, name="postgres"):
        """The rows of a query, of texts."""
        return [tuple(row.split("\x1f")) for row in self._psql(name, "-F", "\x1f", "-c", text).splitlines()]

    def _psql(self, name, *words):
        command = [_program("psql"), self.database(name), "-XAtq", "-v", "ON_ERROR_STOP=1", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout


class Given(Postgres):
    """One that somebody else runs: it is not stopped, and has nothing but the databases of the tests removed."""

    def __init__(self, url):
        self.folder, self.url, self.databases = url, url, []
        self._all.append(self)

    def arrange(self, name):
        self.databases.append(name)
        file = os.environ.get("TRUNKLINE_TEST_SQL")
        if file:
            environment = {"TRUNKLINE_STORE": self.database(name)}
            subprocess.run([BINARY, "migrate"], env=environment, check=True, capture_output=True, timeout=60)
            self._psql(name, "-f", file)

    def remove(self):
        self._all.remove(self)
        for name in self.databases:
            self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@functools.cache
def shared():
    """The one of the whole run."""
    given = os.environ.get("TRUNKLINE_TEST_POSTGRES")
    return Given(given) if given else Postgres()


class File:
    """An SQLite file in a server's folder."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "t.db"
        self.url, self.stem, self.environment, self.arguments = f"sqlite:{self.path}", self.path, {}, []

    def sql(self, text):
        with sqlite3.connect(self.path) as db:
            rows = [tuple("" if value is None else str(value) for value in row) for row in db.execute(text)]
        db.close()
        return rows

    def contents(self):
        """Everything that is stored, as it lies there."""
        return b"".join(path.read_bytes() for path in self.path.parent.glob("t.db*") if path.is_file())

    def save(self):
        """A copy of a store that no server uses."""
        return self.path.read_bytes()

    def restore(self, saved):
        self.path.write_bytes(saved)
        for ending in ("-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)


class Database:
    """A database, and what a node on it needs of its own. Servers of one folder are of one database."""

    _count = itertools.count(1)
    _names = {}

    def __init__(self, folder, postgres=None, of=None):
        """`of` is another node's: this one has the same database and the same secret, and a folder of its own."""
        folder = pathlib.Path(folder)
        if of:
            self.postgres, self.name, self.secret = of.postgres, of.name, of.secret
        else:
            self.postgres = postgres or shared()
            key = (self.postgres.folder, str(folder))
            if key not in self._names:
                self._names[key] = f"t{os.getpid()}_{next(self._count)}"
                self.postgres.sql(f"CREATE DATABASE {self._names[key]}")
                if isinstance(self.postgres, Given):
                    self.postgres.arrange(self._names[key])
            self.name = self._names[key]
            self.secret = base64.b64encode(hashlib.sha256(str(folder).encode()).digest()).decode()
        self.stem = folder / "node"
        self.arguments = ["--data", str(folder)]

    @property
    def url(self):
        return self.postgres.database(self.name)

    @property
    def environment(self):
        return {"TRUNKLINE_SECRET_KEY": self.secret}

    def sql(self, text):
        return self.postgres.sql(text, self.name)

    def contents(self):
        done = subprocess.run([_program("pg_dump"), self.url], capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def save(self):
        saved = f"s{os.getpid()}_{next(self._count)}"
        self.postgres.sql(f"CREATE DATABASE {saved} TEMPLATE {self.name}")
        return saved

    def restore(self, saved):
        self.postgres.sql(f"DROP DATABASE {self.name}")
        self.postgres.sql(f"CREATE DATABASE {self.name} TEMPLATE {saved}")


def store_of(folder):
    return (Database if ON_POSTGRES else File)(folder)
