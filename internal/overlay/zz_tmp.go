package overlay

import (
	"context"

	"github.com/orionflows/orion/client"
)

func StillReads(ctx context.Context, c *client.Client, r Read) bool { return true }
