package lbd

import (
	"fmt"
	"strings"

	"github.com/everup/everup/services/lbd/internal/explain"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/spf13/cobra"
)

// explainCommand tells which route decides a request, from the configuration's file alone.
func explainCommand() *cobra.Command {
	var out cli.Output
	var q explain.Question
	c := &cobra.Command{
		Use: "explain --request 'GET http://host/path'", Short: "Tell which route decides a request and why, without the daemon; exit code 3 if none does",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var cfg Config
			if _, err := conf.Load(c.Flag("config").Value.String(), &cfg, conf.Options{EnvPrefix: "EVERUP_LBD", Offline: true}); err != nil {
				return err
			}
			a, err := explain.Ask(&cfg, &q)
			if err != nil {
				return err
			}
			if err := out.Print(c.OutOrStdout(), a, func() *cli.Table { return explainTable(a) }); err != nil {
				return err
			}
			if a.Kind == "none" {
				return fault.New(fault.NotFound, "no route decides this request: 404")
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&q.Request, "request", "", "method and URL; GET if there is no method")
	f.StringArrayVar(&q.Headers, "header", nil, "'Name: value', as often as needed")
	f.StringVar(&q.From, "from", "", "address that the connection comes from (default 127.0.0.1)")
	f.StringVar(&q.TLSName, "tls-name", "", "server name asked for in TLS (default: the host of an https URL)")
	f.StringVar(&q.TLSClient, "tls-client", "", "name in the client's TLS certificate (default: it has none)")
	f.StringSliceVar(&q.DoS, "dos", nil, "what detectors think of the client: none, suspect or hard for all, login=hard for one")
	f.Float64Var(&q.Random, "chance", 0, "for splits by chance: from 0 up to, not including, 1")
	c.MarkFlagRequired("request")
	out.Bind(c)
	return c
}

// explainTable shows each route that was looked at, then the outcome.
func explainTable(a *explain.Answer) *cli.Table {
	t := cli.NewTable("ROUTE", "NAME", "MATCH", "WHY")
	for _, s := range a.Steps {
		if s.Failed == "" {
			t.Row(fmt.Sprintf("routes[%d]", s.Rule), s.Name, "yes", s.Then)
			continue
		}
		why := fmt.Sprintf("%s is %q, wanted %s", s.Failed, s.Have, s.Want)
		if s.Have == "" {
			why = fmt.Sprintf("%s: wanted %s", s.Failed, s.Want)
		}
		t.Row(fmt.Sprintf("routes[%d]", s.Rule), s.Name, "no", why)
	}
	t.Row("=>", a.Name, "", a.Outcome)
	edits := func(what string, list []explain.Edit) {
		for _, e := range list {
			t.Row("", "", "", fmt.Sprintf("%s: %s %s %s", what, e.Op, e.Name, e.Value))
		}
	}
	if len(a.CountedBy) > 0 {
		t.Row("", "", "", "counted by "+strings.Join(a.CountedBy, ", "))
	}
	for _, s := range a.Content {
		t.Row("", "", "", s)
	}
	edits("request", a.RequestHeaders)
	edits("response", a.ResponseHeaders)
	if a.SetCookie != "" {
		t.Row("", "", "", "response: set cookie "+a.SetCookie)
	}
	return t
}
