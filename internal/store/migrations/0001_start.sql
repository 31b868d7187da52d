-- Column types are words that each database spells in its own way (dialect.go):
-- ID, TIME (microseconds since 1970), JSON (text), BOOL, INT, REAL, SEQ.
-- Every row carries its workspace, and the actor who last wrote it. Keys start
-- with the workspace, so that one workspace's rows lie together and equal ids
-- in two workspaces never meet.
-- WITHOUT ROWID, which PostgreSQL does not have, keeps the rows of a SQLite
-- table in its primary key: one page to write less for the tables that grow
-- with every change of state.

CREATE TABLE workspace (
  id       INT PRIMARY KEY,
  name     TEXT NOT NULL UNIQUE,
  created  TIME NOT NULL
);

CREATE TABLE configuration (
  workspace_id INT NOT NULL REFERENCES workspace (id),
  key          TEXT NOT NULL,
  value        JSON NOT NULL,
  updated      TIME NOT NULL,
  actor        TEXT NOT NULL,
  PRIMARY KEY (workspace_id, key)
);

-- Who leads a background service, and until when.
CREATE TABLE lease (
  name    TEXT PRIMARY KEY,
  holder  TEXT NOT NULL,
  expires TIME NOT NULL
);

CREATE TABLE flow (
  workspace_id INT NOT NULL REFERENCES workspace (id),
  id           ID NOT NULL,
  created      TIME NOT NULL,
  updated      TIME NOT NULL,
  actor        TEXT NOT NULL,
  name         TEXT NOT NULL,
  tags         JSON NOT NULL,
  labels       JSON,
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, name)
);

CREATE TABLE work_pool (
  workspace_id      INT NOT NULL REFERENCES workspace (id),
  id                ID NOT NULL,
  created           TIME NOT NULL,
  updated           TIME NOT NULL,
  actor             TEXT NOT NULL,
  name              TEXT NOT NULL,
  description       TEXT,
  type              TEXT NOT NULL,
  base_job_template JSON NOT NULL,
  is_paused         BOOL NOT NULL,
  concurrency_limit INT,
  status            TEXT,
  default_queue_id  ID,
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, name)
);

CREATE TABLE work_queue (
  workspace_id      INT NOT NULL REFERENCES workspace (id),
  id                ID NOT NULL,
  created           TIME NOT NULL,
  updated           TIME NOT NULL,
  actor             TEXT NOT NULL,
  name              TEXT NOT NULL,
  description       TEXT,
  is_paused         BOOL NOT NULL,
  concurrency_limit INT,
  priority          INT NOT NULL,
  work_pool_id      ID NOT NULL,
  filter            JSON,
  last_polled       TIME,
  status            TEXT NOT NULL,
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, work_pool_id, name),
  FOREIGN KEY (workspace_id, work_pool_id) REFERENCES work_pool (workspace_id, id) ON DELETE CASCADE
);

CREATE TABLE worker (
  workspace_id               INT NOT NULL REFERENCES workspace (id),
  id                         ID NOT NULL,
  created                    TIME NOT NULL,
  updated                    TIME NOT NULL,
  actor                      TEXT NOT NULL,
  name                       TEXT NOT NULL,
  work_pool_id               ID NOT NULL,
  last_heartbeat_time        TIME NOT NULL,
  heartbeat_interval_seconds INT,
  status                     TEXT NOT NULL,
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, work_pool_id, name),
  FOREIGN KEY (workspace_id, work_pool_id) REFERENCES work_pool (workspace_id, id) ON DELETE CASCADE
);

CREATE TABLE block_type (
  workspace_id      INT NOT NULL REFERENCES workspace (id),
  id                ID NOT NULL,
  created           TIME NOT NULL,
  updated           TIME NOT NULL,
  actor             TEXT NOT NULL,
  name              TEXT NOT NULL,
  slug              TEXT NOT NULL,
  logo_url          TEXT,
  documentation_url TEXT,
  description       TEXT,
  code_example      TEXT,
  is_protected      BOOL NOT NULL,
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, slug)
);

CREATE TABLE block_schema (
  workspace_id  INT NOT NULL REFERENCES workspace (id),
  id            ID NOT NULL,
  created       TIME NOT NULL,
  updated       TIME NOT NULL,
  actor         TEXT NOT NULL,
  checksum      TEXT NOT NULL,
  fields        JSON NOT NULL,
  capabilities  JSON NOT NULL,
  version       TEXT NOT NULL,
  block_type_id ID NOT NULL,
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, checksum, version),
  FOREIGN KEY (workspace_id, block_type_id) REFERENCES block_type (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX block_schema_type ON block_schema (workspace_id, block_type_id, created);

CREATE TABLE block_document (
  workspace_id    INT NOT NULL REFERENCES workspace (id),
  id              ID NOT NULL,
  created         TIME NOT NULL,
  updated         TIME NOT NULL,
  actor           TEXT NOT NULL,
  name            TEXT NOT NULL,
  data            TEXT NOT NULL,
  is_anonymous    BOOL NOT NULL,
  block_type_id   ID NOT NULL,
  block_schema_id ID NOT NULL,
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, block_type_id, name),
  FOREIGN KEY (workspace_id, block_type_id) REFERENCES block_type (workspace_id, id) ON DELETE CASCADE,
  FOREIGN KEY (workspace_id, block_schema_id) REFERENCES block_schema (workspace_id, id) ON DELETE CASCADE
);

-- Which block a field of another block's data stands for.
CREATE TABLE block_document_reference (
  workspace_id INT NOT NULL REFERENCES workspace (id),
  parent_id    ID NOT NULL,
  name         TEXT NOT NULL,
  child_id     ID NOT NULL,
  PRIMARY KEY (workspace_id, parent_id, name),
  FOREIGN KEY (workspace_id, parent_id) REFERENCES block_document (workspace_id, id) ON DELETE CASCADE,
  FOREIGN KEY (workspace_id, child_id) REFERENCES block_document (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX block_document_reference_child ON block_document_reference (workspace_id, child_id);

CREATE TABLE deployment (
  workspace_id               INT NOT NULL REFERENCES workspace (id),
  id                         ID NOT NULL,
  created                    TIME NOT NULL,
  updated                    TIME NOT NULL,
  actor                      TEXT NOT NULL,
  name                       TEXT NOT NULL,
  version                    TEXT,
  description                TEXT,
  flow_id                    ID NOT NULL,
  paused                     BOOL NOT NULL,
  declared_paused            BOOL,
  job_variables              JSON NOT NULL,
  parameters                 JSON NOT NULL,
  tags                       JSON NOT NULL,
  labels                     JSON,
  work_queue_name            TEXT,
  work_queue_id              ID,
  last_polled                TIME,
  status                     TEXT NOT NULL,
  parameter_openapi_schema   JSON,
  enforce_parameter_schema   BOOL NOT NULL,
  path                       TEXT,
  entrypoint                 TEXT,
  manifest_path              TEXT,
  pull_steps                 JSON,
  storage_document_id        ID,
  infrastructure_document_id ID,
  created_by                 JSON,
  updated_by                 JSON,
  extra                      JSON,
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, flow_id, name),
  FOREIGN KEY (workspace_id, flow_id) REFERENCES flow (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX deployment_queue ON deployment (workspace_id, work_queue_id);

-- declared_active, and a deployment's declared_paused, are what the last deploy
-- said: one that says the same again leaves what people have switched since.
CREATE TABLE deployment_schedule (
  workspace_id       INT NOT NULL REFERENCES workspace (id),
  id                 ID NOT NULL,
  created            TIME NOT NULL,
  updated            TIME NOT NULL,
  actor              TEXT NOT NULL,
  deployment_id      ID NOT NULL,
  position           INT NOT NULL,
  schedule           JSON NOT NULL,
  active             BOOL NOT NULL,
  declared_active    BOOL NOT NULL,
  max_active_runs    INT,
  max_scheduled_runs INT,
  catchup            BOOL NOT NULL,
  parameters         JSON,
  slug               TEXT,
  PRIMARY KEY (workspace_id, id),
  FOREIGN KEY (workspace_id, deployment_id) REFERENCES deployment (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX deployment_schedule_deployment ON deployment_schedule (workspace_id, deployment_id, position);

CREATE TABLE flow_run (
  workspace_id               INT NOT NULL,
  id                         ID NOT NULL,
  created                    TIME NOT NULL,
  updated                    TIME NOT NULL,
  actor                      TEXT NOT NULL,
  name                       TEXT NOT NULL,
  flow_id                    ID NOT NULL,
  deployment_id              ID,
  deployment_version         TEXT,
  work_queue_id              ID,
  work_queue_name            TEXT,
  flow_version               TEXT,
  parameters                 JSON NOT NULL,
  idempotency_key            TEXT,
  context                    JSON NOT NULL,
  empirical_policy           JSON NOT NULL,
  tags                       JSON NOT NULL,
  labels                     JSON,
  parent_task_run_id         ID,
  auto_scheduled             BOOL NOT NULL,
  infrastructure_document_id ID,
  infrastructure_pid         TEXT,
  job_variables              JSON,
  created_by                 JSON,
  state_id                   ID,
  state_type                 TEXT,
  state_name                 TEXT,
  state_timestamp            TIME,
  run_count                  INT NOT NULL,
  expected_start_time        TIME,
  next_scheduled_start_time  TIME,
  start_time                 TIME,
  end_time                   TIME,
  total_run_time             INT NOT NULL,
  claim_owner                TEXT,
  claim_expires              TIME,
  PRIMARY KEY (workspace_id, id),
  FOREIGN KEY (workspace_id, flow_id) REFERENCES flow (workspace_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX flow_run_idempotency ON flow_run (workspace_id, flow_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX flow_run_flow ON flow_run (workspace_id, flow_id, expected_start_time);
CREATE INDEX flow_run_deployment ON flow_run (workspace_id, deployment_id, expected_start_time) WHERE deployment_id IS NOT NULL;
CREATE INDEX flow_run_parent ON flow_run (workspace_id, parent_task_run_id) WHERE parent_task_run_id IS NOT NULL;
-- Lists by time choose their page from this index alone; histories read only
-- flow_run_by_state, or this one on PostgreSQL.
CREATE INDEX flow_run_expected ON flow_run (workspace_id, expected_start_time, start_time, state_type, state_name, state_timestamp, total_run_time, id);
CREATE INDEX flow_run_started ON flow_run (workspace_id, COALESCE(start_time, expected_start_time));
CREATE INDEX flow_run_by_state ON flow_run (workspace_id, state_type, state_name, expected_start_time, start_time, state_timestamp, total_run_time);
CREATE INDEX flow_run_due ON flow_run (workspace_id, next_scheduled_start_time) WHERE state_type = 'SCHEDULED';
CREATE INDEX flow_run_due_queue ON flow_run (workspace_id, work_queue_id, next_scheduled_start_time) WHERE state_type = 'SCHEDULED';

CREATE TABLE flow_run_tag (
  workspace_id INT NOT NULL,
  tag          TEXT NOT NULL,
  run_id       ID NOT NULL,
  PRIMARY KEY (workspace_id, tag, run_id),
  FOREIGN KEY (workspace_id, run_id) REFERENCES flow_run (workspace_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX flow_run_tag_run ON flow_run_tag (workspace_id, run_id);

CREATE TABLE flow_run_state (
  workspace_id       INT NOT NULL,
  id                 ID NOT NULL,
  run_id             ID NOT NULL,
  actor              TEXT NOT NULL,
  type               TEXT NOT NULL,
  name               TEXT NOT NULL,
  timestamp          TIME NOT NULL,
  message            TEXT,
  details            JSON NOT NULL,
  data               JSON,
  result_artifact_id ID,
  PRIMARY KEY (workspace_id, run_id, id),
  FOREIGN KEY (workspace_id, run_id) REFERENCES flow_run (workspace_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE UNIQUE INDEX flow_run_state_id ON flow_run_state (workspace_id, id);

CREATE TABLE flow_run_input (
  workspace_id INT NOT NULL,
  id           ID NOT NULL,
  created      TIME NOT NULL,
  updated      TIME NOT NULL,
  actor        TEXT NOT NULL,
  flow_run_id  ID NOT NULL,
  key          TEXT NOT NULL,
  value        TEXT NOT NULL,
  sender       TEXT,
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, flow_run_id, key),
  FOREIGN KEY (workspace_id, flow_run_id) REFERENCES flow_run (workspace_id, id) ON DELETE CASCADE
);

CREATE TABLE task_run (
  workspace_id              INT NOT NULL,
  id                        ID NOT NULL,
  created                   TIME NOT NULL,
  updated                   TIME NOT NULL,
  actor                     TEXT NOT NULL,
  name                      TEXT NOT NULL,
  flow_run_id               ID,
  task_key                  TEXT NOT NULL,
  dynamic_key               TEXT NOT NULL,
  cache_key                 TEXT,
  cache_expiration          TIME,
  task_version              TEXT,
  empirical_policy          JSON NOT NULL,
  tags                      JSON NOT NULL,
  labels                    JSON,
  task_inputs               JSON NOT NULL,
  state_id                  ID,
  state_type                TEXT,
  state_name                TEXT,
  state_timestamp           TIME,
  run_count                 INT NOT NULL,
  flow_run_run_count        INT NOT NULL,
  expected_start_time       TIME,
  next_scheduled_start_time TIME,
  start_time                TIME,
  end_time                  TIME,
  total_run_time            INT NOT NULL,
  PRIMARY KEY (workspace_id, id),
  FOREIGN KEY (workspace_id, flow_run_id) REFERENCES flow_run (workspace_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX task_run_natural ON task_run (workspace_id, flow_run_id, task_key, dynamic_key);
CREATE UNIQUE INDEX task_run_natural_alone ON task_run (workspace_id, task_key, dynamic_key) WHERE flow_run_id IS NULL;
CREATE INDEX task_run_expected ON task_run (workspace_id, expected_start_time);

CREATE TABLE task_run_tag (
  workspace_id INT NOT NULL,
  tag          TEXT NOT NULL,
  run_id       ID NOT NULL,
  PRIMARY KEY (workspace_id, tag, run_id),
  FOREIGN KEY (workspace_id, run_id) REFERENCES task_run (workspace_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX task_run_tag_run ON task_run_tag (workspace_id, run_id);

CREATE TABLE task_run_state (
  workspace_id       INT NOT NULL,
  id                 ID NOT NULL,
  run_id             ID NOT NULL,
  actor              TEXT NOT NULL,
  type               TEXT NOT NULL,
  name               TEXT NOT NULL,
  timestamp          TIME NOT NULL,
  message            TEXT,
  details            JSON NOT NULL,
  data               JSON,
  result_artifact_id ID,
  PRIMARY KEY (workspace_id, run_id, id),
  FOREIGN KEY (workspace_id, run_id) REFERENCES task_run (workspace_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE UNIQUE INDEX task_run_state_id ON task_run_state (workspace_id, id);

-- Results that later task runs with the same cache key may reuse. The state is
-- kept here as it was, so that deleting the run does not empty the cache.
CREATE TABLE task_run_cache (
  workspace_id INT NOT NULL,
  cache_key    TEXT NOT NULL,
  created      TIME NOT NULL,
  expires      TIME,
  state        JSON NOT NULL,
  PRIMARY KEY (workspace_id, cache_key, created)
);

CREATE TABLE tag_limit (
  workspace_id      INT NOT NULL REFERENCES workspace (id),
  id                ID NOT NULL,
  created           TIME NOT NULL,
  updated           TIME NOT NULL,
  actor             TEXT NOT NULL,
  tag               TEXT NOT NULL,
  concurrency_limit INT NOT NULL,
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, tag)
);

CREATE TABLE tag_slot (
  workspace_id INT NOT NULL,
  limit_id     ID NOT NULL,
  task_run_id  ID NOT NULL,
  taken        TIME NOT NULL,
  PRIMARY KEY (workspace_id, limit_id, task_run_id),
  FOREIGN KEY (workspace_id, limit_id) REFERENCES tag_limit (workspace_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX tag_slot_run ON tag_slot (workspace_id, task_run_id);

CREATE TABLE concurrency_limit (
  workspace_id               INT NOT NULL REFERENCES workspace (id),
  id                         ID NOT NULL,
  created                    TIME NOT NULL,
  updated                    TIME NOT NULL,
  actor                      TEXT NOT NULL,
  active                     BOOL NOT NULL,
  name                       TEXT NOT NULL,
  slot_limit                 INT NOT NULL,
  active_slots               INT NOT NULL,
  denied_slots               INT NOT NULL,
  slot_decay_per_second      REAL NOT NULL,
  avg_slot_occupancy_seconds REAL NOT NULL,
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, name)
);

CREATE TABLE variable (
  workspace_id INT NOT NULL REFERENCES workspace (id),
  id           ID NOT NULL,
  created      TIME NOT NULL,
  updated      TIME NOT NULL,
  actor        TEXT NOT NULL,
  name         TEXT NOT NULL,
  value        JSON NOT NULL,
  tags         JSON NOT NULL,
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, name)
);

CREATE TABLE artifact (
  workspace_id INT NOT NULL,
  id           ID NOT NULL,
  created      TIME NOT NULL,
  updated      TIME NOT NULL,
  actor        TEXT NOT NULL,
  key          TEXT,
  type         TEXT,
  description  TEXT,
  data         JSON,
  metadata     JSON,
  flow_run_id  ID,
  task_run_id  ID,
  PRIMARY KEY (workspace_id, id)
);
CREATE INDEX artifact_key ON artifact (workspace_id, key, created) WHERE key IS NOT NULL;
CREATE INDEX artifact_flow_run ON artifact (workspace_id, flow_run_id) WHERE flow_run_id IS NOT NULL;
CREATE INDEX artifact_task_run ON artifact (workspace_id, task_run_id) WHERE task_run_id IS NOT NULL;

CREATE TABLE artifact_collection (
  workspace_id INT NOT NULL REFERENCES workspace (id),
  id           ID NOT NULL,
  created      TIME NOT NULL,
  updated      TIME NOT NULL,
  actor        TEXT NOT NULL,
  key          TEXT NOT NULL,
  latest_id    ID NOT NULL,
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, key)
);

CREATE TABLE saved_search (
  workspace_id INT NOT NULL REFERENCES workspace (id),
  id           ID NOT NULL,
  created      TIME NOT NULL,
  updated      TIME NOT NULL,
  actor        TEXT NOT NULL,
  name         TEXT NOT NULL,
  filters      JSON NOT NULL,
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, name)
);

CREATE TABLE notification_policy (
  workspace_id      INT NOT NULL REFERENCES workspace (id),
  id                ID NOT NULL,
  created           TIME NOT NULL,
  updated           TIME NOT NULL,
  actor             TEXT NOT NULL,
  is_active         BOOL NOT NULL,
  state_names       JSON NOT NULL,
  tags              JSON NOT NULL,
  block_document_id ID NOT NULL,
  message_template  TEXT,
  PRIMARY KEY (workspace_id, id),
  FOREIGN KEY (workspace_id, block_document_id) REFERENCES block_document (workspace_id, id) ON DELETE CASCADE
);
