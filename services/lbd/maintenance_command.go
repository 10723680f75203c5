package lbd

import (
	"time"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/fault"
	"github.com/spf13/cobra"
)

// maintenanceCommand shows what is under maintenance, and switches it.
func maintenanceCommand(socket func() string) *cobra.Command {
	var out cli.Output
	root := &cobra.Command{
		Use: "maintenance", Short: "Show what is under maintenance; switch it on and off", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var list []Maintained
			if err := admin.Dial(socket()).Do(c.Context(), "GET", "/v1/maintenance", nil, &list); err != nil {
				return err
			}
			return out.Print(c.OutOrStdout(), list, func() *cli.Table { return maintenanceTable(list) })
		},
	}
	out.Bind(root)
	root.AddCommand(
		switchCommand(socket, true, "on [ROUTE|POOL]", "Answer 503 with the page of maintenance; without a name for everything"),
		switchCommand(socket, false, "off [ROUTE|POOL]", "Serve again"),
	)
	return root
}

func switchCommand(socket func() string, on bool, use, short string) *cobra.Command {
	var reason, until string
	var lasts time.Duration
	c := &cobra.Command{Use: use, Short: short, Args: cobra.MaximumNArgs(1)}
	c.Flags().StringVar(&reason, "reason", "", "why, for those who look later")
	c.Flags().StringVar(&until, "until", "", "undo it by itself then, and tell clients to come again: 15:04, 2006-01-02T15:04 or RFC 3339")
	c.Flags().DurationVar(&lasts, "for", 0, "undo it by itself after so long (30m, 2h)")
	c.MarkFlagsMutuallyExclusive("until", "for")
	c.RunE = func(c *cobra.Command, args []string) error {
		ch := MaintenanceChange{On: on, Reason: reason}
		if len(args) > 0 {
			ch.Object = args[0]
		}
		var err error
		if ch.Until, err = endOf(time.Now(), until, lasts); err != nil {
			return c.FlagErrorFunc()(c, err)
		}
		var list []Maintained
		if err := admin.Dial(socket()).Do(c.Context(), "POST", "/v1/maintenance", ch, &list); err != nil {
			return err
		}
		return maintenanceTable(list).Write(c.OutOrStdout(), true)
	}
	return c
}

// endOf returns when something ends that ends at a time, or after a while; zero if neither is given. A time of day is the next one.
func endOf(now time.Time, until string, lasts time.Duration) (time.Time, error) {
	switch {
	case lasts < 0:
		return time.Time{}, fault.New(fault.Invalid, "--for is negative")
	case lasts > 0:
		return now.Add(lasts), nil
	case until == "":
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, until); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation("2006-01-02T15:04", until, now.Location()); err == nil {
		return t, nil
	}
	t, err := time.Parse("15:04", until)
	if err != nil {
		return t, fault.New(fault.Invalid, "--until %q is no time (write 15:04, 2006-01-02T15:04 or RFC 3339)", until)
	}
	year, month, day := now.Date()
	t = time.Date(year, month, day, t.Hour(), t.Minute(), 0, 0, now.Location())
	if !t.After(now) {
		t = time.Date(year, month, day+1, t.Hour(), t.Minute(), 0, 0, now.Location())
	}
	return t, nil
}

// maintenanceTable shows people what is under maintenance.
func maintenanceTable(list []Maintained) *cli.Table {
	t := cli.NewTable("OBJECT", "STATE", "UNTIL", "BY", "REASON")
	for _, m := range list {
		state, until, by := switchedOff, "", m.By
		if m.On {
			state = switchedOn
		}
		if !m.Until.IsZero() {
			until = m.Until.Local().Format(time.DateTime)
		}
		if by == "" {
			by = "configuration"
		}
		t.Row(m.Object, state, until, by, m.Reason)
	}
	if len(list) == 0 {
		t.Row("nothing", switchedOff, "", "", "")
	}
	return t
}
