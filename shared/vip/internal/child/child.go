// Package child starts a VRRP child process, speaks with it, and notices when it is of no use any more.
//
// A Process is one life of it, from Start to Done. It owns four goroutines: one waits for the process, one reads its
// messages, one writes to it, one logs its stderr. Send queues at most 64 batches of messages and never blocks. A child is
// killed when the queue is full, when a batch cannot be written within a second, when it has left bytes unread in five looks in
// a row (a second, in which this process ran too: one that was itself frozen finds all that the child has read meanwhile),
// when it says something that is no message, and when it closes the socket without ending. Whoever kills a child finds the
// virtual addresses where they were, for the next child to adopt.
//
// The child is this process's own binary, also if the file has been replaced since: another version might not understand. It has the
// socket as descriptor 3 and no other, a process group of its own, so that a terminal's ^C does not reach it, and an environment
// without this process's secrets and sockets. It is not tied to this process by a signal at its parent's death: it is to live long enough to
// give the addresses up, and learns from the end of the socket, and by a pidfd, that it is to.
package child

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

const (
	// queueLen bounds the batches that wait to be written.
	queueLen = 64
	// writeTimeout is how long a batch may take, and about how long bytes may lie unread.
	writeTimeout = time.Second
	// lookEvery is the time between looks for unread bytes, maxUnread how many of them in a row may find some.
	lookEvery = 250 * time.Millisecond
	maxUnread = 4
	// drainTime is how long a dead child's last words are waited for.
	drainTime = time.Second
)

// self is the running binary itself, whatever lies now where it was started from.
const self = "/proc/self/exe"

// Options of a Process.
type Options struct {
	Args []string // the command line, its first element the name that the process shows
	Env  []string // of the environment, beside PATH and what the Go runtime reads
	Log  zerolog.Logger
	// Got is called for each message, one at a time; it must not block for long. It may keep the message.
	Got func(*wire.Message)
}

// Process is a running child, or one that has ended. Safe for concurrent use.
type Process struct {
	opt   Options
	cmd   *exec.Cmd
	conn  *os.File // our end of the socket
	queue chan []byte
	done  chan struct{}
	gone  chan struct{} // closed when the process has ended: nothing is to be written any more
	wg    sync.WaitGroup

	mu     sync.Mutex
	why    error // the first reason to kill it
	killed bool
	err    error // set before done is closed
}

// Start starts the child. The error is fault.Full where the system lacks processes, descriptors or memory, else of
// the system's own class.
func Start(o Options) (*Process, error) {
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	words, stderr, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(startError(err), ours.Close())
	}
	defer stderr.Close()
	p := &Process{
		opt: o, conn: ours,
		cmd: &exec.Cmd{
			Path: self, Args: o.Args, Env: environment(o.Env), Dir: "/", Stderr: stderr,
			ExtraFiles:  []*os.File{theirs},
			SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
		},
		queue: make(chan []byte, queueLen), done: make(chan struct{}), gone: make(chan struct{}),
	}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(startError(err), ours.Close(), words.Close())
	}
	p.wg.Go(p.read)
	p.wg.Go(p.write)
	p.wg.Go(func() { logLines(o.Log, words) })
	go p.wait(words) // owned by done, for which whoever started the Process waits
	return p, nil
}

// socketpair returns two ends, none of which another child inherits; ours is non-blocking, so that it has deadlines.
func socketpair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, startError(err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, errors.Join(startError(err), unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[0]), "vrrp"), os.NewFile(uintptr(fds[1]), "vrrp-child"), nil
}

func startError(err error) error {
	class := fault.Of(err)
	for _, full := range []error{unix.EAGAIN, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS} {
		if errors.Is(err, full) {
			class = fault.Full
		}
	}
	return fault.Wrap(class, err, "vip: start the VRRP process")
}

// environment is what the child gets of ours.
func environment(more []string) []string {
	out := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, name := range []string{"GOTRACEBACK", "GORACE", "GOCOVERDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			out = append(out, name+"="+v)
		}
	}
	return append(out, more...)
}

// PID returns the process's id. It is another's when the Process is done.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Send queues messages, which are written together. fault.Full: a message is too large, or the queue is full, and then the
// child is killed. fault.Unavailable: it has ended.
func (p *Process) Send(ms ...*wire.Message) error {
	var b []byte
	var err error
	for _, m := range ms {
		if b, err = wire.Append(b, m); err != nil {
			return err
		}
	}
	select {
	case <-p.gone:
		return fault.New(fault.Unavailable, "vip: the VRRP process has ended")
	default:
	}
	select {
	case p.queue <- b:
		return nil
	default:
		err := fault.New(fault.Full, "vip: %d messages wait for the VRRP process", queueLen)
		p.Kill(err)
		return err
	}
}

// Kill ends the process at once; why is what Err will say, if it is the first reason. The addresses stay as they are.
func (p *Process) Kill(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.why == nil {
		p.why = why
	}
	p.killLocked()
}

// killLocked sends the signal at most once, and only while the id is surely the child's.
func (p *Process) killLocked() {
	if p.killed {
		return
	}
	p.killed = true
	_ = p.cmd.Process.Kill() // os.ErrProcessDone: it has ended already
}

// Hangup closes our end of the socket: the child gives up all addresses and ends.
func (p *Process) Hangup() { p.conn.Close() }

// Done is closed when the process has ended and all it wrote has been read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says why the process ended, nil if it did so in order. It is valid once Done is closed.
func (p *Process) Err() error { return p.err }

// wait reaps the process and ends the goroutines.
func (p *Process) wait(words *os.File) {
	err := p.cmd.Wait()
	close(p.gone)
	deadline := time.Now().Add(drainTime)
	_ = words.SetReadDeadline(deadline) // a pipe has deadlines
	_ = p.conn.SetReadDeadline(deadline)
	p.wg.Wait()
	p.conn.Close()
	words.Close()
	p.mu.Lock()
	why := p.why
	p.mu.Unlock()
	if err != nil {
		p.err = fault.Wrap(fault.Unavailable, err, "vip: the VRRP process ended")
		if why != nil {
			p.err = why
		}
	}
	close(p.done)
}

// read takes what the child says.
func (p *Process) read() {
	var r wire.Reader
	buf := make([]byte, 64<<10)
	for {
		n, err := p.conn.Read(buf)
		if n > 0 {
			if err := r.Feed(buf[:n], func(m *wire.Message) error { p.opt.Got(m); return nil }); err != nil {
				p.Kill(fault.Wrap(fault.Invalid, err, "vip: the VRRP process said something that is no message"))
				return
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			p.closed()
			return
		default:
			return // the process has ended, or Hangup
		}
	}
}

// closed gives a child that has closed the socket a moment to end.
func (p *Process) closed() {
	t := time.NewTimer(drainTime)
	defer t.Stop()
	select {
	case <-p.gone:
	case <-t.C:
		p.Kill(fault.New(fault.Unavailable, "vip: the VRRP process closed its socket and did not end"))
	}
}

// write hands the queue to the socket, and looks whether the child reads.
func (p *Process) write() {
	look := time.NewTimer(time.Hour)
	look.Stop()
	defer look.Stop()
	looking, unread := false, 0
	for {
		select {
		case <-p.gone:
			return
		case b := <-p.queue:
			_ = p.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := p.conn.Write(b); err != nil {
				p.writeFailed(err)
				return
			}
			if !looking {
				looking = true
				look.Reset(lookEvery)
			}
		case <-look.C:
			if !p.hasUnread() {
				looking, unread = false, 0
				continue
			}
			if unread++; unread > maxUnread {
				p.Kill(stuck())
				return
			}
			look.Reset(lookEvery)
		}
	}
}

func (p *Process) writeFailed(err error) {
	switch {
	case errors.Is(err, os.ErrClosed): // Hangup
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.Kill(stuck())
	default:
		p.Kill(fault.Wrap(fault.Unavailable, err, "vip: write to the VRRP process"))
	}
}

func stuck() error {
	return fault.New(fault.Timeout, "vip: the VRRP process has not read for %v, and was killed", writeTimeout)
}

// hasUnread reports whether the child has left bytes in the socket.
func (p *Process) hasUnread() bool {
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	if raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) != nil || err != nil {
		return false
	}
	return n > 0
}
