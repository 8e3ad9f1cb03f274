/** The service's schema, one entry a version; never edited once released. */
export const migrations: readonly string[] = [
  `
CREATE TABLE process (
  id TEXT PRIMARY KEY,
  instance TEXT NOT NULL,
  -- creating, running, exited
  status TEXT NOT NULL,
  runtime TEXT NOT NULL,
  pid INTEGER NOT NULL,
  started_at TEXT NOT NULL,
  exit_code INTEGER,
  finished_at TEXT,
  -- whether the exit fact is stored in JetStream
  told INTEGER NOT NULL,
  -- the driver's state (JSON); empty while creating
  state TEXT NOT NULL,
  -- ProcessFacts (JSON)
  facts TEXT NOT NULL
) STRICT;

CREATE TABLE session (
  id TEXT PRIMARY KEY,
  container TEXT NOT NULL,
  runtime TEXT NOT NULL,
  status TEXT NOT NULL,
  pid INTEGER NOT NULL,
  exit_code INTEGER,
  told INTEGER NOT NULL,
  state TEXT NOT NULL,
  created INTEGER NOT NULL
) STRICT;
CREATE INDEX session_container ON session (container);
`,
]
