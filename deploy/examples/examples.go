// Package examples holds the example configurations that everup ships. They are what `everup up` runs, moved to other
// directories and ports, and a test has every one of them checked by the daemon it is for.
package examples

import (
	"embed"
	"io/fs"
)

//go:embed one-host
var files embed.FS

// OneHost returns the configurations of a whole fleet on one host: a YAML file for each daemon, and the zone file of dnsd.
func OneHost() fs.FS {
	sub, err := fs.Sub(files, "one-host")
	if err != nil {
		panic("BUG: examples: " + err.Error()) // the name is a constant that embed has checked
	}
	return sub
}
