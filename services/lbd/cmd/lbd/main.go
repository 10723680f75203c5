// Command lbd is everup's load balancer.
package main

import (
	"os"

	"github.com/everup/everup/services/lbd"
	"github.com/everup/everup/shared/daemon"
)

func main() { os.Exit(daemon.Main(lbd.Spec())) }
