-- What a deploy of a repository left of a deployment, and which of that each
-- run ran. A version outlives its deployment as long as a run refers to it.
CREATE TABLE deployment_version (
  workspace_id        INT NOT NULL REFERENCES workspace (id),
  id                  ID NOT NULL,
  created             TIME NOT NULL,
  actor               TEXT NOT NULL,
  deployment_id       ID NOT NULL,
  number              INT NOT NULL,
  repository          TEXT NOT NULL,
  file                TEXT NOT NULL,
  commit_id           TEXT,
  author              TEXT,
  message             TEXT,
  dirty               BOOL NOT NULL,
  bundle              TEXT,
  store               TEXT,
  view                TEXT,
  requirements        JSON,
  declared            JSON NOT NULL,
  inputs              JSON,
  rolled_back_to      INT,
  collected           TIME,
  storage_document_id ID,
  settings            JSON NOT NULL,
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, deployment_id, number)
);
CREATE INDEX deployment_version_bundle ON deployment_version (workspace_id, bundle) WHERE bundle IS NOT NULL;

ALTER TABLE deployment ADD COLUMN version_id ID;
CREATE INDEX deployment_current_version ON deployment (workspace_id, version_id) WHERE version_id IS NOT NULL;

-- code_pinned: the run was made for this version. code_exact: nothing else can
-- have been read.
ALTER TABLE flow_run ADD COLUMN version_id ID;
ALTER TABLE flow_run ADD COLUMN code_pinned BOOL;
ALTER TABLE flow_run ADD COLUMN code_exact BOOL;
CREATE INDEX flow_run_version ON flow_run (workspace_id, version_id) WHERE version_id IS NOT NULL;

-- Code that the server itself keeps, in pieces that suit either database.
CREATE TABLE bundle (
  workspace_id INT NOT NULL REFERENCES workspace (id),
  hash         TEXT NOT NULL,
  created      TIME NOT NULL,
  used         TIME NOT NULL,
  actor        TEXT NOT NULL,
  size         INT NOT NULL,
  PRIMARY KEY (workspace_id, hash)
);

CREATE TABLE bundle_piece (
  workspace_id INT NOT NULL,
  hash         TEXT NOT NULL,
  position     INT NOT NULL,
  content      BYTES NOT NULL,
  PRIMARY KEY (workspace_id, hash, position),
  FOREIGN KEY (workspace_id, hash) REFERENCES bundle (workspace_id, hash) ON DELETE CASCADE
);
