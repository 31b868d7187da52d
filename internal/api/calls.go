package api

import (
	"context"
	"strings"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/store"
)

// The shapes that most handlers have.

// byID is a request that names one record.
type byID struct {
	ID orion.ID `path:"id"`
}

// byName is a request that names one record by its name.
type byName struct {
	Name string `path:"name"`
}

// filtered is the body of the lists that filter by related objects.
type filtered struct {
	Body struct {
		orion.RunFilters
		orion.Page
		Sort *string `json:"sort"`
	}
}

// read is an answer from a consistent view.
func read[T any](ctx context.Context, a *API, f func(*store.Tx) (T, error)) (out T, err error) {
	err = a.s.Read(ctx, func(tx *store.Tx) (err error) {
		out, err = f(tx)
		return err
	})
	return out, err
}

// write is an answer from a transaction.
func write[T any](ctx context.Context, a *API, f func(*store.Tx) (T, error)) (out T, err error) {
	err = a.s.Write(ctx, func(tx *store.Tx) (err error) {
		out, err = f(tx)
		return err
	})
	return out, err
}

// page is read for part of a list.
func page[T any](ctx context.Context, a *API, p orion.Page, f func(tx *store.Tx, limit, offset int64) (T, error)) (out T, err error) {
	limit, offset, err := p.Resolve()
	if err != nil {
		return out, err
	}
	return read(ctx, a, func(tx *store.Tx) (T, error) { return f(tx, limit, offset) })
}

// one is read for a single record: 404 when it is nil.
func one[T any](ctx context.Context, a *API, what string, f func(*store.Tx) (*T, error)) (*T, error) {
	out, err := read(ctx, a, f)
	if err == nil && out == nil {
		err = missing(what)
	}
	return out, err
}

// change is write for a single record: 404 when f reports that there is none.
func change(ctx context.Context, a *API, what string, f func(*store.Tx) (bool, error)) (none, error) {
	return write(ctx, a, func(tx *store.Tx) (none, error) {
		ok, err := f(tx)
		if err == nil && !ok {
			err = missing(what)
		}
		return none{}, err
	})
}

// missing is the 404 for what; a full stop at its end is one of the message's,
// which Prefect has for some records and not for others.
func missing(what string) error {
	if name, ok := strings.CutSuffix(what, "."); ok {
		return orion.Errorf(orion.NotFound, "%s not found.", name)
	}
	return orion.Errorf(orion.NotFound, "%s not found", what)
}
