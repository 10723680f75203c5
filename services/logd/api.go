package logd

import (
	"context"
	"encoding/json"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/everup/everup/services/logd/internal/query"
	"github.com/everup/everup/services/logd/internal/tail"
	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/fault"
)

// Bounds of one answer.
const (
	maxRows     = 10_000
	defaultRows = 100
	queryBytes  = 1 << 30
	queryFound  = 16 << 20
	queryTime   = 10 * time.Second
	maxQueries  = 2 // at once
	maxWait     = 20 * time.Second
	streamPage  = 256
)

func (s *Service) register() error {
	a := s.env.Admin
	a.Handle("GET /v1/tail", "Lines as they come, NDJSON (?host= app= severity= contains= n=: so many earlier ones first).", s.tail)
	a.Handle("GET /v1/recent", "The last lines (?n=), or those since=SEQ, waiting up to wait= for one; filters as with tail.",
		func(ctx context.Context, r *admin.Request) (any, error) { return s.recent(ctx, r.Query) })
	a.Handle("GET /v1/query", "Search the files (?from= to= in RFC 3339, limit=; filters as with tail).",
		func(ctx context.Context, r *admin.Request) (any, error) { return s.query(ctx, r.Query) })
	if err := s.env.Bus.Handle("recent", "The last lines; the body is an object of the parameters of GET /v1/recent.", overBus(s.recent)); err != nil {
		return err
	}
	return s.env.Bus.Handle("query", "Search the files; the body is an object of the parameters of GET /v1/query.", overBus(s.query))
}

// overBus makes a call that takes parameters of a URL answer requests whose body is a JSON object of strings.
func overBus(f func(context.Context, url.Values) (any, error)) func(context.Context, string, []byte) (any, error) {
	return func(ctx context.Context, _ string, body []byte) (any, error) {
		params := map[string]string{}
		if len(body) > 0 {
			if err := json.Unmarshal(body, &params); err != nil {
				return nil, fault.Wrap(fault.Invalid, err, "logd: parameters")
			}
		}
		q := url.Values{}
		for k, v := range params {
			q.Set(k, v)
		}
		return f(ctx, q)
	}
}

// Recent is the answer to GET /v1/recent. Sequence numbers begin anew when the daemon starts: a follower whose epoch
// is another than the answer's has to begin anew too.
type Recent struct {
	Epoch int64 `json:"epoch"`
	tail.Page
}

// recent answers at once with the last lines, or with those since a number, waiting for one where asked to.
func (s *Service) recent(ctx context.Context, q url.Values) (any, error) {
	f, err := tail.ParseFilter(q)
	if err != nil {
		return nil, err
	}
	n, err := number(q, "n", defaultRows, maxRows)
	if err != nil {
		return nil, err
	}
	out := Recent{Epoch: s.epoch}
	if q.Get("since") == "" {
		out.Page = s.ring.Last(n, f)
		return out, nil
	}
	since, err := strconv.ParseUint(q.Get("since"), 10, 64)
	if err != nil {
		return nil, fault.New(fault.Invalid, "logd: since %q is no number", q.Get("since"))
	}
	if e := q.Get("epoch"); e != "" && e != strconv.FormatInt(s.epoch, 10) {
		since = 0 // the numbers of another life mean nothing
	}
	wait, err := waitOf(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	out.Page = s.ring.Wait(ctx, since, f, n)
	return out, nil
}

func waitOf(q url.Values) (time.Duration, error) {
	if q.Get("wait") == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(q.Get("wait"))
	if err != nil || d < 0 {
		return 0, fault.New(fault.Invalid, "logd: wait %q is no duration", q.Get("wait"))
	}
	return min(d, maxWait), nil
}

func number(q url.Values, key string, otherwise, most int) (int, error) {
	v := q.Get(key)
	if v == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > most {
		return 0, fault.New(fault.Invalid, "logd: %s %q is not 0 to %d", key, v, most)
	}
	return n, nil
}

// tailed is one line of the stream: a log line, or how many were lost because the reader is slower than they come.
type tailed struct {
	*tail.Line
	Lost uint64 `json:"lost,omitempty"`
}

// tail streams. A stream is a number in the ring; a slow reader loses the oldest lines and is told.
func (s *Service) tail(_ context.Context, r *admin.Request) (any, error) {
	f, err := tail.ParseFilter(r.Query)
	if err != nil {
		return nil, err
	}
	n, err := number(r.Query, "n", 0, maxRows)
	if err != nil {
		return nil, err
	}
	return admin.Stream(func(ctx context.Context, w io.Writer) error {
		page := s.ring.Last(n, f)
		for {
			if err := writePage(w, page); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return nil
			}
			page = s.ring.Wait(ctx, page.Next, f, streamPage)
		}
	}), nil
}

func writePage(w io.Writer, p tail.Page) error {
	if len(p.Lines) == 0 && p.Lost == 0 {
		return nil
	}
	var out []byte
	add := func(t tailed) error {
		b, err := json.Marshal(t)
		out = append(append(out, b...), '\n')
		return err
	}
	if p.Lost > 0 {
		if err := add(tailed{Lost: p.Lost}); err != nil {
			return err
		}
	}
	for i := range p.Lines {
		if err := add(tailed{Line: &p.Lines[i]}); err != nil {
			return err
		}
	}
	_, err := w.Write(out)
	return err
}

// query searches the files: the last day where from is absent.
func (s *Service) query(ctx context.Context, q url.Values) (any, error) {
	f, err := tail.ParseFilter(q)
	if err != nil {
		return nil, err
	}
	to, err := moment(q, "to", time.Now().Add(time.Minute))
	if err != nil {
		return nil, err
	}
	from, err := moment(q, "from", to.AddDate(0, 0, -1))
	if err != nil {
		return nil, err
	}
	rows, err := number(q, "limit", defaultRows, maxRows)
	if err != nil {
		return nil, err
	}
	select {
	case s.queries <- struct{}{}:
		defer func() { <-s.queries }()
	default:
		return nil, fault.New(fault.Full, "logd: %d searches are running", maxQueries)
	}
	return query.Run(ctx, s.root, s.loc, query.Request{
		Filter: f, From: from, To: to, Limits: query.Limits{Rows: rows, Bytes: queryBytes, Found: queryFound, Time: queryTime},
	})
}

func moment(q url.Values, key string, otherwise time.Time) (time.Time, error) {
	v := q.Get(key)
	if v == "" {
		return otherwise, nil
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	return t, fault.Wrap(fault.Invalid, err, "logd: %s", key)
}
