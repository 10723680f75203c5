package web

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/everup/everup/services/storaged/internal/names"
	"github.com/everup/everup/shared/fault"
)

// maxRanges is how many ranges a request may ask for; one with more gets the whole, as RFC 9110 §14.2 allows.
const maxRanges = 32

// read serves an object or, at "/", a listing. Preconditions and ranges are net/http's, by ETag and time.
func (h *Handler) read(w *response, r *http.Request) error {
	if r.URL.Path == "/" {
		return h.list(w, r)
	}
	name, err := names.FromPath(r.URL.Path)
	if err != nil {
		return err
	}
	o, err := h.store.Get(name)
	if err != nil {
		if fault.Of(err) == fault.NotFound {
			return fault.New(fault.NotFound, "web: no object of this name")
		}
		return err
	}
	defer o.Close()
	for k, v := range o.Header {
		w.Header().Set(k, v)
	}
	w.Header().Set("ETag", o.ETag())
	w.Header().Set("Repr-Digest", reprDigest(o.SHA256))
	if strings.Count(r.Header.Get("Range"), ",") >= maxRanges {
		r.Header.Del("Range")
	}
	http.ServeContent(w, r, "", o.Modified, o.Body())
	return nil
}

const (
	defaultPage = 1000
	maxPage     = 10_000
)

// listed is one object of a listing.
type listed struct {
	Name     string    `json:"name"`
	Size     int64     `json:"size"`
	SHA256   string    `json:"sha256"`
	Modified time.Time `json:"modified"`
}

// listing is the answer to GET /?list=prefix&after=name&limit=n.
type listing struct {
	Objects []listed `json:"objects"`
	Next    string   `json:"next,omitempty"` // ask for after=next
}

func (h *Handler) list(w *response, r *http.Request) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || !q.Has("list") {
		return fault.New(fault.NotFound, "web: no object of this name; GET /?list=PREFIX lists")
	}
	limit := defaultPage
	if s := q.Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > maxPage {
			return fault.New(fault.Invalid, "web: limit %q is not 1 to %d", s, maxPage)
		}
	}
	page, more := h.store.Index().List(q.Get("list"), q.Get("after"), limit)
	out := listing{Objects: make([]listed, 0, len(page))}
	for _, e := range page {
		out.Objects = append(out.Objects, listed{e.Name, e.Size, hex.EncodeToString(e.SHA256[:]), e.Modified})
	}
	if more {
		out.Next = page[len(page)-1].Name
	}
	return writeJSON(w, out)
}
