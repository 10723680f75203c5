package mcflags

import (
	"cmp"
	"errors"

	"github.com/everup/everup/shared/fault"
)

// settle fills in what follows from several options and refuses what does not go together.
func (p *parser) settle() error {
	if p.udpGiven && p.UDPPort != Off && !p.portGiven {
		p.Port = p.UDPPort
	}
	if p.SASL && !p.protocol {
		p.Protocol = Binary
	}
	if p.AuthFile != "" && !p.protocol {
		p.Protocol = Text
	}
	for _, check := range []func() error{
		p.checkSizes, p.checkKept, p.checkAuthentication, p.checkListenerProtocols, p.checkTLS, p.checkUDP,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) checkSizes() error {
	const at = "-I (--max-item-size)"
	switch {
	case p.MaxItem < minItem:
		return wrong(at, "the largest item cannot be less than 1024 bytes")
	case p.MaxItem > p.Memory/2:
		return wrong(at, "the largest item cannot be more than half of the memory (-m)")
	case p.MaxItem > maxItem:
		return wrong(at, "the largest item cannot be more than a gigabyte")
	}
	return nil
}

func (p *parser) checkKept() error {
	k := &p.Kept
	if e := &k.Ext; len(e.Paths) > 0 {
		e.CompactUnder = cmp.Or(e.CompactUnder, e.Pages/4)
		e.DropUnder = cmp.Or(e.DropUnder, e.Pages/4)
	}
	switch {
	case k.HotPct+k.WarmPct > 80:
		return wrong("-o hot_lru_pct, warm_lru_pct", "cannot be more than 80 together")
	case k.TempLRU && !k.LRUMaintainer:
		return wrong("-o temporary_ttl", "needs lru_maintainer")
	case k.NapiIDs > int64(p.Threads):
		return wrong("-N (--napi-ids)", "cannot be more than there are threads (-t)")
	case len(k.Ext.Paths) > 0 && p.MaxItem > k.Ext.WriteBuf:
		return wrong("-o ext_wbuf_size", "cannot be less than the largest item (-I)")
	}
	return nil
}

func (p *parser) checkAuthentication() error {
	switch {
	case p.SASL && p.protocol && p.Protocol != Binary:
		return wrong("-S (--enable-sasl)", "only the binary protocol has SASL; -B ascii and -B auto would let clients in without")
	case p.AuthFile != "" && p.protocol && p.Protocol != Text:
		return wrong("-Y (--auth-file)", "only the text protocol has it; -B binary and -B auto would let clients in without")
	case p.SASL && p.SASLDatabase == "":
		return wrong("-S (--enable-sasl)", "%s must name a file of user:password lines: the databases of Cyrus SASL are not read", EnvSASLDatabase)
	case p.SASL && p.AuthFile != "" && !p.protocol:
		p.note("-S (--enable-sasl)", "with -Y only the text protocol is spoken, and it has no SASL")
	}
	return nil
}

// checkListenerProtocols refuses listeners whose own protocol avoids the authentication asked for.
func (p *parser) checkListenerProtocols() error {
	for _, l := range p.Listen {
		if !l.protocolGiven {
			continue
		}
		if p.AuthFile != "" && l.Protocol != Text {
			return wrong("-l (--listen)", "with -Y (--auth-file) a listener can only speak ascii")
		}
		if p.SASL && p.AuthFile == "" && l.Protocol != Binary {
			return wrong("-l (--listen)", "with -S (--enable-sasl) a listener can only speak binary")
		}
	}
	return nil
}

func (p *parser) checkTLS() error {
	if !p.TLS.Enabled {
		if p.tlsGiven {
			p.note("-o ssl_*", "does nothing without -Z (--enable-ssl): connections are not encrypted")
		}
		for _, l := range p.Listen {
			if l.NoTLS || l.MutualTLS {
				return wrong("-l (--listen)", "notls and mtls have a meaning only with -Z (--enable-ssl)")
			}
		}
		return nil
	}
	switch {
	case p.Port == Off:
		return wrong("-Z (--enable-ssl)", "needs a TCP port")
	case p.TLS.Cert == "":
		return wrong("-Z (--enable-ssl)", "needs a certificate: -o ssl_chain_cert=FILE")
	}
	return nil
}

func (p *parser) checkUDP() error {
	if p.UDPPort == Off {
		return nil
	}
	switch {
	case p.SASL:
		return wrong("-U (--udp-port)", "UDP has no SASL; it cannot go with -S")
	case p.AuthFile != "":
		return wrong("-U (--udp-port)", "UDP has no authentication; it cannot go with -Y")
	case len(p.Kept.Ext.Paths) > 0:
		return wrong("-U (--udp-port)", "cannot go with ext_path")
	}
	return nil
}

// CheckUser says whether memcached would run as the user with the effective id: as root only when -u names whom to become, be it root. The
// error's class is fault.Denied.
func (o *Options) CheckUser(euid int) error {
	if euid == 0 && o.User == "" {
		return fault.Wrap(fault.Denied, errors.New("as root it must be given"), "-u (--user)")
	}
	return nil
}
