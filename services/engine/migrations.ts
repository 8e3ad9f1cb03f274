/** The engine's schema, one string a version; a released one is never edited. */
export const migrations: readonly string[] = [
  `
CREATE TABLE containers (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  image TEXT NOT NULL,
  created INTEGER NOT NULL,
  doc TEXT NOT NULL
) STRICT;
CREATE INDEX containers_status ON containers (status);
CREATE INDEX containers_image ON containers (image);

-- A name is taken before its container is there, by the job that makes it.
CREATE TABLE names (name TEXT PRIMARY KEY, container TEXT NOT NULL) STRICT;
CREATE INDEX names_container ON names (container);

-- How containers that are gone ended.
CREATE TABLE removed (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, exit_code INTEGER NOT NULL) STRICT;

CREATE TABLE execs (
  id TEXT PRIMARY KEY,
  container TEXT NOT NULL,
  finished INTEGER,
  doc TEXT NOT NULL
) STRICT;
CREATE INDEX execs_container ON execs (container);

CREATE TABLE jobs (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  container TEXT NOT NULL,
  status TEXT NOT NULL,
  doc TEXT NOT NULL
) STRICT;
CREATE INDEX jobs_running ON jobs (seq) WHERE status = 'running';
`,
  `
-- What became of requests, for callers that did not hear it.
CREATE TABLE answers (request TEXT PRIMARY KEY, answer TEXT NOT NULL, ended INTEGER NOT NULL) STRICT;
CREATE INDEX answers_ended ON answers (ended);
`,
]
