// Command cached is everup's in-memory cache.
package main

import (
	"os"

	"github.com/everup/everup/services/cached"
	"github.com/everup/everup/shared/daemon"
)

func main() { os.Exit(daemon.Main(cached.Spec())) }
