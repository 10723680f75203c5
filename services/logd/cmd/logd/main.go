// Command logd is everup's syslog server.
package main

import (
	"os"

	"github.com/everup/everup/services/logd"
	"github.com/everup/everup/shared/daemon"
)

func main() { os.Exit(daemon.Main(logd.Spec())) }
