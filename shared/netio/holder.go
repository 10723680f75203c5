package netio

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	stateListen  = "0A" // TCP_LISTEN
	stateUnbound = "07" // TCP_CLOSE: how a UDP socket without peer is shown
)

// Holder tells which process has the address bound, as far as /proc shows it: of another user's processes only root, or a
// process with CAP_SYS_PTRACE, sees the sockets. Of several it names one. network is one that Listen or ListenPacket takes.
func Holder(network, addr string) (pid int, command string, ok bool) {
	stream := network == "unix" || strings.HasPrefix(network, "tcp")
	t, err := parseTarget(network, addr, stream)
	if err != nil {
		return 0, "", false
	}
	return t.holder()
}

func (t target) holder() (pid int, command string, ok bool) {
	inodes := t.inodes()
	if len(inodes) == 0 {
		return 0, "", false
	}
	return ownerOf(inodes)
}

// inodes returns the sockets that t would collide with.
func (t target) inodes() []string {
	if t.unix() {
		return scanTable("unix", t.unixInode)
	}
	proto := strings.TrimRight(t.network, "46")
	return append(scanTable(proto, t.inetInode), scanTable(proto+"6", t.inetInode)...)
}

// scanTable reads a table of the network name space this thread is in, and collects what pick finds in its lines.
func scanTable(table string, pick func(fields []string) (inode string, ok bool)) []string {
	f, err := os.Open("/proc/thread-self/net/" + table)
	if err != nil {
		return nil
	}
	defer f.Close()
	var inodes []string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if inode, ok := pick(strings.Fields(sc.Text())); ok {
			inodes = append(inodes, inode)
		}
	}
	return inodes
}

// unixInode picks from "Num RefCount Protocol Flags Type St Inode Path".
func (t target) unixInode(f []string) (string, bool) {
	return field(f, 6), len(f) >= 8 && f[7] == t.path && f[6] != "0"
}

// inetInode picks from "sl local_address rem_address st … inode".
func (t target) inetInode(f []string) (string, bool) {
	if len(f) < 10 || f[3] != stateListen && f[3] != stateUnbound {
		return "", false
	}
	local, ok := parseProcAddr(f[1])
	return f[9], ok && f[9] != "0" && t.collides(local)
}

func field(f []string, i int) string {
	if i >= len(f) {
		return ""
	}
	return f[i]
}

// collides tells whether a socket at a is in t's way.
func (t target) collides(a netip.AddrPort) bool {
	if int(a.Port()) != t.port {
		return false
	}
	ip := a.Addr().Unmap()
	if !t.ip.IsValid() || t.ip.IsUnspecified() || ip.IsUnspecified() {
		return true
	}
	return ip == t.ip.WithZone("")
}

// parseProcAddr reads "0100007F:1F90": groups of four bytes in the host's order, which is little-endian on every
// platform this builds for, and the port in hexadecimal.
func parseProcAddr(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	if err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	ip, ok := netip.AddrFromSlice(b)
	p, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(ip, uint16(p)), ok && err == nil
}

// ownerOf looks for a process with one of the sockets open.
func ownerOf(inodes []string) (pid int, command string, ok bool) {
	want := make(map[string]bool, len(inodes))
	for _, i := range inodes {
		want["socket:["+i+"]"] = true
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd") // the pattern is well formed
	for _, dir := range fds {
		if hasLink(dir, want) {
			pid, err := strconv.Atoi(strings.Split(dir, "/")[2])
			return pid, commandOf(pid), err == nil
		}
	}
	return 0, "", false
}

func hasLink(dir string, want map[string]bool) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false // gone, or another user's
	}
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		link, err := os.Readlink(filepath.Join(dir, e.Name()))
		return err == nil && want[link]
	})
}

// commandOf is the process's short name; its arguments might hold secrets.
func commandOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}
