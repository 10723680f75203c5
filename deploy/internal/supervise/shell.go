package supervise

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/logx"
)

// Command is how a child is run.
type Command struct {
	Child
	Path string
	Args []string
	Env  []string // nil means the supervisor's own
	Dir  string   // "" means the supervisor's own
	// Ready returns nil once the child may be used. It is asked again and again until then, with a context that ends with the
	// child's life.
	Ready func(ctx context.Context) error
}

// Group runs commands. Make it with New; Run may be called once.
type Group struct {
	cfg      Config
	machine  *Machine
	commands map[string]*running
	inputs   chan Input
	allReady chan struct{}
	stops    chan struct{}
	forks    chan func()
	wg       sync.WaitGroup
}

// Config is what New needs.
type Config struct {
	Commands []Command
	Timings  Timings
	LogDir   string // of the files <name>.log
	MaxLog   int64  // 0 means the constant MaxLog
	// Report is told, in one short line, what an operator wants to know of a child: its errors, its death. It must not block long.
	Report func(child, line string)
	// Restarted is told of each child that died and is back. It must not block.
	Restarted func(Restart)
}

// running is a command with what belongs to its present life.
type running struct {
	Command
	log *LogFile

	mu  sync.Mutex
	cmd *exec.Cmd // nil while it does not run
}

const (
	// askEvery is the pause between two questions whether a child is ready.
	askEvery = 20 * time.Millisecond
	// askFor bounds one question.
	askFor = time.Second
	// pipeDelay is how long a grandchild may hold a dead child's output open.
	pipeDelay = time.Second
	// reportEvery spaces the errors of one child that are reported.
	reportEvery = time.Second
)

// New opens the log files. Close is not needed: Run closes them.
func New(cfg Config) (*Group, error) {
	if cfg.MaxLog == 0 {
		cfg.MaxLog = MaxLog
	}
	g := &Group{
		cfg: cfg, commands: map[string]*running{}, inputs: make(chan Input), allReady: make(chan struct{}),
		stops: make(chan struct{}, 2), forks: make(chan func()),
	}
	throttle := logx.NewThrottle(reportEvery)
	var children []Child
	for _, c := range cfg.Commands {
		report := func(line string) {
			if ok, _ := throttle.Allow(c.Name); ok {
				cfg.Report(c.Name, line)
			}
		}
		log, err := OpenLog(filepath.Join(cfg.LogDir, c.Name+".log"), cfg.MaxLog, report)
		if err != nil {
			g.closeLogs()
			return nil, err
		}
		g.commands[c.Name] = &running{Command: c, log: log}
		children = append(children, c.Child)
	}
	g.machine = NewMachine(children, cfg.Timings)
	return g, nil
}

// Ready is closed when all children are ready for the first time.
func (g *Group) Ready() <-chan struct{} { return g.allReady }

// Stop asks for the orderly end, the second time for an end at once. It does not wait, and further calls do nothing.
func (g *Group) Stop() {
	select {
	case g.stops <- struct{}{}:
	default:
	}
}

// Pid returns the process id of a child, 0 while it does not run.
func (g *Group) Pid(name string) int {
	r := g.commands[name]
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		return 0
	}
	return r.cmd.Process.Pid
}

// Failed returns the name of the child that ended the start, "" where none did. It is known once Run has returned.
func (g *Group) Failed() string { return g.machine.failed }

// Tail returns the last lines that a child has written.
func (g *Group) Tail(name string) string {
	if r := g.commands[name]; r != nil {
		return r.log.Tail()
	}
	return ""
}

// Run starts the children and keeps them until Stop, the end of ctx (which counts as one Stop), or a child that does not
// come up at the first start. It returns when none runs any more: nil after an orderly stop.
func (g *Group) Run(ctx context.Context) error {
	defer g.closeLogs()
	defer g.wg.Wait()
	defer close(g.forks)
	g.wg.Go(g.forker)
	done := ctx.Done()
	for in := (Input{}); ; {
		if ended := g.apply(g.machine.Step(time.Now(), in)); ended {
			return g.machine.Err()
		}
		timer := g.timer()
		select {
		case in = <-g.inputs:
		case <-g.stops:
			in = Input{Kind: Stop}
		case <-done:
			in, done = Input{Kind: Stop}, nil
		case <-timer.C:
			in = Input{}
		}
		timer.Stop()
	}
}

func (g *Group) timer() *time.Timer {
	next := g.machine.Next()
	if next.IsZero() {
		return time.NewTimer(time.Hour)
	}
	return time.NewTimer(time.Until(next))
}

// apply does the effects and reports whether nothing runs any more.
func (g *Group) apply(effects []Effect) (ended bool) {
	for _, e := range effects {
		switch r := g.commands[e.Child]; e.Kind {
		case Spawn:
			g.spawn(r, e.Life)
		case Terminate:
			r.signal(syscall.SIGTERM)
		case Kill:
			r.signal(syscall.SIGKILL)
		case Died:
			g.cfg.Report(e.Child, "ended ("+e.Restart.Exit+"), will be started again")
		case Restarted:
			g.cfg.Report(e.Child, "is back "+e.Restart.After.Round(time.Millisecond).String()+" after it ended ("+e.Restart.Exit+")")
			g.cfg.Restarted(e.Restart)
		case AllReady:
			close(g.allReady)
		case End:
			return true
		}
	}
	return false
}

// forker starts the children from one thread that lives as long as the group: the kernel sends a child its death signal when
// the thread that made it ends, not the process.
func (g *Group) forker() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for f := range g.forks {
		f()
	}
}

// spawn starts a life of r and the goroutine that watches it.
func (g *Group) spawn(r *running, life int) {
	cmd := exec.Command(r.Path, r.Args...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = r.Env, r.Dir, pipeDelay
	cmd.Stdout = r.log
	cmd.Stderr = r.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	g.forks <- func() { started <- cmd.Start() }
	err := <-started
	ctx, cancel := context.WithCancel(context.Background())
	if err == nil {
		r.set(cmd)
	}
	g.wg.Go(func() {
		defer cancel()
		exit := "not started: "
		if err == nil {
			var asking sync.WaitGroup
			asking.Go(func() { g.askReady(ctx, r, life) })
			exit = waitFor(cmd)
			r.set(nil)
			cancel()
			asking.Wait()
		} else {
			exit += err.Error()
		}
		g.inputs <- Input{Kind: Exited, Child: r.Name, Life: life, Exit: exit, Rand: rand.Float64()}
	})
}

// waitFor waits for the end and says what it was.
func waitFor(cmd *exec.Cmd) string {
	cmd.Wait() // how it ended is in ProcessState
	st := cmd.ProcessState
	if ws, ok := st.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return "signal: " + ws.Signal().String()
	}
	return "exit code " + strconv.Itoa(st.ExitCode())
}

// askReady asks the child until it is ready or its life ends.
func (g *Group) askReady(ctx context.Context, r *running, life int) {
	for ctx.Err() == nil {
		ask, cancel := context.WithTimeout(ctx, askFor)
		err := r.Ready(ask)
		cancel()
		if err == nil {
			select {
			case g.inputs <- Input{Kind: Ready, Child: r.Name, Life: life}:
			case <-ctx.Done():
			}
			return
		}
		select {
		case <-time.After(askEvery):
		case <-ctx.Done():
		}
	}
}

func (r *running) set(cmd *exec.Cmd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cmd = cmd
}

// signal signals the child; SIGKILL goes to its whole group. Between a child's death and the moment its watcher tells of it
// the signal meets nobody, which is no error.
func (r *running) signal(sig syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		return
	}
	if sig == syscall.SIGKILL {
		syscall.Kill(-r.cmd.Process.Pid, sig)
	}
	r.cmd.Process.Signal(sig)
}

func (g *Group) closeLogs() {
	for _, r := range g.commands {
		r.log.Close() // nothing is kept in memory that closing could lose
	}
}

// CheckBinary returns fault.NotFound unless path is a file that can be run.
func CheckBinary(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return fault.Wrap(fault.NotFound, err, "supervise: program")
	}
	if st.IsDir() || st.Mode()&0o111 == 0 {
		return fault.New(fault.NotFound, "supervise: %s cannot be run", path)
	}
	return nil
}
