// Package footprint measures what a daemon at rest costs: the time from exec to READY=1, its resident memory, its CPU time,
// and the size of its binary.
package footprint

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/everup/everup/shared/fault"
)

// names returns the names of the binaries measured, in the order in which a fleet starts them.
func names() []string { return []string{"lbd", "dnsd", "cached", "storaged", "logd"} }

// Sample is one daemon's figures of one run.
type Sample struct {
	Daemon string
	Ready  time.Duration // from exec to READY=1
	RSS    int64         // bytes, after Rest
	CPU    time.Duration // user and system time used during Rest, scaled to a second
	Binary int64         // bytes
}

// Options of a run.
type Options struct {
	Bin   string        // directory of the binaries
	Fleet bool          // as members of one fleet with gossip, TLS and the embedded bus; else each alone
	Rest  time.Duration // how long the daemons rest before they are looked at
}

// Run starts the five daemons, lets them rest, and returns a sample of each. Everything it starts has ended when it returns.
func Run(ctx context.Context, o Options) ([]Sample, error) {
	dir, err := os.MkdirTemp("", "everup-rest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ports, err := freePorts(12)
	if err != nil {
		return nil, err
	}
	var procs []*proc
	defer func() {
		for _, p := range procs {
			p.end()
		}
	}()
	for i, name := range names() {
		file, err := writeConfig(dir, name, i, ports, o.Fleet)
		if err != nil {
			return nil, err
		}
		p, err := start(ctx, dir, filepath.Join(o.Bin, name), file)
		if err != nil {
			return nil, err
		}
		procs = append(procs, p)
	}
	return rest(ctx, procs, o.Rest)
}

// rest lets the daemons settle, then measures over the second half of d.
func rest(ctx context.Context, procs []*proc, d time.Duration) ([]Sample, error) {
	if err := wait(ctx, d/2); err != nil {
		return nil, err
	}
	before := make([]time.Duration, len(procs))
	for i, p := range procs {
		before[i] = p.cpu()
	}
	if err := wait(ctx, d/2); err != nil {
		return nil, err
	}
	var out []Sample
	for i, p := range procs {
		st, err := os.Stat(p.path)
		if err != nil {
			return nil, err
		}
		out = append(out, Sample{
			Daemon: filepath.Base(p.path), Ready: p.ready, RSS: p.rss(), Binary: st.Size(),
			CPU: time.Duration(float64(p.cpu()-before[i]) / (d / 2).Seconds()),
		})
	}
	return out, nil
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// freePorts returns n ports of loopback that were free a moment ago.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// writeConfig writes the smallest configuration under which the daemon serves.
func writeConfig(dir, name string, i int, ports []int, fleet bool) (string, error) {
	at := func(n int) string { return "127.0.0.1:" + strconv.Itoa(ports[n]) }
	var b strings.Builder
	fmt.Fprintf(&b, "node: rest\nstate: %[1]s/%[2]s.state\nadmin: {socket: %[1]s/%[2]s.sock}\n", dir, name)
	if fleet {
		fmt.Fprintf(&b, "cluster: {fleet: rest, listen: '%s', join: ['%s'], secrets: [0123456789abcdef0123456789]}\nbus: {listen: '%s', routes: '%s'}\n",
			at(i), at(0), at(10), at(11))
	}
	switch name {
	case "lbd":
		fmt.Fprintf(&b, "listen: ['%s']\nroutes: [{path: /, pool: web}]\npools: {web: {members: [{addr: '127.0.0.1:9'}]}}\n", at(5))
	case "storaged":
		fmt.Fprintf(&b, "listen: '%s'\ndir: %s/objects\n", at(5+i), dir)
	case "logd":
		fmt.Fprintf(&b, "listen: {udp: ['%[1]s'], tcp: ['%[1]s']}\ndir: %[2]s/logs\n", at(5+i), dir)
	default:
		fmt.Fprintf(&b, "listen: ['%s']\n", at(5+i))
	}
	file := filepath.Join(dir, name+".yaml")
	return file, os.WriteFile(file, []byte(b.String()), 0o600)
}

// proc is a daemon that is ready.
type proc struct {
	cmd   *exec.Cmd
	path  string
	ready time.Duration
}

// startLimit bounds the wait for READY=1.
const startLimit = 15 * time.Second

// start runs the daemon as systemd would (Type=notify) and waits until it says READY=1.
func start(ctx context.Context, dir, path, config string) (*proc, error) {
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, filepath.Base(path)+".notify"), Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer notify.Close()
	cmd := exec.CommandContext(ctx, path, "run", "-c", config)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify.LocalAddr().String())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log strings.Builder
	cmd.Stderr = &log
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &proc{cmd: cmd, path: path}
	notify.SetReadDeadline(began.Add(startLimit))
	buf := make([]byte, 4096)
	for {
		n, err := notify.Read(buf)
		if err != nil {
			p.end()
			return nil, fault.Wrap(fault.Timeout, err, "footprint: %s was not ready: %s", path, log.String())
		}
		if slices.Contains(strings.Split(string(buf[:n]), "\n"), "READY=1") {
			p.ready = time.Since(began)
			return p, nil
		}
	}
}

// end stops the daemon in order, by force when that takes long.
func (p *proc) end() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	t := time.AfterFunc(10*time.Second, func() { p.cmd.Process.Kill() })
	defer t.Stop()
	p.cmd.Wait()
}

// rss returns the resident memory (proc_pid_status(5), VmRSS).
func (p *proc) rss() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	f := strings.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(f[0], 10, 64)
	return kib << 10
}

// userHZ is the unit of the times in /proc/<pid>/stat on Linux.
const userHZ = 100

// cpu returns user and system time so far (proc_pid_stat(5), fields 14 and 15).
func (p *proc) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * time.Second / userHZ
}

// Medians returns, for each daemon, the median of each figure over the runs.
func Medians(runs [][]Sample) []Sample {
	out := slices.Clone(runs[0])
	for i := range out {
		out[i].Ready = median(runs, i, func(s Sample) time.Duration { return s.Ready })
		out[i].RSS = median(runs, i, func(s Sample) int64 { return s.RSS })
		out[i].CPU = median(runs, i, func(s Sample) time.Duration { return s.CPU })
	}
	return out
}

func median[T int64 | time.Duration](runs [][]Sample, i int, of func(Sample) T) T {
	var all []T
	for _, r := range runs {
		all = append(all, of(r[i]))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
