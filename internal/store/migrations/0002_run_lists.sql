-- A list of runs by start time chooses its page from one index alone, whatever
-- it asks of the name, the state or the window of time: one index to walk, and
-- one that has each state's runs in order.
DROP INDEX flow_run_started;
CREATE INDEX flow_run_started ON flow_run (workspace_id, COALESCE(start_time, expected_start_time), expected_start_time, lower(name), id);
DROP INDEX flow_run_by_state;
CREATE INDEX flow_run_by_state ON flow_run (workspace_id, state_type, state_name, COALESCE(start_time, expected_start_time), expected_start_time, id);
