package vip

import (
	"errors"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/probe"
)

// Validate reports a Track that is not one thing, or whose keys do not fit that thing.
func (t *Track) Validate(r *conf.Report) {
	kinds := t.kinds()
	if len(kinds) != 1 {
		found := "there is none"
		if len(kinds) > 1 {
			found = "there are " + strings.Join(kinds, " and ")
		}
		r.Errorf("is to have one of interface, route, file, probe and value; %s", found)
		return
	}
	if t.Each && t.Value == "" {
		r.At("each").Errorf("is for value only")
	}
	if t.Each && t.Weight == 0 {
		r.At("weight").Errorf("is what each is multiplied with: it must not be 0")
	}
	if t.Min != 1 && (t.Value == "" || t.Each) {
		r.At("min").Errorf("is for value without each only")
	}
	t.validateThing(r)
}

// kinds returns which keys say what is tracked.
func (t *Track) kinds() (out []string) {
	for _, k := range []struct {
		key string
		has bool
	}{
		{"interface", t.Interface != ""}, {"route", t.Route.IsValid()}, {"file", t.File != ""},
		{"probe", t.Probe != nil}, {"value", t.Value != ""},
	} {
		if k.has {
			out = append(out, k.key)
		}
	}
	return out
}

func (t *Track) validateThing(r *conf.Report) {
	switch {
	case t.Interface != "" && !interfaceName(t.Interface):
		r.At("interface").Errorf("%q cannot be the name of an interface", t.Interface)
	case t.Route.IsValid() && t.Route != t.Route.Masked():
		r.At("route").Hintf("write "+t.Route.Masked().String(), "%v has bits set after the prefix", t.Route)
	case t.File != "" && !filepath.IsAbs(t.File):
		r.At("file").Errorf("%q is not an absolute path", t.File)
	case t.Value != "" && !valueName(t.Value):
		r.At("value").Errorf("%q is not the name of a value, such as backends.web", t.Value)
	}
}

// validateOwner reports a weight that can have no effect.
func (t *Track) validateOwner(r *conf.Report, v *VIP) {
	if v.owner() && t.Weight != 0 {
		r.At("weight").Hintf("0 makes it a fault", "the priority of the addresses' owner (255) does not change")
	}
}

// valueName reports whether s could be the name of a value: lower-case words, joined by dots.
func valueName(s string) bool {
	if len(s) > 128 {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// Validate reports a target that the check cannot be made of.
func (p *Probe) Validate(r *conf.Report) {
	if _, err := p.target(); err != nil {
		r.At("target").Errorf("%v", err)
	}
}

// portless reports whether the check needs no port of the target.
func (p *Probe) portless() bool {
	return p.Check.Type == probe.ICMP || p.Check.Type == probe.Exec || p.Check.Port != 0
}

// target makes the check's target of the configured text.
func (p *Probe) target() (probe.Target, error) {
	text := p.Target
	if p.portless() {
		if a, err := netip.ParseAddr(text); err == nil {
			return probe.Target{Addr: netip.AddrPortFrom(a.Unmap(), 0)}, nil
		}
		if !strings.Contains(text, ":") {
			text += ":0"
		}
	}
	var addr conf.Addr
	if err := addr.UnmarshalText([]byte(text)); err != nil {
		return probe.Target{}, err
	}
	host, port, ok := addr.HostPort()
	if !ok || host == "" || port == 0 && !p.portless() {
		return probe.Target{}, errors.New("is not the address or name of a host with a port")
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return probe.Target{Addr: netip.AddrPortFrom(a.Unmap(), port)}, nil
	}
	return probe.Target{Addr: netip.AddrPortFrom(netip.Addr{}, port), Host: host}, nil
}
