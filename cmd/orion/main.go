// Command orion is the whole platform in one program.
package main

import (
	"os"

	"github.com/orionflows/orion/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
