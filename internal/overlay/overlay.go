// Package overlay is an API in front of a real one, on which nothing is ever
// written: what a client reads comes from the server, what it writes is kept,
// answered as the server would answer, and laid over what it reads later. So a
// deployment file runs to its end and believes that it deployed, and what is
// left is a [Recording] of what it would have done.
//
// It knows the objects that deployment files write, not runs: whatever would
// start one is refused in words that the user can act on. It does not replay
// anything either.
//
// Start with [Start], which listens, and [Overlay.File], which gives each file
// a URL of its own, so that its requests are told from those of others.
package overlay
