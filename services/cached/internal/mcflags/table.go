package mcflags

import (
	"io/fs"
	"math"
	"strconv"
)

// Limits of what is taken for a meant value.
const (
	maxMemory  = 1<<31 - 1 // MB
	maxConns   = 1<<31 - 1
	maxThreads = 4096
	minItem    = 1 << 10
	maxItem    = 1 << 30
)

// table is memcached's list of options.
func table() []option {
	return []option{
		{'p', "port", needsArgument, (*parser).port},
		{'U', "udp-port", needsArgument, (*parser).udpPort},
		{'s', "unix-socket", needsArgument, func(p *parser, v string) error { return p.text(&p.Socket, v) }},
		{'a', "unix-mask", needsArgument, (*parser).socketMode},
		{'l', "listen", needsArgument, (*parser).listen},
		{'b', "listen-backlog", needsArgument, (*parser).backlog},
		{'B', "protocol", needsArgument, (*parser).setProtocol},
		{'c', "conn-limit", needsArgument, (*parser).connLimit},
		{'t', "threads", needsArgument, (*parser).threads},
		{'R', "max-reqs-per-event", needsArgument, (*parser).reqsPerEvent},
		{'N', "napi-ids", needsArgument, (*parser).napiIDs},
		{'m', "memory-limit", needsArgument, (*parser).memoryLimit},
		{'I', "max-item-size", needsArgument, (*parser).maxItemSize},
		{'M', "disable-evictions", noArgument, flag(func(o *Options) *bool { return &o.NoEvict })},
		{'e', "memory-file", needsArgument, func(p *parser, v string) error { return p.text(&p.MemoryFile, v) }},
		{'k', "lock-memory", noArgument, flag(func(o *Options) *bool { return &o.LockMemory })},
		{'L', "enable-largepages", noArgument, (*parser).largePages},
		{'f', "slab-growth-factor", needsArgument, (*parser).growthFactor},
		{'n', "slab-min-size", needsArgument, (*parser).chunkSize},
		{'C', "disable-cas", noArgument, flag(func(o *Options) *bool { return &o.NoCAS })},
		{'F', "disable-flush-all", noArgument, flag(func(o *Options) *bool { return &o.NoFlush })},
		{'X', "disable-dumping", noArgument, flag(func(o *Options) *bool { return &o.NoDump })},
		{'W', "disable-watch", noArgument, flag(func(o *Options) *bool { return &o.NoWatch })},
		{'A', "enable-shutdown", noArgument, flag(func(o *Options) *bool { return &o.Shutdown })},
		{'D', "", needsArgument, (*parser).delimiter},
		{'S', "enable-sasl", noArgument, flag(func(o *Options) *bool { return &o.SASL })},
		{'Y', "auth-file", needsArgument, func(p *parser, v string) error { return p.text(&p.AuthFile, v) }},
		{'Z', "enable-ssl", noArgument, flag(func(o *Options) *bool { return &o.TLS.Enabled })},
		{'u', "user", needsArgument, func(p *parser, v string) error { return p.text(&p.User, v) }},
		{'d', "daemon", noArgument, flag(func(o *Options) *bool { return &o.Daemonize })},
		{'P', "pidfile", needsArgument, func(p *parser, v string) error { return p.text(&p.PIDFile, v) }},
		{'r', "enable-coredumps", noArgument, flag(func(o *Options) *bool { return &o.CoreDumps })},
		{'v', "verbose", mayHaveArgument, func(p *parser, _ string) error { p.Verbosity++; return nil }},
		{'o', "extended", needsArgument, (*parser).extended},
		{'h', "help", noArgument, action(Help)},
		{'i', "license", noArgument, action(License)},
		{'V', "version", noArgument, action(Version)},
	}
}

func flag(of func(*Options) *bool) func(*parser, string) error {
	return func(p *parser, _ string) error { *of(p.Options) = true; return nil }
}

func action(a Action) func(*parser, string) error {
	return func(p *parser, _ string) error { p.Action = a; return nil }
}

func (p *parser) port(v string) error {
	n, err := p.portNumber(v)
	p.Port, p.portGiven = n, true
	return err
}

func (p *parser) udpPort(v string) error {
	n, err := p.portNumber(v)
	p.UDPPort, p.udpGiven = n, true
	return err
}

func (p *parser) portNumber(v string) (Port, error) {
	n, err := p.atoi(v, span{-1, 65535, "is not a port: 1 to 65535, 0 for none, -1 for any that is free"})
	return Port(n), err
}

func (p *parser) socketMode(v string) error {
	n, err := strconv.ParseUint(v, 8, 32)
	if err != nil || n > 0o777 {
		return wrong(p.at, "%s is not an access mask: octal, at most 777", quote(v))
	}
	p.SocketMode = fs.FileMode(n)
	return nil
}

func (p *parser) backlog(v string) error {
	n, err := p.atoi(v, span{math.MinInt32, math.MaxInt32, "is too large"})
	p.Backlog = int(n)
	return err
}

func (p *parser) setProtocol(v string) error {
	p.protocol = true
	switch v {
	case "auto":
		p.Protocol = Auto
	case "ascii":
		p.Protocol = Text
	case "binary":
		p.Protocol = Binary
	default:
		return wrong(p.at, "%s is not a protocol: auto, binary or ascii", quote(v))
	}
	return nil
}

func (p *parser) connLimit(v string) error {
	if _, _, ok := leading(v); !ok {
		return wrong(p.at, "%s is not a number of connections (a configuration file is given with --config, alone or behind a verb)", quote(v))
	}
	n, err := p.atoi(v, span{1, maxConns, "the number of connections must be above 0"})
	p.MaxConns = int(n)
	return err
}

func (p *parser) threads(v string) error {
	n, err := p.atoi(v, span{1, maxThreads, "the number of threads must be above 0 and at most 4096"})
	p.Threads = int(n)
	return err
}

func (p *parser) largePages(string) error {
	p.LargePages = true
	p.note(p.at, "the memory for items asks for large pages always; the kernel's transparent_hugepage decides")
	return nil
}

func (p *parser) reqsPerEvent(v string) (err error) {
	p.Kept.ReqsPerEvent, err = p.atoi(v, span{1, math.MaxInt32, "the number of requests per event must be above 0"})
	p.note(p.at, "how much a connection may do in one turn is fixed here, by requests and by bytes")
	return err
}

func (p *parser) napiIDs(v string) (err error) {
	p.Kept.NapiIDs, err = p.atoi(v, span{1, math.MaxInt32, "the number of NAPI IDs must be above 0"})
	p.note(p.at, "connections go to threads without regard to the queue of the network card")
	return err
}

func (p *parser) memoryLimit(v string) error {
	n, err := p.atoi(v, span{0, maxMemory, "is not a size in megabytes"})
	p.Memory = n << 20
	return err
}

// maxItemSize reads a number of bytes, or of KiB or MiB when it ends in k or m.
func (p *parser) maxItemSize(v string) error {
	digits, unit := v, int64(1)
	if n := len(v); n > 0 {
		switch v[n-1] {
		case 'k', 'K':
			digits, unit = v[:n-1], 1<<10
		case 'm', 'M':
			digits, unit = v[:n-1], 1<<20
		}
	}
	// Its bounds are settled when -m is known, too: -h behind it is no error.
	n, err := p.atoi(digits, span{math.MinInt64, math.MaxInt64, ""})
	p.MaxItem = min(max(n, 0), 2*maxItem) * unit
	return err
}

func (p *parser) growthFactor(v string) (err error) {
	p.Kept.GrowthFactor, err = p.above(v, 1, "the factor must be greater than 1")
	p.note(p.at, "there are no slabs: an item takes what it needs")
	return err
}

func (p *parser) chunkSize(v string) (err error) {
	p.Kept.ChunkSize, err = p.atoi(v, span{1, math.MaxInt32, "the chunk size must be greater than 0"})
	p.note(p.at, "there are no slabs: an item takes what it needs")
	return err
}

func (p *parser) delimiter(v string) error {
	if v == "" {
		return wrong(p.at, "the delimiter is missing")
	}
	if len(v) > 1 {
		p.note(p.at, "only the first byte of %s is the delimiter, as with memcached", quote(v))
	}
	p.Delimiter, p.Detail = v[0], true
	return nil
}
