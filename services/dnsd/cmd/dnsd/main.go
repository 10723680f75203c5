// Command dnsd is everup's DNS server.
package main

import (
	"os"

	"github.com/everup/everup/services/dnsd"
	"github.com/everup/everup/shared/daemon"
)

func main() { os.Exit(daemon.Main(dnsd.Spec())) }
