package lbd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/everup/everup/services/lbd/internal/certs"
	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/vip"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// prepareCerts reads the files of c; commit puts them in force.
func (s *Service) prepareCerts(c *Config) (commit func(), err error) {
	commit, problems := s.certs.Prepare(c.Fronts(), c.Backs())
	if commit != nil {
		return commit, nil
	}
	var all []string
	for _, section := range slices.Sorted(maps.Keys(problems)) {
		for _, p := range problems[section] {
			all = append(all, section+": "+p.String())
		}
	}
	return nil, fault.New(fault.Config, "lbd: %s", strings.Join(all, "\nlbd: "))
}

// certificateEvent is told what happened to a certificate.
func (s *Service) certificateEvent(e certs.Event) {
	level := zerolog.InfoLevel
	switch e.Kind {
	case certs.Unusable, certs.Expired:
		level = zerolog.ErrorLevel
	case certs.Expiring:
		level = zerolog.WarnLevel
	}
	s.env.Log.WithLevel(level).Str("section", e.Section).Str("certificate", e.Name).Str("file", e.File).Str("detail", e.Detail).Msg(e.Kind)
	data := map[string]string{"section": e.Section, "name": e.Name, "file": e.File, "detail": e.Detail}
	if !e.Until.IsZero() {
		data["until"] = e.Until.UTC().Format(time.RFC3339)
	}
	s.env.Bus.Emit(e.Kind, e.Section+"/"+e.Name, data)
}

// maxCertificates bounds the certificates that a metric and the status name.
const (
	maxCertificates = 1024
	maxInStatus     = 64
	maxInSummary    = 5
)

func (s *Service) registerCertificates(r *metric.Registry) {
	r.GaugeVecFunc("certificate_expiry_seconds", "Time until a certificate ends, below 0 once it has.", maxCertificates, []string{"section", "name"},
		func(emit func(float64, ...string)) {
			s.certs.Ends(time.Now(), func(section, name string, left time.Duration) { emit(left.Seconds(), section, name) })
		})
	r.CounterFunc("tls_unknown_names_total", "TLS clients that asked for a name without a certificate, or for none.", s.certs.Unknown)
}

// Certificates is the answer of GET /v1/certificates.
type Certificates struct {
	Certificates []certs.Status `json:"certificates"`
}

func (s *Service) handleCertificates() {
	s.env.Admin.Handle("GET /v1/certificates", "The certificates of lbd and when they end.", func(context.Context, *admin.Request) (any, error) {
		return Certificates{s.certs.Status(time.Now())}, nil
	})
}

// soonest returns the certificates that end first, and how many there are.
func (s *Service) soonest() (first []certs.Status, all int) {
	list := s.certs.Status(time.Now())
	slices.SortStableFunc(list, func(a, b certs.Status) int { return a.Until.Compare(b.Until) })
	return list[:min(len(list), maxInStatus)], len(list)
}

// summaryOf tells people of certificates.
func summaryOf(first []certs.Status, all int) (out []vip.Line) {
	for _, c := range first[:min(len(first), maxInSummary)] {
		text := fmt.Sprintf("%s: %s %s", c.Section, certificateName(c), c.Left)
		if c.Problem != "" {
			text += "; " + c.Problem
		}
		out = append(out, vip.Line{Name: "certificate", Value: text})
	}
	if n := all - len(out); n > 0 {
		out = append(out, vip.Line{Name: "", Value: fmt.Sprintf("%d more: lbd certificates", n)})
	}
	return out
}

func certificateName(c certs.Status) string {
	if len(c.Names) == 0 {
		return c.File
	}
	return c.Names[0]
}

func certificatesCommand(socket func() string) *cobra.Command {
	var out cli.Output
	c := &cobra.Command{
		Use: "certificates", Short: "Show the certificates and when they end", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var all Certificates
			if err := admin.Dial(socket()).Do(c.Context(), "GET", "/v1/certificates", nil, &all); err != nil {
				return err
			}
			return out.Print(c.OutOrStdout(), all, func() *cli.Table { return certificateTable(all.Certificates) })
		},
	}
	out.Bind(c)
	return c
}

func certificateTable(all []certs.Status) *cli.Table {
	t := cli.NewTable("SECTION", "NAMES", "KEY", "ENDS", "ISSUER", "FILE", "PROBLEM")
	for _, c := range all {
		names := strings.Join(c.Names[:min(len(c.Names), 4)], " ")
		if n := len(c.Names) - 4; n > 0 {
			names += fmt.Sprintf(" and %d more", n)
		}
		if c.Default {
			names += " (default)"
		}
		ends := "-"
		if !c.Until.IsZero() {
			ends = c.Until.Local().Format(time.DateOnly) + ", " + c.Left
		}
		t.Row(c.Section, names, c.Key, ends, c.Issuer, c.File, c.Problem)
	}
	return t
}
