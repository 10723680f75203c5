package site

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"

	"github.com/everup/everup/deploy/internal/host"
	"github.com/everup/everup/shared/fault"
)

// Port is a port of the suite.
type Port struct {
	Program string // who listens on it
	What    string
	Number  int // before the offset
	TCP     bool
	UDP     bool
}

// The ports of the suite before the offset.
const (
	PortSite    = 8080
	PortConsole = 7900
	PortWeb1    = 8081
	PortWeb2    = 8082
	PortFiles   = 8090
	PortDNS     = 5300
	PortCache   = 11211
	PortSyslog  = 1514
	PortBus     = 4222
	PortRoutes  = 6222
)

// Ports returns all ports of the suite.
func Ports() []Port {
	return []Port{
		{"lbd", "the site", PortSite, true, false},
		{"lbd", "console and metrics", PortConsole, true, false},
		{"everup-demo", "web1", PortWeb1, true, false},
		{"everup-demo", "web2", PortWeb2, true, false},
		{"storaged", "files", PortFiles, true, false},
		{"dnsd", "DNS", PortDNS, true, true},
		{"cached", "memcached", PortCache, true, false},
		{"logd", "syslog", PortSyslog, true, true},
		{"the bus", "NATS clients", PortBus, true, false},
		{"the bus", "NATS routes", PortRoutes, true, false},
		{"lbd", "gossip", 7941, true, true},
		{"dnsd", "gossip", 7942, true, true},
		{"cached", "gossip", 7943, true, true},
		{"storaged", "gossip", 7944, true, true},
		{"logd", "gossip", 7945, true, true},
	}
}

// MaxOffset is the largest offset that leaves every port below 65536.
const MaxOffset = 65535 - PortCache

func checkOffset(offset int) error {
	if offset < 0 || offset > MaxOffset {
		return fault.New(fault.Invalid, "site: port offset %d is not 0 to %d", offset, MaxOffset)
	}
	return nil
}

// checkPorts returns fault.Conflict that names every port that is taken, and by whom.
func checkPorts(offset int) error {
	var taken []string
	for _, p := range Ports() {
		for _, proto := range p.protos() {
			if bindable(proto, p.Number+offset) == nil {
				continue
			}
			h, _ := host.PortHolder(host.OS{}, proto, p.Number+offset)
			taken = append(taken, fmt.Sprintf("%s port %d (%s of %s) is held by %s", proto, p.Number+offset, p.What, p.Program, h))
		}
	}
	if len(taken) == 0 {
		return nil
	}
	return fault.New(fault.Conflict, "%s\nstop what holds them, or choose other ports: everup up --port-offset %d",
		strings.Join(taken, "\n"), min(offset+1000, MaxOffset))
}

func (p Port) protos() []string {
	var out []string
	if p.TCP {
		out = append(out, "tcp")
	}
	if p.UDP {
		out = append(out, "udp")
	}
	return out
}

// bindable tries whether a daemon could listen there now.
func bindable(proto string, port int) error {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if proto == "udp" {
		c, err := net.ListenPacket("udp", addr)
		if err != nil {
			return err
		}
		return c.Close()
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return l.Close()
}

// Offsets below the kernel's usual range of ephemeral ports (32768 and above) for all ports of the suite.
const (
	lowestFree  = 10_000
	highestFree = 21_000
)

// FreeOffset returns an offset at which all ports are free now, for tests that run beside others.
func FreeOffset() (int, error) {
	var last error
	for range 50 {
		offset := lowestFree + rand.IntN(highestFree-lowestFree)
		if last = checkPorts(offset); last == nil {
			return offset, nil
		}
	}
	return 0, errors.Join(fault.New(fault.Conflict, "site: no free range of ports was found"), last)
}
