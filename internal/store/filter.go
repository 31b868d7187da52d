package store

import (
	"strings"

	"github.com/orionflows/orion"
)

// cond is a piece of a WHERE clause. The zero cond does not restrict.
type cond struct {
	sql  string
	args []any
}

func where(sql string, args ...any) cond { return cond{sql, args} }

var nothing = where("0 = 1")

// all joins conditions with AND; any, with OR. Empty ones are left out.
func all(cs ...cond) cond  { return join(" AND ", cs) }
func any_(cs ...cond) cond { return join(" OR ", cs) }

func join(sep string, cs []cond) cond {
	var out cond
	n := 0
	for _, c := range cs {
		if c.sql == "" {
			continue
		}
		if n > 0 {
			out.sql += sep
		}
		out.sql += "(" + c.sql + ")"
		out.args = append(out.args, c.args...)
		n++
	}
	return out
}

// joined is all or any_, as the filter's operator says.
func joined(op *orion.Operator, cs ...cond) cond {
	if op.Or() {
		return any_(cs...)
	}
	return all(cs...)
}

// in is column IN (list): an empty list matches nothing.
func in[T any](column string, list []T) cond {
	if len(list) == 0 {
		return nothing
	}
	args := make([]any, len(list))
	for i, v := range list {
		args[i] = v
	}
	if len(list) == 1 {
		return cond{column + " = ?", args}
	}
	return cond{column + " IN (" + marks(len(list)) + ")", args}
}

func notIn[T any](column string, list []T) cond {
	if len(list) == 0 {
		return cond{}
	}
	c := in(column, list)
	return cond{"NOT (" + c.sql + ")", c.args}
}

// inSelect is column IN (SELECT …) within the workspace.
func (tx *Tx) inSelect(column, sel, table string, c cond) cond {
	sql := column + " IN (SELECT " + sel + " FROM " + table + " WHERE " + table + ".workspace_id = ?"
	args := []any{tx.ws}
	if c.sql != "" {
		sql += " AND (" + c.sql + ")"
		args = append(args, c.args...)
	}
	return cond{sql + ")", args}
}

func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}

// column turns the operators on one ordinary field into a condition.
func column[T any](tx *Tx, col string, c *orion.Cond[T]) cond {
	if c == nil {
		return cond{}
	}
	var cs []cond
	if c.Any != nil {
		cs = append(cs, in(col, *c.Any))
	}
	if c.NotAny != nil {
		cs = append(cs, notIn(col, *c.NotAny))
	}
	if c.Like != nil {
		cs = append(cs, where(tx.d.holds(col), tx.d.folded(*c.Like)))
	}
	if c.StartsWith != nil {
		var ps []cond
		for _, p := range *c.StartsWith {
			ps = append(ps, where(tx.d.like(col), escapeLike(p)+"%"))
		}
		if len(ps) == 0 {
			ps = append(ps, nothing)
		}
		cs = append(cs, any_(ps...))
	}
	if !c.Before.IsZero() {
		cs = append(cs, where(col+" <= ?", c.Before))
	}
	if !c.After.IsZero() {
		cs = append(cs, where(col+" >= ?", c.After))
	}
	if c.Ge != nil {
		cs = append(cs, where(col+" >= ?", *c.Ge))
	}
	if c.Le != nil {
		cs = append(cs, where(col+" <= ?", *c.Le))
	}
	if c.Eq != nil {
		cs = append(cs, where(col+" = ?", *c.Eq))
	}
	isNull := c.IsNull
	if c.Exists != nil {
		n := !*c.Exists
		isNull = &n
	}
	if isNull != nil {
		if *isNull {
			cs = append(cs, where(col+" IS NULL"))
		} else {
			cs = append(cs, where(col+" IS NOT NULL"))
		}
	}
	return joined(c.Operator, cs...)
}

// tags is the condition on a tags column. Runs have an index of their tags in
// a side table; small tables are searched as text, which is exact because a
// quote inside a tag is escaped.
func (tx *Tx) tags(prefix, side string, c *orion.Cond[string]) cond {
	if c == nil {
		return cond{}
	}
	has := func(tag string) cond {
		if side != "" {
			return where(prefix+"id IN (SELECT run_id FROM "+side+" WHERE workspace_id = ? AND tag = ?)", tx.ws, tag)
		}
		q, _ := orion.Encode(tag)
		return where(tx.d.contains(prefix+"tags"), string(q))
	}
	var cs []cond
	if c.All != nil {
		for _, t := range *c.All {
			cs = append(cs, has(t))
		}
	}
	if c.Any != nil {
		var ts []cond
		for _, t := range *c.Any {
			ts = append(ts, has(t))
		}
		if len(ts) == 0 {
			ts = append(ts, nothing)
		}
		cs = append(cs, any_(ts...))
	}
	if c.IsNull != nil {
		if *c.IsNull {
			cs = append(cs, where(prefix+"tags = '[]'"))
		} else {
			cs = append(cs, where(prefix+"tags <> '[]'"))
		}
	}
	return joined(c.Operator, cs...)
}

func (tx *Tx) state(prefix string, f *orion.StateFilter) cond {
	if f == nil {
		return cond{}
	}
	return joined(f.Operator, column(tx, prefix+"state_type", f.Type), column(tx, prefix+"state_name", f.Name))
}

// The filters, one method a noun: each field beside its column.

func (tx *Tx) flowFilter(f *orion.FlowFilter) cond {
	if f == nil {
		return cond{}
	}
	var deployed cond
	if f.Deployment != nil && f.Deployment.IsNull != nil {
		deployed = tx.inSelect("flow.id", "flow_id", "deployment", cond{})
		if *f.Deployment.IsNull {
			deployed.sql = "NOT (" + deployed.sql + ")"
		}
	}
	return joined(f.Operator,
		column(tx, "flow.id", f.ID),
		deployed,
		column(tx, "flow.name", f.Name),
		tx.tags("flow.", "", f.Tags))
}

func (tx *Tx) flowRunFilter(f *orion.FlowRunFilter) cond {
	if f == nil {
		return cond{}
	}
	var parent cond
	if f.ParentFlowRunID != nil && f.ParentFlowRunID.Any != nil {
		parent = tx.inSelect("flow_run.parent_task_run_id", "id", "task_run", in("task_run.flow_run_id", *f.ParentFlowRunID.Any))
	}
	return joined(f.Operator,
		column(tx, "flow_run.id", f.ID),
		column(tx, "flow_run.name", f.Name),
		tx.tags("flow_run.", "flow_run_tag", f.Tags),
		column(tx, "flow_run.deployment_id", f.DeploymentID),
		column(tx, "flow_run.work_queue_name", f.WorkQueueName),
		tx.state("flow_run.", f.State),
		column(tx, "flow_run.flow_version", f.FlowVersion),
		column(tx, "flow_run.start_time", f.StartTime),
		column(tx, "flow_run.end_time", f.EndTime),
		column(tx, "flow_run.expected_start_time", f.ExpectedStartTime),
		column(tx, "flow_run.next_scheduled_start_time", f.NextScheduledStartTime),
		parent,
		column(tx, "flow_run.parent_task_run_id", f.ParentTaskRunID),
		column(tx, "flow_run.idempotency_key", f.IdempotencyKey))
}

func (tx *Tx) taskRunFilter(f *orion.TaskRunFilter) cond {
	if f == nil {
		return cond{}
	}
	var subflow cond
	if f.SubflowRuns != nil && f.SubflowRuns.Exists != nil {
		subflow = tx.inSelect("task_run.id", "parent_task_run_id", "flow_run", where("flow_run.parent_task_run_id IS NOT NULL"))
		if !*f.SubflowRuns.Exists {
			subflow.sql = "NOT (" + subflow.sql + ")"
		}
	}
	return joined(f.Operator,
		column(tx, "task_run.id", f.ID),
		column(tx, "task_run.name", f.Name),
		tx.tags("task_run.", "task_run_tag", f.Tags),
		tx.state("task_run.", f.State),
		column(tx, "task_run.start_time", f.StartTime),
		subflow,
		tx.taskFlowRun(f.FlowRunID))
}

// taskFlowRun: here alone is_null_ false is the default and says nothing.
func (tx *Tx) taskFlowRun(c *orion.Cond[orion.ID]) cond {
	if c == nil {
		return cond{}
	}
	d := *c
	if d.IsNull != nil && !*d.IsNull {
		d.IsNull = nil
	}
	return column(tx, "task_run.flow_run_id", &d)
}

func (tx *Tx) deploymentFilter(f *orion.DeploymentFilter) cond {
	if f == nil {
		return cond{}
	}
	var active, either cond
	if f.IsScheduleActive != nil && f.IsScheduleActive.Eq != nil {
		active = where("deployment.paused = ?", !*f.IsScheduleActive.Eq)
	}
	if f.FlowOrDeploymentName != nil {
		either = any_(column(tx, "deployment.name", f.FlowOrDeploymentName),
			tx.inSelect("deployment.flow_id", "id", "flow", column(tx, "flow.name", f.FlowOrDeploymentName)))
	}
	return joined(f.Operator,
		column(tx, "deployment.id", f.ID),
		column(tx, "deployment.name", f.Name),
		column(tx, "deployment.paused", f.Paused),
		active,
		either,
		tx.tags("deployment.", "", f.Tags),
		column(tx, "deployment.work_queue_name", f.WorkQueueName))
}

func (tx *Tx) workPoolFilter(f *orion.WorkPoolFilter) cond {
	if f == nil {
		return cond{}
	}
	return joined(f.Operator,
		column(tx, "work_pool.id", f.ID),
		column(tx, "work_pool.name", f.Name),
		column(tx, "work_pool.type", f.Type))
}

func (tx *Tx) workQueueFilter(f *orion.WorkQueueFilter) cond {
	if f == nil {
		return cond{}
	}
	return joined(f.Operator,
		column(tx, "work_queue.id", f.ID),
		column(tx, "work_queue.name", f.Name))
}

// queues selects work queues by the pool and queue filters together; it does
// not restrict when both are empty.
func (tx *Tx) queues(column string, f *orion.RunFilters) cond {
	qf := f.WorkPoolQueues
	if qf == nil {
		qf = f.WorkQueues
	}
	c := tx.workQueueFilter(qf)
	if p := tx.workPoolFilter(f.WorkPools); p.sql != "" {
		c = all(c, tx.inSelect("work_queue.work_pool_id", "id", "work_pool", p))
	}
	if c.sql == "" {
		return c
	}
	return tx.inSelect(column, "id", "work_queue", c)
}

// related restricts by an object on the other side of a relation, unless its
// filter is empty.
func (tx *Tx) related(column, sel, table string, c cond) cond {
	if c.sql == "" {
		return c
	}
	return tx.inSelect(column, sel, table, c)
}

// flowsWhere, flowRunsWhere, … are the whole WHERE clauses of the lists.

func (tx *Tx) flowsWhere(f *orion.RunFilters) cond {
	runs := all(tx.flowRunFilter(f.FlowRuns), tx.related("flow_run.id", "flow_run_id", "task_run", tx.taskRunFilter(f.TaskRuns)))
	deployments := all(tx.deploymentFilter(f.Deployments), tx.queues("deployment.work_queue_id", f))
	return all(where("flow.workspace_id = ?", tx.ws), tx.flowFilter(f.Flows),
		tx.related("flow.id", "flow_id", "flow_run", runs),
		tx.related("flow.id", "flow_id", "deployment", deployments))
}

func (tx *Tx) flowRunsWhere(f *orion.RunFilters) cond {
	return all(where("flow_run.workspace_id = ?", tx.ws), tx.flowRunsCond(f))
}

func (tx *Tx) flowRunsCond(f *orion.RunFilters) cond {
	return all(tx.flowRunFilter(f.FlowRuns),
		tx.related("flow_run.flow_id", "id", "flow", tx.flowFilter(f.Flows)),
		tx.related("flow_run.id", "flow_run_id", "task_run", tx.taskRunFilter(f.TaskRuns)),
		tx.related("flow_run.deployment_id", "id", "deployment", tx.deploymentFilter(f.Deployments)),
		tx.queues("flow_run.work_queue_id", f))
}

func (tx *Tx) taskRunsWhere(f *orion.RunFilters) cond {
	g := *f
	g.TaskRuns = nil
	return all(where("task_run.workspace_id = ?", tx.ws), tx.taskRunFilter(f.TaskRuns),
		tx.related("task_run.flow_run_id", "id", "flow_run", tx.flowRunsCond(&g)))
}

func (tx *Tx) deploymentsWhere(f *orion.RunFilters) cond {
	runs := all(tx.flowRunFilter(f.FlowRuns), tx.related("flow_run.id", "flow_run_id", "task_run", tx.taskRunFilter(f.TaskRuns)))
	return all(where("deployment.workspace_id = ?", tx.ws), tx.deploymentFilter(f.Deployments),
		tx.related("deployment.flow_id", "id", "flow", tx.flowFilter(f.Flows)),
		tx.related("deployment.id", "deployment_id", "flow_run", runs),
		tx.queues("deployment.work_queue_id", f))
}

// order finds the ORDER BY of a sort name in a table of them.
func order(sorts map[string]string, name *string, fallback string) (string, error) {
	n := fallback
	if name != nil && *name != "" {
		n = *name
	}
	o, ok := sorts[n]
	if !ok {
		return "", orion.Refuse("sort", "value is not a valid enumeration member")
	}
	return " ORDER BY " + o, nil
}

// few is an order for a list that its filter makes short: sort what was found
// rather than walk the whole table in that order.
func (tx *Tx) few(order string, short bool) string {
	if !short {
		return order
	}
	return strings.Replace(order, " ORDER BY ", " ORDER BY "+tx.d.sorted, 1)
}

// picks reports a condition that names the values it wants.
func picks[T any](c *orion.Cond[T]) bool { return c != nil && c.Any != nil && !c.Operator.Or() }

func fewFlowRuns(f *orion.FlowRunFilter) bool {
	return f != nil && !f.Operator.Or() && (picks(f.ID) || picks(f.ParentFlowRunID) || picks(f.ParentTaskRunID) || picks(f.IdempotencyKey))
}

func fewTaskRuns(f *orion.RunFilters) bool {
	t := f.TaskRuns
	return fewFlowRuns(f.FlowRuns) || (t != nil && !t.Operator.Or() && (picks(t.ID) || picks(t.FlowRunID)))
}

// pageOf is the end of a list's query: it chooses the ids of the page first, so
// that sorting and skipping touch no more than the columns that they are about,
// and only the rows of the page are read whole.
func (tx *Tx) pageOf(table, order string, ids cond) cond {
	return where(" WHERE "+table+".workspace_id = ? AND "+table+".id IN ("+ids.sql+")"+tx.few(order, true), append([]any{tx.ws}, ids.args...)...)
}

// ids selects those of a page.
func (tx *Tx) ids(table string, w cond, order string, limit, offset int64) cond {
	return where("SELECT "+table+".id FROM "+table+" WHERE "+w.sql+order+" LIMIT ? OFFSET ?", append(w.args, limit, offset)...)
}
