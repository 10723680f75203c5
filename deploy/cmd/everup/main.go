// Command everup is the operator's command.
package main

import (
	"context"
	"os"

	"github.com/everup/everup/deploy/internal/command"
	"github.com/everup/everup/shared/cli"
)

func main() { os.Exit(cli.Main(context.Background(), command.New())) }
