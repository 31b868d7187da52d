package overlay

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"

	"github.com/orionflows/orion"
)

// Deployments are found by the names of their flow and their own.

func deploymentKey(c *call, d document) (string, error) {
	flow, err := c.byID(flows, d.text("flow_id"))
	if err != nil {
		return "", err
	}
	if flow == nil {
		return "", refuse(http.StatusNotFound, "Flow %s not found.", d.text("flow_id"))
	}
	if d.text("name") == "" {
		return "", refuse(http.StatusUnprocessableEntity, "name: field required")
	}
	return url.PathEscape(flow.doc.text("name")) + "/" + url.PathEscape(d.text("name")), nil
}

func deploymentName(_ *call, x *object) string {
	name, err := url.PathUnescape(x.key)
	if err != nil {
		return x.key // it was escaped by us
	}
	return name
}

// createDeployment answers the request that registers a deployment.
func createDeployment(c *call) (*answer, error) {
	body, err := parse(c.body)
	if err != nil {
		return nil, err
	}
	queue, err := c.impliedQueue(body)
	if err != nil {
		return nil, err
	}
	x, status, err := c.create(deployments)
	if err != nil {
		return nil, err
	}
	if queue != nil {
		c.keep(queue)
	}
	c.claim(x, body)
	if !slices.Contains(x.claimants, c.file.name) {
		x.claimants = append(x.claimants, c.file.name)
	}
	return c.show(x, status)
}

func fillDeployment(c *call, x *object) error {
	body, err := parse(c.body)
	if err != nil {
		return err
	}
	doc, err := parse([]byte(deployments.defaults))
	if err != nil {
		return err
	}
	for _, name := range []string{"id", "created", "updated", "name", "flow_id"} {
		doc[name] = x.doc[name]
	}
	x.doc = doc
	return c.applyTo(x, doc, body)
}

func updateDeployment(c *call, x *object, body document) (document, error) {
	doc := document{}
	doc.merge(x.doc)
	return doc, c.applyTo(x, doc, body)
}

// applyTo writes the fields of a request into the document of a deployment,
// each as the server takes it: see Tx.UpsertDeployment of the store.
func (c *call) applyTo(x *object, doc, body document) error {
	for name, value := range body {
		switch name {
		case "id", "name", "flow_id":
		case "parameters":
			doc[name] = orion.ObjectOr(value)
		case "tags", "enforce_parameter_schema":
			if body.has(name) {
				doc[name] = value
			}
		case "paused", "is_schedule_active":
			if body.has(name) && (name == "paused" || !body.has("paused")) {
				setPaused(doc, (name == "paused") == body.isTrue(name))
			}
		case "job_variables", "infra_overrides":
			empty := string(bytes.TrimSpace(value)) == "{}"
			if body.has(name) && (!empty || name == "infra_overrides" && !body.has("job_variables")) {
				doc["job_variables"], doc["infra_overrides"] = value, value
			}
		case "work_pool_name", "work_queue_name":
			doc["work_pool_name"], doc["work_queue_name"] = body["work_pool_name"], body["work_queue_name"]
			if body.has("work_pool_name") && !body.has("work_queue_name") {
				doc.set("work_queue_name", "default")
			}
		case "schedule", "schedules":
		default:
			doc[name] = value
		}
	}
	for _, name := range []string{"work_pool_name", "work_queue_name"} {
		if len(doc[name]) == 0 {
			doc[name] = orion.JSON("null")
		}
	}
	if doc.has("work_queue_name") && !doc.has("work_pool_name") {
		doc.set("work_pool_name", legacyPool)
	}
	var wanted []document
	switch {
	case body.has("schedules"):
		if err := orion.Decode(body["schedules"], &wanted); err != nil {
			return refuse(http.StatusUnprocessableEntity, "schedules: value is not a valid list")
		}
	case body.has("schedule"):
		wanted = []document{{"schedule": body["schedule"], "active": body["is_schedule_active"]}}
	case c.request.Method != http.MethodPost:
		return nil // only who registers it again without schedules wants none
	}
	return c.setSchedules(x, doc, wanted)
}

func setPaused(doc document, paused bool) {
	doc.set("paused", paused)
	doc.set("is_schedule_active", !paused)
}

// setSchedules replaces the schedules of a deployment; one that stays the same
// keeps its identity.
func (c *call) setSchedules(x *object, doc document, wanted []document) error {
	var before []document
	if err := orion.Decode(doc["schedules"], &before); err != nil {
		before = nil // a server that has only one
	}
	now := make([]document, len(wanted))
	for i, w := range wanted {
		if !w.has("schedule") {
			return refuse(http.StatusUnprocessableEntity, "schedule: field required")
		}
		now[i] = c.newSchedule(x, w, i)
		for _, old := range before {
			if string(old["schedule"]) == string(w["schedule"]) {
				now[i]["id"] = old["id"]
			}
		}
	}
	putSchedules(doc, now)
	return nil
}

func putSchedules(doc document, schedules []document) {
	doc.set("schedules", schedules)
	doc["schedule"] = orion.JSON("null")
	if len(schedules) > 0 {
		doc["schedule"] = schedules[0]["schedule"]
	}
}

func (c *call) newSchedule(x *object, body document, place int) document {
	s := document{"max_active_runs": orion.JSON("null"), "max_scheduled_runs": orion.JSON("null"), "catchup": orion.JSON("false")}
	s.merge(body)
	if !s.has("active") {
		s.set("active", true)
	}
	id := madeID(string(Schedule), x.id, string(body["schedule"]), string(rune('0'+place)))
	c.made[id] = true
	s.set("id", id)
	s.set("deployment_id", x.id)
	s.set("created", now())
	s.set("updated", now())
	return s
}

// claim adds a request to what files say of a deployment.
func (c *call) claim(x *object, body document) {
	if x.claim == nil {
		x.claim = document{}
	}
	x.claim.merge(body)
	x.claim["name"], x.claim["flow_id"] = x.doc["name"], x.doc["flow_id"]
}

// switchDeployment answers the requests that pause a deployment or resume it.
func switchDeployment(on bool) func(*call) (*answer, error) {
	return func(c *call) (*answer, error) {
		return c.changeDeployment(func(x *object, doc document) (*answer, error) {
			setPaused(doc, !on)
			body := document{}
			body.set("paused", !on)
			c.claim(x, body)
			return &answer{status: http.StatusOK, body: []byte("null")}, nil
		})
	}
}

func (c *call) changeDeployment(change func(x *object, doc document) (*answer, error)) (*answer, error) {
	x, err := c.byID(deployments, c.value("id"))
	if err != nil {
		return nil, err
	}
	if x == nil {
		return nil, notFound(deployments)
	}
	doc := document{}
	doc.merge(x.doc)
	got, err := change(x, doc)
	if err != nil {
		return nil, err
	}
	name := c.readable(x)
	x = c.keep(x)
	c.change(x, doc)
	c.record(x, Update, name)
	return got, nil
}

func readSchedules(c *call) (*answer, error) {
	x := written(c.objects[deployments.path+" "+c.value("id")])
	switch {
	case x == nil:
		return c.through()
	case x.deleted:
		return nil, notFound(deployments)
	}
	c.noteUse(x)
	return &answer{status: http.StatusOK, body: x.doc["schedules"]}, nil
}

func addSchedules(c *call) (*answer, error) {
	var added []document
	if err := orion.Decode(c.body, &added); err != nil {
		return nil, refuse(http.StatusUnprocessableEntity, "the body is not a valid list")
	}
	return c.changeDeployment(func(x *object, doc document) (*answer, error) {
		var all []document
		if err := orion.Decode(doc["schedules"], &all); err != nil {
			return nil, err
		}
		made := make([]document, len(added))
		for i, s := range added {
			made[i] = c.newSchedule(x, s, len(all)+i)
		}
		c.claimSchedules(x, doc, append(all, made...))
		return reply(http.StatusCreated, made), nil
	})
}

// changeSchedule answers the patch or the removal of one schedule.
func changeSchedule(c *call) (*answer, error) {
	return c.changeDeployment(func(x *object, doc document) (*answer, error) {
		var all []document
		if err := orion.Decode(doc["schedules"], &all); err != nil {
			return nil, err
		}
		at := slices.IndexFunc(all, func(s document) bool { return s.text("id") == c.value("schedule") })
		if at < 0 {
			return nil, notFound(&kind{kind: Schedule})
		}
		if c.request.Method == http.MethodDelete {
			all = slices.Delete(all, at, at+1)
		} else {
			body, err := parse(c.body)
			if err != nil {
				return nil, err
			}
			all[at].merge(body)
		}
		c.claimSchedules(x, doc, all)
		return nothing, nil
	})
}

// claimSchedules makes a list of schedules part of what is claimed.
func (c *call) claimSchedules(x *object, doc document, all []document) {
	putSchedules(doc, all)
	declared := make([]document, len(all))
	for i, s := range all {
		declared[i] = document{"schedule": s["schedule"], "active": s["active"]}
	}
	body := document{}
	body.set("schedules", declared)
	c.claim(x, body)
}

// claimOf sums up what was written of a deployment; nil when it went with its
// flow.
func (c *call) claimOf(x *object) (*Claim, error) {
	flow, err := c.byID(flows, x.doc.text("flow_id"))
	if err != nil || flow == nil {
		return nil, err
	}
	claim := &Claim{
		Flow: flow.doc.text("name"), Name: x.doc.text("name"), Existing: x.existing, Before: x.before, After: x.doc.encode(),
	}
	if len(x.claimants) > 0 {
		claim.File = x.claimants[len(x.claimants)-1]
	} else if len(x.writers) > 0 {
		claim.File = x.writers[len(x.writers)-1]
	}
	if claim.ID, err = orion.ParseID(x.id); err != nil {
		return nil, err
	}
	if err := orion.DecodeLoose(x.claim.encode(), &claim.Create); err != nil {
		return nil, orion.Errorf(orion.Invalid, "what %s says of %q cannot be understood: %v", claim.File, claim.FullName(), err)
	}
	if claim.Storage, err = c.blockUse(x.doc.text("storage_document_id")); err != nil {
		return nil, err
	}
	claim.Infrastructure, err = c.blockUse(x.doc.text("infrastructure_document_id"))
	return claim, err
}

// blockUse describes the block that a deployment names; nil for none.
func (c *call) blockUse(id string) (*BlockUse, error) {
	if id == "" {
		return nil, nil
	}
	x, err := c.byID(blocks, id)
	if err != nil || x == nil {
		return nil, err
	}
	doc, err := c.expanded(x, true)
	if err != nil {
		return nil, err
	}
	shown, err := c.expanded(x, false)
	if err != nil {
		return nil, err
	}
	t, err := parse(orion.ObjectOr(doc["block_type"]))
	if err != nil {
		return nil, err
	}
	use := &BlockUse{
		Existing: x.existing, Type: t.text("slug"), Name: doc.text("name"), Anonymous: doc.isTrue("is_anonymous"),
		Data: Body(doc["data"]), Masked: shown["data"], Schema: doc["block_schema"],
	}
	use.ID, err = orion.ParseID(id)
	return use, err
}
