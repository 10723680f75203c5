package doctor

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/everup/everup/shared/conf"
)

// VIP is a virtual address of a configuration, as far as the machine matters to it.
type VIP struct {
	Daemon, Name string
	Interface    string
	VRID         int
	Addresses    []netip.Addr
	Delayed      bool // it has a start_delay
}

// key names it in its configuration.
func (v VIP) key() string { return "vips." + v.Name + " of " + v.Daemon + ".yaml" }

// vipsOf reads the section vips of a daemon's configuration. What is wrong in it is for the daemon's own check to say.
func vipsOf(daemon string, tree map[string]any) []VIP {
	section, _ := tree["vips"].(map[string]any)
	var out []VIP
	for _, name := range slices.Sorted(maps.Keys(section)) {
		v, ok := section[name].(map[string]any)
		if !ok {
			continue
		}
		vip := VIP{Daemon: daemon, Name: name}
		vip.Interface, _ = v["interface"].(string)
		vip.VRID, _ = v["vrid"].(int)
		delay, _ := v["start_delay"].(string)
		var d conf.Duration
		vip.Delayed = delay != "" && d.UnmarshalText([]byte(delay)) == nil && d > 0
		list, _ := v["addresses"].([]any)
		for _, a := range list {
			text, _ := a.(string)
			ip, _, _ := strings.Cut(text, "/")
			if addr, err := netip.ParseAddr(ip); err == nil {
				vip.Addresses = append(vip.Addresses, addr)
			}
		}
		out = append(out, vip)
	}
	return out
}
