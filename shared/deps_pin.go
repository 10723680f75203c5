package shared

import (
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/hashicorp/memberlist"
	_ "github.com/miekg/dns"
	_ "github.com/nats-io/nats-server/v2/server"
	_ "github.com/nats-io/nats.go/micro"
	_ "github.com/spf13/cobra"
	_ "github.com/vishvananda/netlink"
	_ "github.com/tidwall/redcon"
	_ "github.com/go-sql-driver/mysql"
	_ "go.yaml.in/yaml/v3"
	_ "golang.org/x/sys/unix"
	_ "github.com/rogpeppe/go-internal/testscript"
)
