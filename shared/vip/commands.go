package vip

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/fault"
	"github.com/spf13/cobra"
)

// Commands returns the verbs of a daemon's command line: vip, and the hidden vrrp, which is the VRRP process. socket returns the
// admin socket to talk to.
func Commands(socket func() string) []*cobra.Command {
	root := &cobra.Command{Use: "vip", Short: "Show virtual addresses; hand them over, take them, release and resume them"}
	root.AddCommand(
		listCommand(socket), statusCommand(socket),
		actCommand(socket, "switch-over VIP", "Give a VIP to a peer, and stay as backup", cobra.ExactArgs(1)),
		actCommand(socket, "take-over VIP", "Take a VIP from the peer that holds it", cobra.ExactArgs(1)),
		actCommand(socket, "release [VIP]", "Give a VIP, or all, away and take no part until resume, also after a restart", cobra.MaximumNArgs(1)),
		actCommand(socket, "resume [VIP]", "Let a released VIP, or all, take part again", cobra.MaximumNArgs(1)),
	)
	process := &cobra.Command{
		Use: "vrrp", Short: "The process that holds virtual addresses; the daemon runs it", Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return Child() },
	}
	return []*cobra.Command{root, process}
}

func listCommand(socket func() string) *cobra.Command {
	var out cli.Output
	c := &cobra.Command{
		Use: "list", Short: "Show the virtual addresses and who holds them", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := fetch(c, socket())
			if err != nil {
				return err
			}
			return out.Print(c.OutOrStdout(), s, func() *cli.Table { return listTable(s.VIPs) })
		},
	}
	out.Bind(c)
	return c
}

func statusCommand(socket func() string) *cobra.Command {
	var out cli.Output
	c := &cobra.Command{
		Use: "status [VIP]", Short: "Show a VIP, or all, and the VRRP process in full", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := fetch(c, socket())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if s.VIPs, err = only(s.VIPs, args[0]); err != nil {
					return err
				}
			}
			return out.Print(c.OutOrStdout(), s, func() *cli.Table { return statusTable(s) })
		},
	}
	out.Bind(c)
	return c
}

func fetch(c *cobra.Command, socket string) (s Status, err error) {
	err = admin.Dial(socket).Do(c.Context(), "GET", "/v1/vips", nil, &s)
	return s, err
}

func only(all []VIPStatus, name string) ([]VIPStatus, error) {
	i := slices.IndexFunc(all, func(v VIPStatus) bool { return v.Name == name })
	if i < 0 {
		return nil, fault.New(fault.NotFound, "there is no VIP %q", name)
	}
	return all[i : i+1], nil
}

// actCommand does something with one VIP, or with all of them one after the other.
func actCommand(socket func() string, use, short string, args cobra.PositionalArgs) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: args}
	verb := c.Name()
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			s, err := fetch(c, socket())
			if err != nil {
				return err
			}
			for _, v := range s.VIPs {
				args = append(args, v.Name)
			}
		}
		client := admin.Dial(socket())
		defer client.Close()
		all := make([]VIPStatus, len(args))
		for i, name := range args {
			if err := client.Do(c.Context(), "POST", "/v1/vips/"+url.PathEscape(name)+"/"+verb, nil, &all[i]); err != nil {
				return err
			}
		}
		return listTable(all).Write(c.OutOrStdout(), true)
	}
	return c
}

// listTable shows VIPs to people, one a line.
func listTable(all []VIPStatus) *cli.Table {
	t := cli.NewTable("VIP", "STATE", "PRIORITY", "INTERFACE", "VRID", "SINCE", "ADDRESSES")
	for _, v := range all {
		t.Row(v.Name, v.text(), v.Priority, v.Interface, v.VRID, moment(v.Since), join(v.Addresses))
	}
	return t
}

// statusTable shows all that is known.
func statusTable(s Status) *cli.Table {
	t := cli.NewTable("VIP", "WHAT", "VALUE")
	t.Row("-", "process", processText(&s.Process))
	for i := range s.VIPs {
		v := &s.VIPs[i]
		t.Row(v.Name, "state", v.text())
		t.Row("", "since", fmt.Sprintf("%s (%s)", moment(v.Since), v.Cause))
		t.Row("", "addresses", join(v.Addresses))
		t.Row("", "place", fmt.Sprintf("%s, vrid %d, group %s, priority %d of %d", v.Interface, v.VRID, v.Group, v.Priority, v.Base))
		if v.Released != nil {
			t.Row("", "released", fmt.Sprintf("by %s, since %s", v.Released.By, moment(v.Released.Since)))
		}
		for _, f := range v.Faults {
			t.Row("", "fault", f)
		}
		for _, f := range v.Conflicts {
			t.Row("", "conflict", f)
		}
		for k := range v.Routers {
			t.Row("", fmt.Sprintf("IPv%d", v.Routers[k].Family), routerText(&v.Routers[k]))
		}
	}
	return t
}

func processText(p *Process) string {
	switch {
	case !p.Running && p.Error != "":
		return "does not run: " + p.Error
	case !p.Running:
		return "does not run"
	}
	text := fmt.Sprintf("pid %d, since %s, real-time %v, locked memory %v, %d restarts", p.PID, moment(p.Since), p.Realtime, p.Locked, p.Restarts)
	if len(p.Missing) > 0 {
		text += ", lacks " + strings.Join(p.Missing, ", ")
	}
	return text
}

func routerText(r *Router) string {
	text := fmt.Sprintf("%s (%s), version %d, adverts each %v", r.State, r.Cause, r.Version, r.Interval)
	if r.Source.IsValid() {
		text += fmt.Sprintf(" from %v", r.Source)
	}
	text += fmt.Sprintf(", down after %v", r.Down.Std().Round(time.Millisecond))
	if r.Holder.IsValid() {
		text += fmt.Sprintf(", holder %v with priority %d", r.Holder, r.HolderPri)
	}
	dropped := uint64(0)
	for _, n := range r.Dropped {
		dropped += n
	}
	return text + fmt.Sprintf(", %d sent, %d received, %d dropped, %d announcements", r.Sent, r.Received, dropped, r.Announced)
}

// moment is a time for people.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}
