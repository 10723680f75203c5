package vip

import (
	"net/netip"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/probe"
)

// Config is the section `vips`: the virtual addresses that this daemon offers together with others.
type Config map[conf.Name]*VIP

// VIP is one set of addresses that moves as one between hosts.
type VIP struct {
	Interface string        `yaml:"interface" required:"true" max:"15" doc:"Interface that carries the addresses and the adverts, such as eth0, bond0 or bond0.10."`
	VRID      int           `yaml:"vrid" required:"true" min:"1" max:"255" doc:"Virtual router id: the same on all hosts that share the addresses, another for each VIP of a network."`
	Addresses []Address     `yaml:"addresses" required:"true" max:"64" doc:"The addresses, with the length of their network; without one it is /32 or /128. Both families may be mixed; they then move together. Where IPv6 has no link-local address among them, one made from the vrid is put first (RFC 9568 section 5.2.9)."`
	Priority  int           `yaml:"priority" default:"100" min:"1" max:"255" doc:"Who holds the addresses: the highest. 255 is for the owner of the addresses, who always takes them."`
	Interval  conf.Duration `yaml:"interval" default:"100ms" min:"10ms" max:"255s" doc:"Time between adverts: a holder that is silent for three of it is replaced. The same on all hosts."`
	Version   int           `yaml:"version" default:"3" min:"2" max:"3" doc:"VRRP version. 2 (RFC 3768) is for old peers: IPv4 only, intervals of whole seconds."`
	Group     conf.Name     `yaml:"group" doc:"VIPs with the same group are held together or not at all. What one of them tracks counts for all."`

	Preempt      bool          `yaml:"preempt" default:"true" doc:"Whether a host of higher priority takes the addresses from one that holds them. false: who holds them keeps them."`
	PreemptDelay conf.Duration `yaml:"preempt_delay" default:"0" max:"1000s" doc:"How long a host of higher priority waits before it takes the addresses."`
	StartDelay   conf.Duration `yaml:"start_delay" default:"0" max:"1000s" doc:"How much longer than usual is listened after a start, for links that swallow packets at first."`

	Peers    []netip.Addr  `yaml:"peers" max:"16" doc:"The other hosts, for adverts by unicast. Empty means multicast."`
	Source   netip.Addr    `yaml:"source" doc:"Address that adverts are sent from. Empty means the interface's first; for IPv6 its link-local one."`
	Auth     string        `yaml:"auth" default:"auto" enum:"auto|fleet|off" doc:"Whether adverts by unicast are authenticated with the fleet's secret: auto does so where there is one, fleet demands it, off is for peers that are not everup (keepalived)."`
	Password conf.Secret   `yaml:"password" max:"8" doc:"Simple text authentication of version 2, for old peers. It protects against nothing but mistakes."`
	MinTTL   int           `yaml:"min_ttl" default:"255" min:"1" max:"255" doc:"Smallest TTL of an advert that is taken. Less than 255 is for unicast peers behind a router, and 64 for keepalived's unicast over IPv6, which sends that."`
	Checksum string        `yaml:"checksum" default:"auto" enum:"auto|rfc9568|pseudo" doc:"Form of the checksum of version 3 over IPv4: pseudo is keepalived's, which takes nothing else: set it with such peers. auto is the RFC's until a peer uses the other."`
	VMAC     bool          `yaml:"vmac" default:"false" doc:"Give the addresses the virtual MAC 00:00:5e:00:01:vrid, by a macvlan interface. Many hypervisors do not let it pass."`
	Announce Announce      `yaml:"announce" doc:"Gratuitous ARP and unsolicited neighbour advertisements of a new holder."`
	Track    []Track       `yaml:"track" max:"64" doc:"What the priority depends on, beside the interface's carrier and the daemon itself."`
	Notify   []Notify      `yaml:"notify" max:"16" doc:"Commands to run on a change."`
	Accept   bool          `yaml:"accept" default:"true" doc:"Whether the holder answers on the addresses although it is not their owner; RFC 9568 calls it Accept_Mode."`
	Lifeline conf.Duration `yaml:"lifeline" default:"2s" max:"1m" doc:"A daemon that is stuck for so long gives the addresses up; 0 means never. One that dies does at once. The same for all VIPs of a daemon, at least 200ms."`
}

// Announce is the section `announce` of a VIP.
type Announce struct {
	Rounds  int           `yaml:"rounds" default:"5" min:"1" max:"100" doc:"Announcements of each address in a burst."`
	Gap     conf.Duration `yaml:"gap" default:"100ms" min:"1ms" max:"10s" doc:"Time between the announcements of a burst."`
	Again   conf.Duration `yaml:"again" default:"5s" max:"1000s" doc:"Time from the first burst to a second; 0 means none."`
	Refresh conf.Duration `yaml:"refresh" default:"1m" max:"24h" doc:"Time between single announcements after that; 0 means none."`
}

// Track is one thing that the priority of a VIP depends on: exactly one of Interface, Route, File, Probe, Value.
type Track struct {
	Interface string       `yaml:"interface" max:"15" doc:"Bad while this interface has no carrier."`
	Route     netip.Prefix `yaml:"route" doc:"Bad while the main table has no route to exactly this network, such as 0.0.0.0/0."`
	File      string       `yaml:"file" doc:"A file with a whole number, 1 if it is empty, 0 if it is not there: number times weight is added; with weight 0 a number other than 0 is a fault."`
	Probe     *Probe       `yaml:"probe" doc:"Bad while this check fails."`
	Value     string       `yaml:"value" doc:"Bad while a value of the daemon's own is below min: lbd has backends and backends.POOL, dnsd has answers."`
	Min       int          `yaml:"min" default:"1" doc:"For value: what is enough."`
	Each      bool         `yaml:"each" default:"false" doc:"For value: weight times value is added, in place of good and bad."`
	Weight    int          `yaml:"weight" default:"0" min:"-253" max:"253" doc:"0: bad is a fault, the addresses are given up. Below 0: added to the priority while bad. Above 0: added while good."`
}

// Probe is a check of a Track.
type Probe struct {
	Target string       `yaml:"target" required:"true" max:"300" doc:"host:port, or a host where the check needs no port (icmp, or check.port is set)."`
	Check  probe.Config `yaml:"check" doc:"How it is checked."`
}

// Notify is a command.
type Notify struct {
	Command []string      `yaml:"command" required:"true" max:"64" doc:"Program and arguments, without a shell. It finds EVERUP_VIP, EVERUP_STATE (what it is run for, as in on), EVERUP_CAUSE, EVERUP_INTERFACE, EVERUP_PRIORITY and EVERUP_ADDRESSES in its environment."`
	On      []string      `yaml:"on" default:"[active, backup, fault]" enum:"active|backup|fault|reasserted" doc:"Changes that it is run for; reasserted: another host claimed the addresses too, and they were announced anew."`
	Timeout conf.Duration `yaml:"timeout" default:"10s" min:"100ms" max:"10m" doc:"It is killed after so long."`
}
