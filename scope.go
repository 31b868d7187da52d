package orion

import "context"

// Scope says on whose behalf something happens: every row belongs to a
// workspace and every write has an actor.
type Scope struct {
	Workspace int64  // store key of the workspace; DefaultWorkspace until there are more
	Actor     string // who: "" for an anonymous client, "service:scheduler" for the server itself
}

// DefaultWorkspace is the key of the workspace that plain /api serves.
const DefaultWorkspace int64 = 1

type scopeKey struct{}

// WithScope attaches the scope to a context.
func WithScope(ctx context.Context, s Scope) context.Context {
	return context.WithValue(ctx, scopeKey{}, s)
}

// ScopeOf reads the scope; without one it is the anonymous actor in the
// default workspace.
func ScopeOf(ctx context.Context) Scope {
	if s, ok := ctx.Value(scopeKey{}).(Scope); ok {
		return s
	}
	return Scope{Workspace: DefaultWorkspace}
}
