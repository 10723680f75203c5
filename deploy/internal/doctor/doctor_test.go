package doctor

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fake is a System that is well unless told otherwise.
type fake struct {
	files    map[string]string
	links    map[string]string
	features map[string]error
	clock    Clock
	limits   map[string]uint64
	disk     Disk
	fsync    time.Duration
	fsyncErr error
	host     string
	addrs    []string
	zone     error
	systemd  string
}

var _ System = (*fake)(nil)

func healthy() *fake {
	return &fake{
		files: map[string]string{
			"/proc/sys/net/core/somaxconn": "4096\n", "/proc/sys/net/core/rmem_max": "8388608\n", "/proc/sys/net/core/wmem_max": "8388608\n",
			"/proc/sys/net/ipv4/ip_local_port_range": "15000\t60999\n", "/proc/sys/net/ipv4/ping_group_range": "0\t2147483647\n",
			"/proc/sys/net/ipv4/ip_nonlocal_bind": "0\n", "/proc/sys/net/ipv4/conf/all/arp_ignore": "1\n",
			"/proc/sys/net/ipv4/conf/all/arp_announce": "2\n", "/proc/sys/net/ipv4/tcp_migrate_req": "1\n",
			"/proc/sys/vm/overcommit_memory": "0\n", "/proc/sys/vm/swappiness": "10\n",
			"/proc/sys/fs/file-max": "9223372036854775807\n",
			"/proc/self/cgroup":     "0::/system.slice\n", "/sys/fs/cgroup/system.slice/memory.max": "max\n", "/sys/fs/cgroup/system.slice/cpu.max": "max 100000\n",
		},
		clock: Clock{Synchronized: true}, limits: map[string]uint64{"nofile": 1 << 20, "memlock": Unlimited},
		disk: Disk{Free: 50 << 30, Total: 100 << 30, FreeFiles: 900, Files: 1000}, fsync: time.Millisecond,
		host: "web1", addrs: []string{"10.0.0.1"}, systemd: "systemd 252 (252.39-1~deb12u1)",
	}
}

func (f *fake) ReadFile(name string) ([]byte, error) {
	s, ok := f.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(s), nil
}

func (f *fake) ReadDir(name string) ([]string, error) {
	var out []string
	for _, tree := range []map[string]string{f.links, f.files} {
		for path := range maps.Keys(tree) {
			rest, ok := strings.CutPrefix(path, name+"/")
			if first, _, _ := strings.Cut(rest, "/"); ok && !slices.Contains(out, first) {
				out = append(out, first)
			}
		}
	}
	return out, nil
}

func (f *fake) Readlink(name string) (string, error) { return f.links[name], nil }
func (f *fake) Feature(name string) error            { return f.features[name] }
func (f *fake) Clock() (Clock, error)                { return f.clock, nil }
func (f *fake) Limit(name string) (uint64, error)    { return f.limits[name], nil }
func (f *fake) Disk(string) (Disk, error)            { return f.disk, nil }
func (f *fake) Fsync(string) (time.Duration, error)  { return f.fsync, f.fsyncErr }
func (f *fake) Hostname() (string, error)            { return f.host, nil }
func (f *fake) Zone(string) error                    { return f.zone }

func (f *fake) Resolve(context.Context, string) ([]string, error) { return f.addrs, nil }
func (f *fake) Systemd(context.Context) (string, error)           { return f.systemd, nil }

func TestFindings(t *testing.T) {
	subject := Subject{Listeners: []Listener{{"lbd", "listen", "tcp", 8080, false}, {"lbd", "bus.listen", "tcp", 4222, true}}, StateDirs: []string{"/s"}}
	f := func(breakIt func(*fake), want ...string) {
		t.Helper()
		s := healthy()
		breakIt(s)
		got := []string{}
		for _, x := range Run(t.Context(), s, subject) {
			got = append(got, string(x.Level)+" "+x.ID)
			if x.What == "" || x.Why == "" {
				t.Errorf("%s says too little: %+v", x.ID, x)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if d := cmp.Diff(want, got, cmp.Transformer("nil", func(s []string) string { return strings.Join(s, "\n") })); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
	}
	set := func(name, value string) func(*fake) {
		return func(s *fake) { s.files["/proc/sys/"+strings.ReplaceAll(name, ".", "/")] = value }
	}
	f(func(*fake) {})
	f(set("net.core.somaxconn", "128"), "warn sysctl.somaxconn")
	f(set("net.core.rmem_max", "212992"), "warn sysctl.rmem_max")
	f(set("net.core.wmem_max", "212992"), "notice sysctl.wmem_max")
	f(set("net.ipv4.ip_local_port_range", "40000 50000"), "warn sysctl.ip_local_port_range")
	f(set("net.ipv4.ping_group_range", "1 0"), "notice sysctl.ping_group_range")
	f(set("net.ipv4.ip_nonlocal_bind", "1"), "notice sysctl.ip_nonlocal_bind")
	f(set("net.ipv4.conf.all.arp_ignore", "0"), "notice sysctl.arp_ignore")
	f(set("net.ipv4.conf.all.arp_announce", "0"), "notice sysctl.arp_announce")
	f(set("net.ipv4.tcp_migrate_req", "0"), "notice sysctl.tcp_migrate_req")
	f(set("vm.overcommit_memory", "2"), "warn sysctl.overcommit_memory")
	f(set("vm.swappiness", "100"), "notice sysctl.swappiness")
	f(set("fs.file-max", "1000"), "warn sysctl.file-max")
	f(func(s *fake) { clear(s.files) }) // a machine that tells nothing has no findings of this kind
	f(func(s *fake) { s.features = map[string]error{"memfd": errors.New("no"), "bpf": errors.New("no")} }, "fail kernel.memfd", "notice kernel.bpf")
	f(func(s *fake) { s.clock = Clock{} }, "warn clock.unsynchronized")
	f(func(s *fake) { s.clock.Offset = -time.Second }, "warn clock.offset")
	f(func(s *fake) { s.limits = map[string]uint64{"nofile": 1024, "memlock": 65536} }, "warn limit.nofile", "notice limit.memlock")
	f(func(s *fake) { s.zone = errors.New("no") }, "notice zone.data")
	f(func(s *fake) { s.files["/sys/fs/cgroup/system.slice/memory.max"] = "134217728\n" }, "warn cgroup.memory")
	f(func(s *fake) { s.files["/sys/fs/cgroup/system.slice/cpu.max"] = "10000 100000\n" }, "warn cgroup.cpu")
	f(func(s *fake) { s.disk.Free = 1 << 20 }, "warn disk.free")
	f(func(s *fake) { s.disk.FreeFiles = 1 }, "warn disk.inodes")
	f(func(s *fake) { s.fsync = time.Second }, "warn disk.fsync")
	f(func(s *fake) { s.fsyncErr = fs.ErrPermission }, "fail disk.write")
	f(func(s *fake) { s.host = "localhost" }, "warn name.none")
	f(func(s *fake) { s.addrs = nil }, "notice name.unresolved")
	f(func(s *fake) { s.systemd = "systemd 247 (247)" }, "warn systemd.old")

	listen := func(s *fake, port, comm string) {
		s.files["/proc/net/tcp"] = "  sl  local_address rem_address st\n   0: 0100007F:" + port + " 00000000:0000 0A 0:0 0:0 0 0 0 4242 1\n"
		s.links = map[string]string{"/proc/17/fd/3": "socket:[4242]"}
		s.files["/proc/17/comm"] = comm + "\n"
	}
	f(func(s *fake) { listen(s, "1F90", "nginx") }, "fail port.tcp.8080")
	f(func(s *fake) { listen(s, "1F90", "lbd") })
	f(func(s *fake) { listen(s, "107E", "logd") }) // the bus: another daemon serves it
	f(func(s *fake) { listen(s, "107E", "nats-server") }, "fail port.tcp.4222")
}

func TestReadConfigs(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ReadConfigs(dir); err == nil {
		t.Error("an empty directory is accepted")
	}
	write("logd.yaml", "state: "+dir+"\nlisten:\n  udp: [\"127.0.0.1:514\", 127.0.0.1:515]\n")
	write("storaged.yaml", "listen: 127.0.0.1:99\ncluster:\n  fleet: x\nadmin:\n  http: 127.0.0.1:7000\n")
	write("cached.yaml", "listen: [\"tls:10.0.0.1:11212\", \"tag[a]:mtls:[::1]:11213\", \"proto[ascii]::11214\", \"unix:/run/x\"]\nudp:\nresp: {}\n")
	got, err := ReadConfigs(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := Subject{StateDirs: []string{dir}, Listeners: []Listener{
		{"cached", "listen", "tcp", 11212, false}, {"cached", "listen", "tcp", 11213, false}, {"cached", "listen", "tcp", 11214, false},
		{"cached", "udp.listen", "udp", 11211, false}, {"cached", "resp.listen", "tcp", 6379, false},
		{"storaged", "admin.http", "tcp", 7000, false}, {"storaged", "cluster.listen", "tcp", 7944, false}, {"storaged", "cluster.listen", "udp", 7944, false},
		{"storaged", "bus.listen", "tcp", 4222, true}, {"storaged", "bus.routes", "tcp", 6222, true}, {"storaged", "listen", "tcp", 99, false},
		{"logd", "listen.udp", "udp", 514, false}, {"logd", "listen.udp", "udp", 515, false}, {"logd", "listen.tcp", "tcp", 1514, false},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	write("cached.yaml", "memory: 1GiB\n")
	if got, err = ReadConfigs(dir); err != nil || len(got.Listeners) < 1 {
		t.Fatal(got, err)
	}
	if d := cmp.Diff([]Listener{{"cached", "listen", "tcp", 11211, false}}, got.Listeners[:1]); d != "" || got.Listeners[1].Daemon == "cached" {
		t.Errorf("cached without sections udp and resp (-want +got)\n%s%v", d, got.Listeners)
	}
}

// TestMachine runs every check on the real machine, whatever it finds.
func TestMachine(t *testing.T) {
	m := Machine{}
	for _, name := range []string{"epoll", "memfd", "reuseport"} {
		if err := m.Feature(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, err := m.Limit("nofile"); err != nil || n < 256 {
		t.Errorf("limit %d, %v", n, err)
	}
	dir := t.TempDir()
	if d, err := m.Disk(dir); err != nil || d.Total == 0 || d.Free > d.Total {
		t.Errorf("disk %+v, %v", d, err)
	}
	if took, err := m.Fsync(dir); err != nil || took <= 0 {
		t.Errorf("fsync %v, %v", took, err)
	}
	for _, f := range Run(t.Context(), m, Subject{StateDirs: []string{dir}}) {
		t.Logf("%s %s: %s", f.Level, f.ID, f.What)
	}
}
