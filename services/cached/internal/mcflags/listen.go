package mcflags

import (
	"net/netip"
	"strings"
)

// Listener is one element of -l.
type Listener struct {
	Host      string   // address, with zone if any, or host name; "" for all addresses, IPv4 and IPv6 apart
	Port      Port     // of TCP and UDP returned: a number or Ephemeral
	Protocol  Protocol // what it speaks
	NoTLS     bool     // notls: plain although -Z is given
	MutualTLS bool     // mtls: the client must show a certificate
	Tag       string   // tag[…], 1 to 8 bytes; "" for none

	protocolGiven bool
}

// TCP are the TCP listeners to open: none with -s or -p 0. A host name stands for all its addresses. With -Z they speak TLS except
// where NoTLS says otherwise.
func (o *Options) TCP() []Listener { return o.listeners(o.Port) }

// UDP are the UDP listeners to open: none with -s or -U 0. A port in -l counts for both protocols.
func (o *Options) UDP() []Listener { return o.listeners(o.UDPPort) }

func (o *Options) listeners(port Port) []Listener {
	if o.Socket != "" || port == Off {
		return nil
	}
	if len(o.Listen) == 0 {
		return []Listener{{Port: port, Protocol: o.Protocol}}
	}
	out := make([]Listener, len(o.Listen))
	for i, l := range o.Listen {
		if l.Port == inherit {
			l.Port = port
		}
		if !l.protocolGiven {
			l.Protocol = o.Protocol
		}
		out[i] = l
	}
	return out
}

// Exposed reports whether a TCP or UDP listener may be reached from other hosts: it has another address than loopback's, or a name other
// than localhost.
func (o *Options) Exposed() bool {
	for _, l := range append(o.TCP(), o.UDP()...) {
		if a, err := netip.ParseAddr(l.Host); l.Host != "localhost" && (err != nil || !a.Unmap().IsLoopback()) {
			return true
		}
	}
	return false
}

// listen reads the argument of -l: listeners between commas or semicolons.
func (p *parser) listen(v string) error {
	elements := strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ';' })
	if len(elements) == 0 {
		return wrong(p.at, "names no address")
	}
	for _, e := range elements {
		l, err := p.listener(e)
		if err != nil {
			return err
		}
		if len(p.Listen) == maxListeners {
			return wrong(p.at, "more than %d listeners", maxListeners)
		}
		p.Listen = append(p.Listen, l)
	}
	if p.given == "" {
		p.given = v
	} else {
		p.given += "," + v
	}
	return nil
}

func (p *parser) listener(e string) (Listener, error) {
	l := Listener{Port: inherit}
	rest, err := p.prefixes(&l, e)
	if err != nil {
		return l, err
	}
	host, port, err := p.splitHostPort(rest)
	if err != nil {
		return l, err
	}
	if host != "*" {
		l.Host = host
	}
	if port != "" {
		l.Port, err = p.listenPort(port)
	}
	return l, err
}

// prefixes takes notls:, mtls:, proto[…]: and tag[…]: off the beginning of a listener.
func (p *parser) prefixes(l *Listener, e string) (rest string, err error) {
	for {
		if after, ok := strings.CutPrefix(e, "notls:"); ok {
			l.NoTLS, e = true, after
			continue
		}
		if after, ok := strings.CutPrefix(e, "mtls:"); ok {
			l.MutualTLS, e = true, after
			continue
		}
		name, value, after, ok := bracketed(e)
		if !ok {
			return e, nil
		}
		switch name {
		case "proto":
			err = p.listenerProtocol(l, value)
		case "tag":
			l.Tag = value
			if len(value) < 1 || len(value) > 8 {
				err = wrong(p.at, "the tag %s is not of 1 to 8 characters", quote(value))
			}
		default:
			return e, nil
		}
		if err != nil {
			return "", err
		}
		e = after
	}
}

// bracketed takes `name[value]:` apart.
func bracketed(e string) (name, value, after string, ok bool) {
	name, tail, ok := strings.Cut(e, "[")
	if !ok || name == "" {
		return "", "", "", false
	}
	value, after, ok = strings.Cut(tail, "]:")
	return name, value, after, ok
}

func (p *parser) listenerProtocol(l *Listener, name string) error {
	switch name {
	case "ascii", "meta":
		l.Protocol = Text
	case "binary":
		l.Protocol = Binary
	case "negotiating":
		l.Protocol = Auto
	case "proxy":
		return wrong(p.at, "proto[proxy]: there is no proxy in this server")
	default:
		return wrong(p.at, "proto[%s] is not a protocol: ascii, binary or negotiating", name)
	}
	l.protocolGiven = true
	return nil
}

// splitHostPort takes an address apart: host, host:port, IPv6, [IPv6] or [IPv6]:port. port is "" where there is none.
func (p *parser) splitHostPort(s string) (host, port string, err error) {
	bad := func(why string) (string, string, error) { return "", "", wrong(p.at, "%s %s", quote(s), why) }
	colon := false
	switch {
	case strings.HasPrefix(s, "["):
		var tail string
		if host, tail, colon = strings.Cut(s[1:], "]"); !colon {
			return bad("is not an IPv6 address: the ] is missing")
		}
		if port, colon = strings.CutPrefix(tail, ":"); !colon && tail != "" {
			return bad("has something between ] and its end that is no port")
		}
	case strings.Count(s, ":") > 1:
		host = s
	default:
		host, port, colon = strings.Cut(s, ":")
	}
	if colon && port == "" {
		return bad("has a colon and no port")
	}
	if strings.Contains(host, ":") {
		if _, err := netip.ParseAddr(host); err != nil {
			return bad("is not an address; an IPv6 address with a port is written [address]:port")
		}
	}
	if host == "" || strings.ContainsAny(host, spaces+"[]/\x00") {
		return bad("is not an address")
	}
	return host, port, nil
}

func (p *parser) listenPort(s string) (Port, error) {
	n, err := p.strict(s, span{-1, 65535, quote(s) + " is not a port"})
	if n == 0 {
		n = int64(Ephemeral) // memcached asks the kernel for a port then
	}
	return Port(n), err
}
