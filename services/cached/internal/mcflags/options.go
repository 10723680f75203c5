package mcflags

import (
	"io/fs"
	"time"
)

// Action is what the command line asks for.
type Action uint8

// Actions. All but Serve are reached at the first such option; what stands after it is not looked at.
const (
	Serve   Action = iota
	Help           // -h: Usage, exit code 0
	License        // -i
	Version        // -V
)

// Protocol is what a listener speaks. The numbers are those of session.Protocol.
type Protocol uint8

// Protocols. Auto decides by the first byte of a connection.
const (
	Auto Protocol = iota
	Text
	Binary
)

// String is the protocol as `stats settings` has it.
func (p Protocol) String() string { return [...]string{"auto-negotiate", "ascii", "binary"}[p] }

// Note is an option that is accepted and does nothing, or not all, and why: one plain sentence for the log.
type Note struct{ Option, Why string }

// Options is a memcached command line.
type Options struct {
	Action Action

	Port       Port        // -p; Off: no TCP
	UDPPort    Port        // -U; Off, the default: no UDP
	Socket     string      // -s; when set there is neither TCP nor UDP
	SocketMode fs.FileMode // -a: permissions of the socket
	Listen     []Listener  // -l; empty: all addresses of the host. See TCP and UDP
	Protocol   Protocol    // -B, or what -S and -Y demand; a Listener may differ
	Backlog    int         // -b; the kernel cuts it to its own limit and takes a negative one for that

	MaxConns     int           // -c
	MaxConnsFast bool          // a connection too many is told so and closed; otherwise it waits to be accepted
	IdleTimeout  time.Duration // -o idle_timeout; 0: never
	Threads      int           // -t

	Memory     int64  // -m, bytes
	MaxItem    int64  // -I, bytes; 1 KiB to 1 GiB, at most half of Memory
	NoEvict    bool   // -M: a full cache refuses instead of evicting
	MemoryFile string // -e: where the items survive a planned restart
	LockMemory bool   // -k: mlockall; memcached goes on with a warning when it may not
	LargePages bool   // -L

	NoCAS      bool // -C
	NoFlush    bool // -F
	NoDump     bool // -X
	NoWatch    bool // -W
	Shutdown   bool // -A: the command `shutdown` works
	TrackSizes bool // -o track_sizes: `stats sizes`
	Detail     bool // -D: `stats detail` is on from the start
	Delimiter  byte // -D, default ':'

	SASL         bool   // -S: binary connections must authenticate
	SASLDatabase string // MEMCACHED_SASL_PWDB: file of user:password lines, for SASL PLAIN
	AuthFile     string // -Y: text connections must authenticate; file of user:password lines
	TLS          TLS    // -Z and -o ssl_*

	User      string // -u, "" when not given; see CheckUser
	Daemonize bool   // -d
	PIDFile   string // -P; memcached writes it with and without -d
	PortFile  string // MEMCACHED_PORT_FILENAME; see WritePortFile
	CoreDumps bool   // -r: RLIMIT_CORE as high as allowed
	Verbosity int    // -v

	Kept    Kept
	Ignored []Note // in the order of the command line, an option once

	given string // the -l options joined, for `stats settings`
}

// VerifyMode says what is asked of a TLS client.
type VerifyMode uint8

// Modes of ssl_verify_mode. VerifyOnce is VerifyRequire: it differs in renegotiations, and there are none.
const (
	VerifyNone VerifyMode = iota
	VerifyRequest
	VerifyRequire
	VerifyOnce
)

// KeyFormat is the form of the private key's file. The numbers are OpenSSL's; others are taken and treated as PEM.
type KeyFormat int64

// Key formats.
const (
	PEM KeyFormat = 1
	DER KeyFormat = 2
)

// TLS is what concerns TLS. Without Enabled the rest does nothing.
type TLS struct {
	Enabled    bool
	Cert       string // chain, PEM; never empty when Enabled
	Key        string // "" when it is in Cert
	KeyFormat  KeyFormat
	Verify     VerifyMode
	CA         string // PEM, of acceptable clients
	Ciphers    string // OpenSSL's names for TLS 1.2 and older, colons between them; "" for the default
	MinVersion uint16 // tls.VersionTLS10 to tls.VersionTLS13
}

// Kept are settings that change nothing here and are shown in `stats settings` as they were given.
type Kept struct {
	GrowthFactor float64 // -f
	ChunkSize    int64   // -n, bytes
	ReqsPerEvent int64   // -R
	NapiIDs      int64   // -N

	HashPower     int64
	HashAlgorithm string

	SlabReassign      bool
	SlabAutomove      int64
	AutomoveRatio     float64
	AutomoveWindow    int64
	AutomoveFreeRatio float64
	SlabChunkMax      int64 // bytes

	LRUCrawler     bool
	CrawlerSleep   int64 // µs
	CrawlerToCrawl int64
	TailRepairTime int64 // s
	LRUMaintainer  bool
	LRUSegmented   bool
	HotPct         int64
	WarmPct        int64
	HotMaxFactor   float64
	WarmMaxFactor  float64
	TempLRU        bool
	TempTTL        int64 // s

	WatcherBuf   int64 // bytes
	WorkerBuf    int64 // bytes
	ReadBufLimit int64 // bytes
	InlineASCII  bool

	Ext Ext

	TLSBuf          int64 // bytes
	TLSSessionCache bool
	TLSKernel       bool
}

// Ext are the settings of memcached's storage on flash, which cached does not have.
type Ext struct {
	Paths        []string
	Pages        int64 // of the last path
	PageSize     int64 // bytes
	WriteBuf     int64 // bytes
	Threads      int64
	Depth        int64
	ItemSize     int64 // bytes
	ItemAge      int64 // s
	LowTTL       int64 // s
	RecacheRate  int64
	CompactUnder int64
	DropUnder    int64
	MaxSleep     int64 // µs
	MaxFrag      float64
	DropUnread   bool
}

// Defaults are the options of an empty command line.
func Defaults() *Options {
	return &Options{
		Port: 11211, SocketMode: 0o700, Backlog: 1024,
		MaxConns: 1024, MaxConnsFast: true, Threads: 4,
		Memory: 64 << 20, MaxItem: 1 << 20,
		Delimiter: ':',
		TLS:       TLS{KeyFormat: PEM, MinVersion: tlsVersion(2)},
		Kept:      keptDefaults(),
	}
}

func keptDefaults() Kept {
	return Kept{
		GrowthFactor: 1.25, ChunkSize: 48, ReqsPerEvent: 20, HashAlgorithm: "murmur3",
		SlabReassign: true, SlabAutomove: 1, AutomoveRatio: 0.8, AutomoveWindow: 30, AutomoveFreeRatio: 0.01,
		SlabChunkMax: 512 << 10,
		LRUCrawler:   true, CrawlerSleep: 100, LRUMaintainer: true, LRUSegmented: true,
		HotPct: 20, WarmPct: 40, HotMaxFactor: 0.2, WarmMaxFactor: 2, TempTTL: 61,
		WatcherBuf: 256 << 10, WorkerBuf: 64 << 10,
		Ext: Ext{
			PageSize: 64 << 20, WriteBuf: 4 << 20, Threads: 1, ItemSize: 512, ItemAge: 1<<32 - 1, RecacheRate: 2000, MaxSleep: 1e6, MaxFrag: 0.8,
		},
		TLSBuf: 16 << 10,
	}
}
