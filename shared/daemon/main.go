package daemon

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/everup/everup/shared/buildinfo"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/run"
	"github.com/spf13/cobra"
)

// Main is a daemon's main function: it runs the command line and returns the exit code.
func Main[C any](spec Spec[C]) int {
	return cli.Main(context.Background(), Command(spec))
}

// Command returns the daemon's command: `run` (also when no verb is given), check, config, status, reload, version, and the
// daemon's own verbs.
func Command[C any](spec Spec[C]) *cobra.Command {
	m := &mainFlags{}
	root := &cobra.Command{
		Use:     spec.Name,
		Short:   spec.Short,
		Args:    cobra.NoArgs,
		Version: buildinfo.Read().String(),
		RunE:    func(c *cobra.Command, _ []string) error { return runDaemon(c, spec, m) },
	}
	root.PersistentFlags().StringVarP(&m.path, "config", "c", ConfigPath(spec.Name), "configuration file")
	root.PersistentFlags().StringVar(&m.socket, "socket", "", "admin socket of the running daemon (default: what the configuration says)")
	socket := func() string { return adminSocket(spec, m) }
	root.AddCommand(runCommand(spec, m), checkCommand(spec, m), configCommand(spec, m, socket),
		statusCommand(spec.Name, socket), reloadCommand(spec.Name, socket), versionCommand())
	if spec.Upgrades {
		root.AddCommand(upgradeCommand(spec.Name, socket))
	}
	if spec.Commands != nil {
		root.AddCommand(spec.Commands(socket)...)
	}
	if spec.Amend != nil {
		spec.Amend(root)
	}
	return root
}

// mainFlags are the flags every verb shares.
type mainFlags struct {
	path   string
	socket string
	strict bool
}

// options returns how name's configuration is read: EVERUP_LBD_* overrides apply.
func options(name string) conf.Options {
	return conf.Options{EnvPrefix: "EVERUP_" + strings.ToUpper(name)}
}

// adminSocket returns where the running daemon listens: the flag, else the configuration as far as it can be read,
// else the default.
func adminSocket[C any](spec Spec[C], m *mainFlags) string {
	if m.socket != "" {
		return m.socket
	}
	return socketOf(spec.Name, spec.Common(salvage[C](m.path, options(spec.Name))).Admin)
}

func runCommand[C any](spec Spec[C], m *mainFlags) *cobra.Command {
	c := &cobra.Command{
		Use: "run", Short: "Run the daemon in the foreground", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runDaemon(c, spec, m) },
	}
	c.Flags().BoolVar(&m.strict, "strict", false, "refuse to start on a bad file even when a last good one is kept")
	return c
}

// runDaemon is the life of the process: read, open, supervise, stop.
func runDaemon[C any](c *cobra.Command, spec Spec[C], m *mainFlags) error {
	return live(c.Context(), func() (*Instance[C], error) {
		inst, err := boot(spec, m.path, options(spec.Name), m.strict, c.ErrOrStderr())
		if err == nil {
			inst.file = m.path
		}
		return inst, err
	}, m.path)
}

// Serve runs the daemon, as its command does, on a configuration that comes from load and not from everup's own command line: until a
// signal ends it, or ctx does. SIGUSR1 stops it as SIGTERM does. from says in the log where the configuration comes from; out gets the log.
// No configuration is put in place of one that load refuses.
func Serve[C any](ctx context.Context, spec Spec[C], load Loader[C], from string, out io.Writer) error {
	return live(ctx, func() (*Instance[C], error) {
		loaded, err := load()
		if err != nil {
			return nil, err
		}
		return New(spec, loaded, load, out)
	}, from, syscall.SIGUSR1)
}

// live makes an instance and supervises it. The signals in stop count as SIGTERM once it is there.
func live[C any](ctx context.Context, open func() (*Instance[C], error), from string, stop ...os.Signal) error {
	// From here on, for their default would kill a daemon that takes its time to start. SIGTERM keeps its default until there is
	// something to be put in order.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(signals)
	inst, err := open()
	if err != nil {
		return err
	}
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	taken, end := asTERM(signals, stop)
	defer end()
	inst.notify = run.NewNotifier()
	log := inst.Env().Log
	log.Info().Str("version", buildinfo.Read().Version).Int("pid", os.Getpid()).Str("config", from).Msg("starting")
	return run.Supervise(ctx, run.Life{
		Log: log, Notify: inst.notify,
		Serve: inst.Run, Ready: inst.Ready(), Healthy: inst.Healthy, Status: inst.StatusLine,
		Reload: func(ctx context.Context) error { _, err := inst.Reload(ctx); return err },
		Stop:   inst.StopSteps(), Signals: taken,
	})
}

// asTERM passes signals on, those in stop as SIGTERM, until end is called.
func asTERM(signals <-chan os.Signal, stop []os.Signal) (_ <-chan os.Signal, end func()) {
	if len(stop) == 0 {
		return signals, func() {}
	}
	out, done, gone := make(chan os.Signal, 16), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				if slices.Contains(stop, s) {
					s = syscall.SIGTERM
				}
				select {
				case out <- s:
				case <-done:
					return
				}
			}
		}
	}()
	return out, func() { close(done); <-gone }
}

func checkCommand[C any](spec Spec[C], m *mainFlags) *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Check the configuration: all errors with positions, exit code 78", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if _, err := readConfig[C](m.path, options(spec.Name)); err != nil {
				return err
			}
			c.Printf("%s: ok\n", m.path)
			return nil
		},
	}
}
