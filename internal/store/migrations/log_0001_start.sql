-- Run logs live in a file of their own on SQLite, so that a flood of lines
-- never delays a state change. On PostgreSQL they are tables like the others.

CREATE TABLE log (
  seq          SEQ,
  workspace_id INT NOT NULL,
  id           ID NOT NULL,
  created      TIME NOT NULL,
  actor        TEXT NOT NULL,
  name         TEXT NOT NULL,
  level        INT NOT NULL,
  message      TEXT NOT NULL,
  timestamp    TIME NOT NULL,
  flow_run_id  ID,
  task_run_id  ID
);
CREATE INDEX log_flow_run ON log (workspace_id, flow_run_id, timestamp);
CREATE INDEX log_task_run ON log (workspace_id, task_run_id, timestamp) WHERE task_run_id IS NOT NULL;

-- What batches were stored, so that one sent again after a time-out is not
-- stored twice.
CREATE TABLE log_batch (
  workspace_id INT NOT NULL,
  digest       ID NOT NULL,
  received     TIME NOT NULL,
  PRIMARY KEY (workspace_id, digest)
) WITHOUT ROWID;
CREATE INDEX log_batch_received ON log_batch (received);
