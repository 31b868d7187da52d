// Package contract proves that the server speaks Prefect 2.20's API: it
// replays recorded conversations between real clients and a real server, and
// asks a live Prefect server and the server under test for the same state
// changes. There is nothing here but tests; [testenv.UnderTest] says which
// server they are about.
package contract
