// Command storaged is everup's object store over HTTP.
package main

import (
	"os"

	"github.com/everup/everup/services/storaged"
	"github.com/everup/everup/shared/daemon"
)

func main() { os.Exit(daemon.Main(storaged.Spec())) }
