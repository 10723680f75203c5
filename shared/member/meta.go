package member

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"

	"github.com/everup/everup/shared/health"
)

// What a member tells of itself travels in memberlist's node metadata, at most 512 bytes:
//
//	version 1 | fields, each: tag 1 | length 1 | value
//
// A field with an unknown tag is skipped, a field that grew at its end is read as far as it is known, a missing one is
// zero. Only a change that breaks this raises the version; a member of a version not known is still a member, with an
// address and nothing else told.
const (
	metaVersion = 1
	metaMax     = 512

	tagGeneration = 1 // 8 bytes
	tagStatus     = 2 // health 1, flags 1, weight 2
	tagLoad       = 3 // cpu, iowait, mem, disk
	tagConfig     = 4 // 8 bytes
	tagZone       = 5
	tagVersion    = 6
	tagBus        = 7 // port 2, address 4 or 16
	tagAddr       = 8 // address 4 or 16: endpoints name it by its order
	tagEndpoint   = 9 // proto 1, index of address 1, port 2, name
	tagPadding    = 10
	tagFigure     = 11 // per mille 2, name

	flagDraining = 1
	flagLeaving  = 2

	maxEndpoints = 12
	maxName      = 32 // bytes of an endpoint's name and of the version
	maxFigures   = 4
	maxFigure    = 16 // bytes of a figure's name
	wholeFigure  = 1000
	maxZone      = 63
	maxPadding   = 24
)

// meta is what the metadata holds.
type meta struct {
	Generation uint64
	Leaving    bool // the process is about to go on purpose
	Zone       string
	Version    string
	Announcement

	// Padding is how many bytes are added, 1 to 24, so that the members' announcements differ in length: memberlist's queue of
	// broadcasts may take two messages of one length for the same and lose one, of all things a refutation.
	Padding int
}

// encode returns the metadata and how many endpoints did not fit. Names that are too long are cut.
func (m meta) encode() (b []byte, left int) {
	b = []byte{metaVersion}
	b = appendField(b, tagGeneration, binary.BigEndian.AppendUint64(nil, m.Generation))
	b = appendField(b, tagStatus, []byte{byte(m.Health), m.flags(), byte(m.Weight >> 8), byte(m.Weight)})
	b = appendField(b, tagLoad, []byte{m.Load.CPU, m.Load.IOWait, m.Load.Mem, m.Load.Disk})
	b = appendField(b, tagConfig, binary.BigEndian.AppendUint64(nil, m.Config))
	b = appendField(b, tagZone, []byte(cut(m.Zone, maxZone)))
	b = appendField(b, tagVersion, []byte(cut(m.Version, maxName)))
	if m.Bus.IsValid() {
		b = appendField(b, tagBus, append(portBytes(m.Bus.Port()), m.Bus.Addr().Unmap().AsSlice()...))
	}
	b = appendField(b, tagPadding, make([]byte, m.Padding))
	b, left = m.appendEndpoints(b)
	return m.appendFigures(b), left
}

// appendFigures writes as many figures as fit behind the endpoints, which matter more.
func (m meta) appendFigures(b []byte) []byte {
	for _, f := range m.Figures[:min(len(m.Figures), maxFigures)] {
		name := cut(f.Name, maxFigure)
		if len(b)+2+2+len(name) > metaMax {
			break
		}
		b = appendField(b, tagFigure, append(binary.BigEndian.AppendUint16(nil, min(f.PerMille, wholeFigure)), name...))
	}
	return b
}

// paddingOf spreads members over the lengths of padding.
func paddingOf(id ID) int {
	h := fnv.New32a()
	h.Write([]byte(id))
	return 1 + int(h.Sum32()%maxPadding)
}

// appendEndpoints writes each address once, then the endpoints, as many as fit in order.
func (m meta) appendEndpoints(b []byte) (_ []byte, left int) {
	var addrs []netip.Addr
	for i, e := range m.Endpoints {
		if i == maxEndpoints {
			return b, len(m.Endpoints) - i
		}
		next := b
		addr := e.Addr.Addr().Unmap()
		at := indexOf(addrs, addr)
		if at < 0 {
			at = len(addrs)
			next = appendField(next, tagAddr, addr.AsSlice())
		}
		value := append([]byte{protoByte(e.Proto), byte(at)}, portBytes(e.Addr.Port())...)
		next = appendField(next, tagEndpoint, append(value, cut(e.Name, maxName)...))
		if len(next) > metaMax {
			return b, len(m.Endpoints) - i
		}
		b = next
		if at == len(addrs) {
			addrs = append(addrs, addr)
		}
	}
	return b, 0
}

func (m meta) flags() (f byte) {
	if m.Draining {
		f |= flagDraining
	}
	if m.Leaving {
		f |= flagLeaving
	}
	return f
}

// parseMeta reads metadata; what is damaged or not known is left zero.
func parseMeta(b []byte) meta {
	var m meta
	if len(b) == 0 || len(b) > metaMax || b[0] != metaVersion {
		return m
	}
	r := reader{b: b[1:]}
	var addrs []netip.Addr
	for len(r.b) > 0 {
		tag := r.byte()
		v := reader{b: r.take(int(r.byte()))}
		if r.bad {
			break
		}
		if tag == tagAddr {
			addr, _ := netip.AddrFromSlice(v.b)
			addrs = append(addrs, addr)
			continue
		}
		m.setField(tag, v, addrs)
	}
	return m
}

func (m *meta) setField(tag byte, v reader, addrs []netip.Addr) {
	switch tag {
	case tagGeneration:
		m.Generation = v.uint64()
	case tagStatus:
		m.Health = min(health.Level(v.byte()), health.Fail)
		flags := v.byte()
		m.Draining, m.Leaving = flags&flagDraining != 0, flags&flagLeaving != 0
		m.Weight = min(v.uint16(), maxWeight)
	case tagLoad:
		m.Load = Load{CPU: v.byte(), IOWait: v.byte(), Mem: v.byte(), Disk: v.byte()}
	case tagConfig:
		m.Config = v.uint64()
	case tagZone:
		m.Zone = cut(string(v.b), maxZone)
	case tagPadding:
		m.Padding = min(len(v.b), maxPadding)
	case tagVersion:
		m.Version = cut(string(v.b), maxName)
	case tagBus:
		port := v.uint16()
		if addr, ok := netip.AddrFromSlice(v.b); ok {
			m.Bus = netip.AddrPortFrom(addr, port)
		}
	case tagEndpoint:
		m.addEndpoint(v, addrs)
	case tagFigure:
		if per := v.uint16(); !v.bad && len(m.Figures) < maxFigures {
			m.Figures = append(m.Figures, Figure{Name: cut(string(v.b), maxFigure), PerMille: min(per, wholeFigure)})
		}
	}
}

func (m *meta) addEndpoint(v reader, addrs []netip.Addr) {
	proto, at, port := protoName(v.byte()), int(v.byte()), v.uint16()
	if v.bad || proto == "" || at >= len(addrs) || len(m.Endpoints) == maxEndpoints {
		return
	}
	e := Endpoint{Name: cut(string(v.b), maxName), Proto: proto, Addr: netip.AddrPortFrom(addrs[at], port)}
	m.Endpoints = append(m.Endpoints, e)
}

// appendField appends nothing for an empty value, except for an address, whose place counts.
func appendField(b []byte, tag byte, value []byte) []byte {
	if len(value) == 0 && tag != tagAddr {
		return b
	}
	return append(append(b, tag, byte(len(value))), value...)
}

func portBytes(port uint16) []byte { return binary.BigEndian.AppendUint16(nil, port) }

func protoByte(proto string) byte {
	if proto == "udp" {
		return 17
	}
	return 6
}

func protoName(b byte) string {
	switch b {
	case 6:
		return "tcp"
	case 17:
		return "udp"
	}
	return ""
}

func indexOf(addrs []netip.Addr, a netip.Addr) int {
	for i, x := range addrs {
		if x == a {
			return i
		}
	}
	return -1
}

func cut(s string, n int) string { return s[:min(len(s), n)] }
