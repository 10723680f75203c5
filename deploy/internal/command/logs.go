package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/fault"
	"github.com/spf13/cobra"
)

// logLine is a line of logd; Lost says in its place how many are missing here.
type logLine struct {
	Time     time.Time `json:"time"`
	Host     string    `json:"host"`
	App      string    `json:"app"`
	PID      string    `json:"pid"`
	Severity string    `json:"severity"`
	Text     string    `json:"text"`
	Lost     uint64    `json:"lost"`
}

func logsCommand() *cobra.Command {
	var (
		w        where
		form     lineFormat
		follow   bool
		n        int
		from, to string
		filter   = map[string]*string{"host": new(string), "app": new(string), "severity": new(string), "contains": new(string)}
	)
	c := &cobra.Command{
		Use: "logs", Short: "Print the last lines of logd, those of a time, or with -f as they come", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := form.check(); err != nil {
				return err
			}
			q := url.Values{}
			for k, v := range filter {
				if *v != "" {
					q.Set(k, *v)
				}
			}
			q.Set("n", strconv.Itoa(n))
			print := func(line []byte) error { return printLog(c.OutOrStdout(), line, form.format) }
			switch {
			case follow:
				return w.follow(c.Context(), "logd", "/v1/tail?"+q.Encode(), print)
			case from != "" || to != "":
				q.Del("n")
				q.Set("limit", strconv.Itoa(n))
				setNotEmpty(q, "from", from)
				setNotEmpty(q, "to", to)
				return w.pageOfLogs(c, "/v1/query?"+q.Encode(), print)
			}
			return w.pageOfLogs(c, "/v1/recent?"+q.Encode(), print)
		},
	}
	w.bind(c)
	form.bind(c)
	f := c.Flags()
	f.BoolVarP(&follow, "follow", "f", false, "follow until Ctrl-C")
	f.IntVarP(&n, "lines", "n", 20, "number of lines")
	f.StringVar(filter["host"], "host", "", "only lines of this host")
	f.StringVar(filter["app"], "app", "", "only lines of this program")
	f.StringVar(filter["severity"], "severity", "", "only lines of this severity or worse: emerg, alert, crit, err, warning, notice, info, debug")
	f.StringVar(filter["contains"], "contains", "", "only lines with this text")
	f.StringVar(&from, "from", "", "search the files from this time on (RFC 3339)")
	f.StringVar(&to, "to", "", "search the files up to this time (RFC 3339)")
	c.MarkFlagsMutuallyExclusive("follow", "from")
	c.MarkFlagsMutuallyExclusive("follow", "to")
	return c
}

func setNotEmpty(q url.Values, key, value string) {
	if value != "" {
		q.Set(key, value)
	}
}

// pageOfLogs prints the lines of one answer and says on stderr when there may be more.
func (w *where) pageOfLogs(c *cobra.Command, path string, print func([]byte) error) error {
	d, err := w.one(c.Context(), "logd")
	if err != nil {
		return err
	}
	client := d.Client()
	defer client.Close()
	var page struct {
		Lines []json.RawMessage `json:"lines"`
		Cut   string            `json:"cut"`
	}
	if err := client.Do(c.Context(), http.MethodGet, path, nil, &page); err != nil {
		return err
	}
	for _, line := range page.Lines {
		if err := print(line); err != nil {
			return err
		}
	}
	if page.Cut != "" {
		c.PrintErrf("there may be more: the search ended at its bound of %s\n", page.Cut)
	}
	return nil
}

func printLog(w io.Writer, line []byte, format string) error {
	if format == "json" {
		var one bytes.Buffer
		if err := json.Compact(&one, line); err != nil {
			return fault.Wrap(fault.Corrupt, err, "logs: read")
		}
		_, err := fmt.Fprintf(w, "%s\n", one.Bytes())
		return fault.Wrap(fault.Canceled, err, "logs: print")
	}
	var l logLine
	if err := json.Unmarshal(line, &l); err != nil {
		return fault.Wrap(fault.Corrupt, err, "logs: read")
	}
	if l.Lost > 0 {
		_, err := fmt.Fprintf(w, "… %d lines are missing here: they came faster than they were read\n", l.Lost)
		return fault.Wrap(fault.Canceled, err, "logs: print")
	}
	if l.PID != "" {
		l.App += "[" + l.PID + "]"
	}
	_, err := fmt.Fprintf(w, "%s %s %s %s: %s\n", l.Time.Local().Format("2006-01-02 15:04:05.000"), cli.Clean(l.Host), l.Severity,
		cli.Clean(l.App), cli.Clean(l.Text))
	return fault.Wrap(fault.Canceled, err, "logs: print")
}
