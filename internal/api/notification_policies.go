package api

import (
	"context"

	"github.com/orionflows/orion"
	"github.com/orionflows/orion/internal/store"
)

func (a *API) createNotificationPolicy(ctx context.Context, in struct {
	Body orion.NotificationPolicyCreate
}) (*orion.NotificationPolicy, error) {
	return write(ctx, a, func(tx *store.Tx) (*orion.NotificationPolicy, error) { return tx.CreateNotificationPolicy(&in.Body) })
}

func (a *API) readNotificationPolicy(ctx context.Context, in byID) (*orion.NotificationPolicy, error) {
	return one(ctx, a, "flow run notification policy", func(tx *store.Tx) (*orion.NotificationPolicy, error) { return tx.NotificationPolicy(in.ID) })
}

func (a *API) filterNotificationPolicies(ctx context.Context, in struct {
	Body struct {
		orion.Page
		Filter *orion.NotificationPolicyFilter `json:"flow_run_notification_policy_filter"`
	}
}) ([]orion.NotificationPolicy, error) {
	return page(ctx, a, in.Body.Page, func(tx *store.Tx, limit, offset int64) ([]orion.NotificationPolicy, error) {
		return tx.NotificationPolicies(in.Body.Filter.Active(), limit, offset)
	})
}

func (a *API) updateNotificationPolicy(ctx context.Context, in struct {
	ID   orion.ID `path:"id"`
	Body orion.NotificationPolicyUpdate
}) (none, error) {
	return change(ctx, a, "flow run notification policy", func(tx *store.Tx) (bool, error) { return tx.UpdateNotificationPolicy(in.ID, &in.Body) })
}

func (a *API) deleteNotificationPolicy(ctx context.Context, in byID) (none, error) {
	return change(ctx, a, "flow run notification policy", func(tx *store.Tx) (bool, error) { return tx.DeleteNotificationPolicy(in.ID) })
}
