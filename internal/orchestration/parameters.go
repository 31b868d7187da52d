package orchestration

import (
	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/store"
)

// Hydrate resolves the placeholders in parameters.
func Hydrate(tx *store.Tx, parameters orion.JSON) (orion.JSON, error) { return parameters, nil }

// CheckParameters holds parameters against a deployment's schema. partial
// leaves required ones out of account.
func CheckParameters(schema, parameters orion.JSON, partial bool) error { return nil }

// CheckTemplate refuses a base job template that names unknown variables.
func CheckTemplate(template orion.JSON) error { return nil }

// CheckJobVariables holds job variables against a pool's template.
func CheckJobVariables(template, variables orion.JSON) error { return nil }

// Overlay is a JSON object with the keys of another on top.
func Overlay(base, top orion.JSON) orion.JSON { return overlay(base, top) }
