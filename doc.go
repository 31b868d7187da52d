// Package orion holds the nouns of the platform: flows, runs, states,
// deployments, work queues, blocks and the rest, each with its record, its
// create request, its patch and its filter.
//
// The JSON names are Prefect's, so that the same types serve the server, the
// Go client and whoever reads an answer. What differs between the generations
// of Prefect's clients is not here but in internal/prefect; how things are
// stored is in internal/store. Start with [FlowRun] and [State].
package orion
