package doctor

import (
	"path"
	"strings"
)

// networkd looks whether systemd-networkd leaves alone what it did not put on the interface.
func networkd(s System, v VIP) []Finding {
	index, _ := s.ReadFile(sysNet(v.Interface, "ifindex"))
	link, err := s.ReadFile("/run/systemd/netif/links/" + strings.TrimSpace(string(index)))
	if err != nil {
		return nil // it does not run, or does not know the interface
	}
	file := ""
	for line := range strings.Lines(string(link)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "NETWORK_FILE="); ok {
			file = name
		}
	}
	if file == "" {
		return nil
	}
	b, err := s.ReadFile(file)
	if err != nil {
		return nil
	}
	text := string(b) + "\n"
	for _, dir := range unitDirs() {
		text += dropIns(s, path.Join(dir, "network", path.Base(file)+".d"))
	}
	if keep := lastValue(text, "KeepConfiguration"); keep == "yes" || keep == "true" || keep == "static" {
		return nil
	}
	dropIn := path.Join("/etc/systemd/network", path.Base(file)+".d", "everup.conf")
	return []Finding{{"vip.networkd", Warn, "systemd-networkd takes addresses off " + v.Interface + " that it did not put there (" + file + ")",
		"when it is restarted or the interface reconfigured, virtual addresses are gone for a moment, until they are put back",
		"mkdir -p " + path.Dir(dropIn) + " && printf '[Network]\\nKeepConfiguration=yes\\n' > " + dropIn + " && networkctl reload"}}
}

// lastValue returns what a file of systemd says last for a key.
func lastValue(text, key string) (value string) {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			value = strings.TrimSpace(v)
		}
	}
	return value
}

// secondaries looks at what becomes of an interface's other addresses when its first one goes.
func secondaries(s System, v VIP) []Finding {
	own, ok := readSysctl(s, "net.ipv4.conf."+v.Interface+".promote_secondaries")
	if strings.Contains(v.Interface, ".") { // sysctl(8) writes the dots of a VLAN as slashes
		var b []byte
		b, err := s.ReadFile("/proc/sys/net/ipv4/conf/" + v.Interface + "/promote_secondaries")
		own, ok = strings.TrimSpace(string(b)), err == nil
	}
	all, _ := readSysctl(s, "net.ipv4.conf.all.promote_secondaries")
	if !ok || own != "0" || all != "0" && all != "" {
		return nil
	}
	const name = "net.ipv4.conf.all.promote_secondaries"
	return []Finding{{"vip.promote_secondaries", Notice, "net.ipv4.conf." + strings.ReplaceAll(v.Interface, ".", "/") + ".promote_secondaries is 0",
		"when the host's own address is taken off " + v.Interface + ", the kernel takes virtual addresses of the same network with it", setSysctl(name, "1")}}
}

// bond looks at a bond that carries the interface, directly or below a VLAN.
func bond(s System, v VIP) []Finding {
	name, ok := bondOf(s, v.Interface)
	if !ok {
		return nil
	}
	read := func(what string) string {
		b, err := s.ReadFile(sysNet(name, "bonding", what))
		if err != nil {
			return ""
		}
		word, _, _ := strings.Cut(strings.TrimSpace(string(b)), " ") // "active-backup 1"
		return word
	}
	var out []Finding
	if read("miimon") == "0" && read("arp_interval") == "0" {
		out = append(out, Finding{"vip.bond.monitor", Warn, name + " does not watch its links (miimon and arp_interval are 0)",
			"it goes on sending into a dead one: " + v.Interface + " keeps its carrier, and the virtual address stays with a host that nobody reaches",
			"MIIMonitorSec=100ms in the bond's .netdev, or ARPIntervalSec= and ARPIPTargets= where a switch hides a dead way"})
	}
	if read("num_grat_arp") == "0" {
		out = append(out, Finding{"vip.bond.announce", Warn, name + " does not announce its addresses when it changes to another link (num_grat_arp is 0)",
			"the switches send what is for the virtual address to the dead link", "GratuitousARP=3 in the bond's .netdev"})
	}
	if read("mode") == "802.3ad" && !v.Delayed {
		out = append(out, Finding{"vip.bond.start", Notice, name + " negotiates with the switch (802.3ad) before it carries anything, and " + v.key() + " has no start_delay",
			"after a boot the host hears no advert meanwhile and takes the address from its holder for a moment", "set start_delay: 5s"})
	}
	return out
}

// maxStack bounds how deep interfaces lie on each other.
const maxStack = 8

// bondOf returns the bond that an interface is, or lies on.
func bondOf(s System, name string) (string, bool) {
	for range maxStack {
		if _, err := s.ReadFile(sysNet(name, "bonding", "mode")); err == nil {
			return name, true
		}
		names, _ := s.ReadDir(sysNet(name))
		lower := ""
		for _, n := range names {
			if below, ok := strings.CutPrefix(n, "lower_"); ok {
				lower = below
			}
		}
		if lower == "" {
			return "", false
		}
		name = lower
	}
	return "", false
}
