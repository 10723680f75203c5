package daemon

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/netio"
	"github.com/everup/everup/shared/state"
)

// Replaceable is a Service whose process can be replaced by one of a newer build while its connections live on.
type Replaceable interface {
	// StepAside gives up what only one process of the host can hold, when the successor serves, and returns what that is told: it is
	// what Predecessor.Await returns there. Of at most MaxTold bytes.
	StepAside(ctx context.Context) ([]byte, error)
	// Retire stops accepting, for the successor does on the same sockets, and returns when the connections have ended. Those that
	// have not when ctx ends are cut.
	Retire(ctx context.Context) error
}

// MaxTold bounds what a process tells its successor.
const MaxTold = 1 << 20

// Names of the files that are handed over beside the sockets.
const (
	fileLock = "state-lock"
	fileTold = "predecessor"
)

// preflightTime bounds the look of the new program at the configuration.
const preflightTime = 30 * time.Second

// UpgradeResult says who serves now.
type UpgradeResult struct {
	PID int `json:"pid"`
}

// upgrade is how far an Instance is with being replaced.
type upgrade struct {
	aside    context.Context // ends when gossip and bus are given up
	stepOut  context.CancelFunc
	outside  chan struct{} // closed when they have ended
	replaced context.Context
	handOver context.CancelFunc
}

func newUpgrade() upgrade {
	u := upgrade{outside: make(chan struct{})}
	u.aside, u.stepOut = context.WithCancel(context.Background())
	u.replaced, u.handOver = context.WithCancel(context.Background())
	return u
}

// Upgrade replaces this process by one of the program that is on disk now, with the same arguments, sockets and state. It returns when the successor
// serves; this process then lets its connections end and ends itself.
//
// The new program first checks the configuration: where that fails nothing has happened. Gossip, bus and the state directory are then given up,
// for both processes are the same member of the fleet, and the successor is started. If it does not become ready, this process's own program is
// started in the same way; if that fails too the daemon ends with an error, once its connections have ended.
func (i *Instance[C]) Upgrade(ctx context.Context) (UpgradeResult, error) {
	s, ok := i.service.(Replaceable)
	switch {
	case !ok || i.file == "":
		return UpgradeResult{}, fault.New(fault.Unsupported, "daemon: %s is upgraded by a restart", i.spec.Name)
	case i.floor.Net.Upgrading():
		return UpgradeResult{}, fault.New(fault.Unavailable, "daemon: upgrade: this process is not ready itself yet")
	}
	if err := i.beginReload(ctx); err != nil { // no reload from now on
		return UpgradeResult{}, err
	}
	if err := i.preflight(ctx); err != nil {
		<-i.reloading
		return UpgradeResult{}, err
	}
	ctx = context.WithoutCancel(ctx) // a caller who leaves does not cut it off half-way
	i.floor.Log.Info().Msg("upgrade: the program on disk is started")
	i.giveUpOutside()
	pid, err := i.succeed(ctx, s)
	err = fault.Wrap(fault.Of(err), err, "daemon: upgrade")
	if pid == 0 {
		i.fail(err)
	}
	return UpgradeResult{PID: pid}, err
}

// preflight has the new program check the configuration.
func (i *Instance[C]) preflight(ctx context.Context) error {
	path, err := os.Executable()
	if err != nil {
		return fault.Wrap(fault.Internal, err, "daemon: upgrade")
	}
	ctx, cancel := context.WithTimeout(ctx, preflightTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "check", "--config", i.file).CombinedOutput()
	return fault.Wrap(fault.Config, err, "daemon: upgrade: %s check: %s", path, strings.TrimSpace(string(out)))
}

// giveUpOutside ends bus and gossip without a word to the fleet: the successor is the same member.
func (i *Instance[C]) giveUpOutside() {
	i.floor.Bus.Emit("daemon-upgrading", "", nil)
	i.closeBus()
	i.up.stepOut()
	<-i.up.outside
}

// succeed starts the successor, in case of need from this process's own program, and hands over. An error with a pid says that it is the
// old program that serves.
func (i *Instance[C]) succeed(ctx context.Context, s Replaceable) (pid int, err error) {
	lock, err := i.floor.State.Lock()
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return 0, fault.Wrap(fault.Full, err, "pipe")
	}
	defer r.Close()
	defer w.Close()
	start := func(path string) (int, error) {
		u := netio.Upgrader{Set: i.floor.Net, Notify: i.notify, Path: path, Files: map[string]*os.File{fileLock: lock, fileTold: r}}
		return u.Upgrade(ctx)
	}
	if pid, err = start(""); err != nil {
		i.floor.Log.Error().Err(err).Msg("upgrade: the new program did not become ready; the old one is started in its place")
		var again error
		if pid, again = start("/proc/self/exe"); again != nil {
			return 0, errors.Join(err, again)
		}
		i.floor.Log.Warn().Int("pid", pid).Msg("upgrade: failed, a process of the old program has taken over")
		err = fault.Wrap(fault.Of(err), err, "the new program did not become ready; process %d of the old one serves", pid)
	}
	i.tell(ctx, s, w)
	i.up.handOver()
	return pid, err
}

// tellTime bounds what a service does to step aside.
const tellTime = 10 * time.Second

// tell has the service step aside and tells the successor, which goes on without knowledge if that fails.
func (i *Instance[C]) tell(ctx context.Context, s Replaceable, w *os.File) {
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	told, err := s.StepAside(ctx)
	if err == nil {
		w.SetWriteDeadline(time.Now().Add(tellTime))
		_, err = w.Write(told)
	}
	if err != nil {
		i.floor.Log.Error().Err(err).Msg("upgrade: the successor was not told all")
	}
}

// fail ends the daemon with an error.
func (i *Instance[C]) fail(err error) {
	i.mu.Lock()
	i.failed = err
	i.mu.Unlock()
	i.up.handOver()
}

// retire waits to be replaced, and then until the connections have ended.
func (i *Instance[C]) retire(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-i.up.replaced.Done():
	}
	defer i.stop()
	i.mu.Lock()
	failed := i.failed
	i.mu.Unlock()
	if failed != nil { // nobody accepts: the service manager is to start the daemon anew soon
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, i.floor.common.Limits.Drain.Std())
		defer cancel()
	}
	if err := i.service.(Replaceable).Retire(ctx); err != nil {
		i.floor.Log.Warn().Err(err).Msg("connections of the replaced process were cut")
	}
	return failed
}

// Predecessor is the process that this one takes the place of.
type Predecessor struct{ told *os.File }

// predecessor returns who was before this process, nil for nobody.
func predecessor(set *netio.Set) (*Predecessor, error) {
	f := set.TakeFile(fileTold)
	if f == nil {
		return nil, nil
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true) // before the file is made, so that reading it can be given up
	}
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "daemon: the pipe from the process before")
	}
	return &Predecessor{os.NewFile(uintptr(fd), fileTold)}, nil
}

// Await waits until the process before this one has stepped aside and returns what it says, nothing if it died or there is none. Call
// it once. An error says that ctx ended before.
func (p *Predecessor) Await(ctx context.Context) ([]byte, error) {
	if p == nil {
		return nil, nil
	}
	defer p.told.Close()
	defer context.AfterFunc(ctx, func() { p.told.SetReadDeadline(time.Unix(1, 0)) })()
	b, err := io.ReadAll(io.LimitReader(p.told, MaxTold))
	if ctx.Err() != nil {
		return nil, fault.Wrap(fault.Canceled, ctx.Err(), "daemon: wait for the process before")
	}
	if err != nil {
		return nil, nil // it died: whatever it said is not whole
	}
	return b, nil
}

// openStateDir opens the state directory, with the lock that the process before has handed over if there is one.
func openStateDir(set *netio.Set, path string) (*state.Dir, error) {
	if lock := set.TakeFile(fileLock); lock != nil {
		return state.Adopt(path, lock)
	}
	return state.Open(path)
}
