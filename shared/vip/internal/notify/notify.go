// Package notify runs commands when a virtual address changes hands: for each VIP in the order of its changes, one after
// the other, while VIPs do not wait for each other.
//
// A Runner keeps at most 16 changes of each VIP that wait; another pushes the oldest out, which is counted: the last
// change is what counts. A goroutine serves a VIP while it has changes, and ends with the last. Close lets what waits run
// until its context ends, and then kills.
//
// A command runs without a shell, in /, with an empty input, in a process group of its own that is killed when the command
// ends or its time is over. Its output is logged, the first 4 KiB; the rest is read and dropped.
package notify

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

const (
	queueLen  = 16      // changes of a VIP that wait
	maxOutput = 4 << 10 // bytes of a command's output
)

// Command is what is run.
type Command struct {
	Args    []string // the program's absolute path and its arguments
	Env     []string // beside PATH and LC_ALL
	Timeout time.Duration
}

// Change is what commands are run for.
type Change struct {
	Vip, State string
	Commands   []Command
}

// Options of a Runner.
type Options struct {
	Log zerolog.Logger
	// Ran, Failed and Dropped count: commands that ended well and not, changes that were pushed out. They may be called from
	// any goroutine and must not block.
	Ran, Failed, Dropped func(vip string)
	// Exec runs a command; nil: for real.
	Exec func(ctx context.Context, c Command) (output string, err error)
}

// Runner runs commands. Its methods are safe for concurrent use.
type Runner struct {
	opt    Options
	ctx    context.Context // ends all commands; a Runner is itself a lifetime
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex // guards what follows
	queues map[string][]Change
	closed bool
}

// New returns a Runner. Close it.
func New(o Options) *Runner {
	if o.Exec == nil {
		o.Exec = run
	}
	r := &Runner{opt: o, queues: map[string][]Change{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Add has the commands of a change run after those of earlier ones of the same VIP. It does not block.
func (r *Runner) Add(c Change) {
	if len(c.Commands) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	q, busy := r.queues[c.Vip]
	switch {
	case r.closed:
		r.opt.Dropped(c.Vip)
		return
	case len(q) >= queueLen:
		q = q[1:]
		r.opt.Dropped(c.Vip)
	}
	r.queues[c.Vip] = append(q, c)
	if !busy {
		r.wg.Go(func() { r.serve(c.Vip) })
	}
}

// serve runs a VIP's changes until none is left.
func (r *Runner) serve(vip string) {
	for {
		r.mu.Lock()
		q := r.queues[vip]
		if len(q) == 0 {
			delete(r.queues, vip)
			r.mu.Unlock()
			return
		}
		c := q[0]
		r.queues[vip] = q[1:]
		r.mu.Unlock()
		for i := range c.Commands {
			r.do(&c, &c.Commands[i])
		}
	}
}

func (r *Runner) do(c *Change, cmd *Command) {
	ctx, cancel := context.WithTimeout(r.ctx, cmd.Timeout)
	defer cancel()
	begin := time.Now()
	out, err := r.opt.Exec(ctx, *cmd)
	log := r.opt.Log.With().Str("vip", c.Vip).Str("state", c.State).Str("command", cmd.Args[0]).Dur("took", time.Since(begin)).Logger()
	if out != "" {
		log = log.With().Str("output", out).Logger()
	}
	if err != nil {
		r.opt.Failed(c.Vip)
		log.Warn().Err(err).Msg("a notify command failed")
		return
	}
	r.opt.Ran(c.Vip)
	log.Info().Msg("a notify command ran")
}

// Close takes no more changes, lets those that wait run until ctx ends, then kills, and returns when nothing runs any more.
func (r *Runner) Close(ctx context.Context) {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	defer context.AfterFunc(ctx, r.cancel)()
	r.wg.Wait()
	r.cancel()
}

// run starts the command and waits for it.
func run(ctx context.Context, c Command) (string, error) {
	if ctx.Err() != nil {
		return "", fault.Wrap(fault.Of(ctx.Err()), ctx.Err(), "not started")
	}
	var out output
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}, c.Env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 100 * time.Millisecond // for a process that left the group and holds the pipe
	if err := cmd.Start(); err != nil {
		return "", fault.Wrap(fault.Of(err), err, "start")
	}
	killed := awaitExit(ctx, cmd.Process.Pid)
	err := cmd.Wait()
	if killed {
		return out.text(), fault.Wrap(fault.Of(ctx.Err()), ctx.Err(), "killed")
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the command itself ended well
	}
	return out.text(), fault.Wrap(fault.Unavailable, err, "ended")
}

// awaitExit waits for the leader of the process group to exit or for ctx, then kills the whole group. The leader is left
// unreaped until the group is dead, so that its id cannot have become another's.
func awaitExit(ctx context.Context, pid int) (killed bool) {
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
	}()
	select {
	case <-exited:
	case <-ctx.Done():
		killed = true
	}
	_ = unix.Kill(-pid, unix.SIGKILL)
	<-exited
	return killed
}

// output keeps the first bytes, and takes the rest without keeping it, so that a talkative command does not block.
type output struct{ b []byte }

func (o *output) Write(p []byte) (int, error) {
	o.b = append(o.b, p[:min(len(p), maxOutput-len(o.b))]...)
	return len(p), nil
}

func (o *output) text() string { return strings.TrimSpace(strings.ToValidUTF8(string(o.b), "?")) }
