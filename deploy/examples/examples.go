// Package examples holds the example configurations that everup ships. Those of one host are what `everup up` runs, moved to other
// directories and ports; lbd-rules shows what routes can say, lbd-static a site of files, lbd-dos what to do about clients that ask too much,
// lbd-pools servers that stand in for each other, lbd-tls certificates for two names, lbd-content how bodies are compressed and buffered, lbd-grpc gRPC beside a site; pairs of
// hosts with virtual addresses (lbd-pair, dnsd-pair) and the network below them (bond-vlan) are to be read and copied, and have a README each. A
// test has every one of them checked by the daemon it is for, and runs the pairs, lbd-dos and lbd-tls.
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
