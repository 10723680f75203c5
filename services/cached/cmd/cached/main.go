// Command cached is everup's in-memory cache. With memcached's options it runs as memcached does.
package main

import (
	"os"

	"github.com/everup/everup/services/cached"
	"github.com/everup/everup/shared/daemon"
)

func main() {
	if args := os.Args[1:]; cached.IsMemcached(args) {
		os.Exit(cached.Memcached(args, os.Getenv, os.Stdout, os.Stderr))
	}
	os.Exit(daemon.Main(cached.Spec()))
}
