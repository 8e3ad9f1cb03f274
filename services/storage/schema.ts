/** The storage service's database, one string a version. */
export const migrations = [
  `
CREATE TABLE layers (
  id TEXT PRIMARY KEY,                     -- the driver's name for it, random
  driver TEXT NOT NULL,
  chain_id TEXT NOT NULL,                  -- digest of this and all layers below (OCI image specification)
  diff_id TEXT NOT NULL,                   -- digest of its tar
  parent TEXT REFERENCES layers (id),
  depth INTEGER NOT NULL,
  size INTEGER NOT NULL,                   -- bytes of its files
  tar_size INTEGER NOT NULL,
  init TEXT,                               -- the driver's layer with the mount points of containers, made on first use
  created INTEGER NOT NULL,
  UNIQUE (driver, chain_id)
) STRICT;
CREATE INDEX layers_parent ON layers (parent);

CREATE TABLE images (
  id TEXT PRIMARY KEY,                     -- sha256:<hex> of config
  config BLOB NOT NULL,                    -- the OCI image configuration, as it came
  created INTEGER NOT NULL,                -- milliseconds, from the configuration
  driver TEXT NOT NULL,
  layer TEXT REFERENCES layers (id),       -- the topmost; null for an image without layers
  size INTEGER NOT NULL,
  parent TEXT,                             -- image that it was built from, on this machine
  tagged INTEGER                           -- milliseconds of the last tagging
) STRICT;
CREATE INDEX images_layer ON images (layer);

CREATE TABLE refs (
  name TEXT PRIMARY KEY,                   -- canonical, with tag or digest
  repository TEXT NOT NULL,
  image TEXT NOT NULL REFERENCES images (id)
) STRICT;
CREATE INDEX refs_image ON refs (image);

CREATE TABLE rootfs (
  id TEXT PRIMARY KEY,                     -- the container's id
  image TEXT NOT NULL,                     -- may be gone, when it was removed by force
  driver TEXT NOT NULL,
  layer TEXT REFERENCES layers (id),
  mounts TEXT NOT NULL,                    -- JSON: what the container asked for, volumes named
  created INTEGER NOT NULL
) STRICT;
CREATE INDEX rootfs_image ON rootfs (image);
CREATE INDEX rootfs_layer ON rootfs (layer);

CREATE TABLE volumes (
  name TEXT PRIMARY KEY,
  driver TEXT NOT NULL,
  options TEXT NOT NULL,                   -- JSON
  labels TEXT NOT NULL,                    -- JSON
  anonymous INTEGER NOT NULL,
  status TEXT NOT NULL,                    -- creating, ready, removing
  state TEXT,                              -- JSON, the driver's own
  created INTEGER NOT NULL
) STRICT;

CREATE TABLE volume_users (
  volume TEXT NOT NULL REFERENCES volumes (name),
  container TEXT NOT NULL REFERENCES rootfs (id) ON DELETE CASCADE,
  mounted INTEGER NOT NULL DEFAULT 0,      -- whether the container's root file system is mounted with it now
  PRIMARY KEY (volume, container)
) STRICT, WITHOUT ROWID;
CREATE INDEX volume_users_container ON volume_users (container);
`,
] as const
