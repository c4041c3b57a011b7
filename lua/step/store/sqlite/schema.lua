--- The tables of an SQLite store, version by version. A new file goes through all versions, an older one through those it
-- lacks, in one transaction; the file's user_version is the last. A version that was released is never changed.

local M = {}

--- What marks a file as a store of runs: "STEP".
M.application_id = 0x53544550

--- versions[n] brings a file of version n - 1 to version n. Texts are SQL, any number of statements.
---@type string[]
M.versions = {}

-- A step that nothing has happened to has no row: it is TODO. Columns that hold JSON are NULL when there is no value. run.due is
-- when a worker takes the run; while somebody owns it, when the lease ends. run.ending: why it is CANCELLED, or is to be. Numbers
-- of runs and of posts are never used twice: who holds an old one cannot mean another run.
M.versions[1] = [[
CREATE TABLE definition (
  hash TEXT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL,
  code INTEGER NOT NULL,
  document TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE run (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  key TEXT UNIQUE,
  definition TEXT NOT NULL REFERENCES definition (hash),
  name TEXT NOT NULL,
  parent TEXT,
  parent_step TEXT,
  state TEXT NOT NULL,
  run_count INTEGER NOT NULL DEFAULT 0,
  failed_count INTEGER NOT NULL DEFAULT 0,
  run_max INTEGER NOT NULL,
  created REAL NOT NULL,
  changed REAL NOT NULL,
  next_retry REAL,
  due REAL,
  input TEXT,
  resolver_input TEXT,
  config TEXT,
  tags TEXT NOT NULL,
  requester_username TEXT NOT NULL,
  resolver_username TEXT NOT NULL,
  deadline REAL,
  ending TEXT,
  owner TEXT,
  epoch INTEGER NOT NULL DEFAULT 0,
  takeovers INTEGER NOT NULL DEFAULT 0,
  events INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX run_due ON run (due) WHERE due IS NOT NULL;
CREATE INDEX run_state ON run (state);
CREATE INDEX run_name ON run (name);
CREATE INDEX run_created ON run (created);
CREATE INDEX run_definition ON run (definition);
CREATE INDEX run_parent ON run (parent) WHERE parent IS NOT NULL;

CREATE TABLE step (
  run INTEGER NOT NULL,
  step INTEGER NOT NULL,
  child INTEGER NOT NULL,
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  tries INTEGER NOT NULL,
  last_run REAL,
  output TEXT,
  metadata TEXT,
  error TEXT,
  children TEXT,
  items TEXT,
  extra TEXT,
  PRIMARY KEY (run, step, child)
) WITHOUT ROWID;

CREATE TABLE event (
  run INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  time REAL NOT NULL,
  step TEXT,
  "from" TEXT NOT NULL,
  "to" TEXT NOT NULL,
  message TEXT,
  PRIMARY KEY (run, seq)
) WITHOUT ROWID;

-- Not a foreign key of the two: that would be looked up at every row that is written.
CREATE TRIGGER run_deleted AFTER DELETE ON run BEGIN
  DELETE FROM step WHERE run = old.number;
  DELETE FROM event WHERE run = old.number;
END;

CREATE TABLE inbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  run INTEGER NOT NULL REFERENCES run (number) ON DELETE CASCADE,
  time REAL NOT NULL,
  kind TEXT NOT NULL,
  body TEXT
);
CREATE INDEX inbox_run ON inbox (run);

-- What a run must hear of its relatives is posted in the transaction that changes them: whoever dies when, it is heard. A run that
-- has ended, is blocked or was deleted tells its parent; one that was cancelled, its children. (The ids of children are our own: they
-- need no escapes.)
CREATE TRIGGER run_ended AFTER UPDATE OF state ON run
WHEN new.parent IS NOT NULL AND new.state <> old.state
  AND (new.state IN ('DONE', 'CANCELLED') OR substr(new.state, 1, 8) = 'BLOCKED_') BEGIN
  INSERT INTO inbox (run, time, kind, body)
    SELECT number, new.changed, 'child', '"' || new.id || '"'
    FROM run WHERE id = new.parent AND state NOT IN ('DONE', 'CANCELLED');
  UPDATE run SET due = new.changed WHERE id = new.parent AND owner IS NULL AND state = 'WAITING';
END;

CREATE TRIGGER run_gone AFTER DELETE ON run WHEN old.parent IS NOT NULL AND old.state NOT IN ('DONE', 'CANCELLED') BEGIN
  INSERT INTO inbox (run, time, kind, body)
    SELECT number, old.changed, 'child', '"' || old.id || '"'
    FROM run WHERE id = old.parent AND state NOT IN ('DONE', 'CANCELLED');
  UPDATE run SET due = old.changed WHERE id = old.parent AND owner IS NULL AND state = 'WAITING';
END;

CREATE TRIGGER run_cancelled AFTER UPDATE OF state ON run WHEN new.state = 'CANCELLED' AND old.state <> 'CANCELLED' BEGIN
  INSERT INTO inbox (run, time, kind, body)
    SELECT number, new.changed, 'stop', '"CANCELLED"' FROM run
    WHERE parent = new.id AND state NOT IN ('DONE', 'CANCELLED') AND ending IS NULL;
  UPDATE run SET due = new.changed
    WHERE parent = new.id AND owner IS NULL AND state NOT IN ('DONE', 'CANCELLED', 'RUNNING');
END;

CREATE TABLE cache (
  key TEXT PRIMARY KEY NOT NULL,
  value TEXT NOT NULL,
  expires REAL
) WITHOUT ROWID;
CREATE INDEX cache_expires ON cache (expires) WHERE expires IS NOT NULL;
]]

-- run.max_concurrent: NULL: as the definition says.
M.versions[2] = "ALTER TABLE run ADD COLUMN max_concurrent INTEGER;"

-- The number of a run's last event was in its row: that was written with every event then.
M.versions[3] = "ALTER TABLE run DROP COLUMN events;"

return M
