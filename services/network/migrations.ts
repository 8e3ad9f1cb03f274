import { Ipam } from './ipam/index.ts'
import { PortAllocator } from './ports/index.ts'

/**
 * `phase` says what was meant last: `creating` and `deleting` rows are undone, or finished, after a crash. A network is `gone`
 * when nobody sees it any more and only its device is still on its way out. A sandbox is `released` when its own container
 * gave it back and others still share it.
 */
const NETWORK = `
CREATE TABLE networks (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  driver TEXT NOT NULL,
  record TEXT NOT NULL,
  state TEXT,
  phase TEXT NOT NULL CHECK (phase IN ('creating', 'ready', 'deleting', 'gone')),
  predefined INTEGER NOT NULL,
  created TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX networks_name ON networks (name) WHERE phase IN ('creating', 'ready');
CREATE TABLE sandboxes (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  mode TEXT NOT NULL CHECK (mode IN ('private', 'host', 'none', 'container')),
  root TEXT NOT NULL,
  request TEXT NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('creating', 'ready', 'released', 'deleting'))
) STRICT;
CREATE INDEX sandboxes_root ON sandboxes (root);
CREATE TABLE endpoints (
  id TEXT PRIMARY KEY,
  sandbox TEXT NOT NULL REFERENCES sandboxes (id),
  network TEXT NOT NULL REFERENCES networks (id),
  interface TEXT NOT NULL,
  mac TEXT NOT NULL,
  ipv4 TEXT NOT NULL,
  ipv6 TEXT NOT NULL,
  request TEXT NOT NULL,
  state TEXT,
  host_interface TEXT NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('creating', 'ready', 'deleting')),
  position INTEGER NOT NULL,
  UNIQUE (sandbox, network)
) STRICT;
CREATE INDEX endpoints_network ON endpoints (network);
`

export const migrations: readonly string[] = [NETWORK, ...Ipam.migrations, ...PortAllocator.migrations]
