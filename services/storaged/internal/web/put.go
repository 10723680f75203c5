package web

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
	"unicode/utf8"

	"github.com/everup/everup/services/storaged/internal/blob"
	"github.com/everup/everup/services/storaged/internal/names"
	"github.com/everup/everup/shared/fault"
)

// kept are the fields of a PUT that come back with GET.
var kept = [...]string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Disposition", "Cache-Control"}

// maxField bounds a kept field, in bytes.
const maxField = 512

// put stores a body. All that can be refused by the head is, before the first read of the body makes net/http ask for it.
func (h *Handler) put(w *response, r *http.Request) error {
	name, err := names.FromPath(r.URL.Path)
	if err != nil {
		return err
	}
	if err := h.mayWrite(r); err != nil {
		return err
	}
	pre, err := parsePreconditions(r.Header)
	if err != nil {
		return err
	}
	dig, err := parseDigests(r.Header)
	if err != nil {
		return err
	}
	meta, err := metaOf(name, r.Header)
	if err != nil {
		return err
	}
	limits := h.limits.Load()
	if err := h.admit(name, r.ContentLength, pre, limits); err != nil {
		return err
	}
	defer h.leave()
	if h.uploads.Load() > int64(limits.Uploads) {
		return httpError{http.StatusServiceUnavailable, "too many uploads at once"}
	}
	u, err := h.store.NewUpload(meta)
	if err != nil {
		return err
	}
	defer u.Close()
	if err := h.receive(w, r, u, &dig, limits); err != nil {
		return err
	}
	return h.commit(w, r, u, pre)
}

// metaOf takes the name and the kept fields.
func metaOf(name string, h http.Header) (blob.Meta, error) {
	if h.Get("Content-Range") != "" {
		return blob.Meta{}, fault.New(fault.Invalid, "web: a part cannot be put (RFC 9110 §14.5)")
	}
	m := blob.Meta{Name: name, Header: map[string]string{}}
	for _, f := range kept {
		v := h.Get(f)
		if len(v) > maxField || !utf8.ValidString(v) {
			return m, fault.New(fault.Invalid, "web: %s is longer than %d bytes or not UTF-8", f, maxField)
		}
		if v != "" {
			m.Header[f] = v
		}
	}
	if m.Header["Content-Type"] == "" {
		m.Header["Content-Type"] = "application/octet-stream"
	}
	return m, nil
}

// admit counts the upload in, after checking size, room and preconditions as they are now. Preconditions are checked
// again in the commit section; here they only save sending the body.
func (h *Handler) admit(name string, length int64, pre preconditions, l *Limits) error {
	if length > l.Object {
		return httpError{http.StatusRequestEntityTooLarge, "the body is larger than limits.object"}
	}
	e, exists := h.store.Index().Get(name)
	if err := pre.check(e, exists); err != nil {
		return err
	}
	space, err := h.store.Space()
	if err != nil {
		return err
	}
	if space.Free-max(length, 0) < l.Reserve {
		return fault.New(fault.Full, "web: %d bytes are free, %d of them reserved", space.Free, l.Reserve)
	}
	h.uploads.Add(1)
	h.metrics.Uploads.Add(1)
	return nil
}

func (h *Handler) leave() {
	h.uploads.Add(-1)
	h.metrics.Uploads.Add(-1)
}

// receive copies the body, at the pace asked for, and verifies its digests.
func (h *Handler) receive(w *response, r *http.Request, u *blob.Upload, dig *digests, l *Limits) error {
	body := &pacedReader{r: http.MaxBytesReader(w, r.Body, l.Object), set: w.rc.SetReadDeadline, pace: l.Pace, start: time.Now()}
	_, err := io.CopyBuffer(struct{ io.Writer }{dig.tee(u)}, body, make([]byte, 128<<10))
	h.metrics.Received.Add(uint64(body.n))
	if body.err != nil {
		return bodyFault(body.err)
	}
	if err != nil {
		return fault.Wrap(fault.Of(err), err, "web: store the body")
	}
	_ = w.rc.SetReadDeadline(time.Time{}) // the server's own time-outs rule the next request
	return dig.verify(u.SHA256())
}

// bodyFault tells a body that is too large or too slow from one that the client broke off.
func bodyFault(err error) error {
	_, large := errors.AsType[*http.MaxBytesError](err)
	if large || errors.Is(err, os.ErrDeadlineExceeded) {
		return fault.Wrap(fault.Of(err), err, "web: receive the body")
	}
	return httpError{statusBrokenOff, "the body was broken off"}
}

func (h *Handler) commit(w *response, r *http.Request, u *blob.Upload, pre preconditions) error {
	m, created, err := u.Commit(pre.check)
	if err != nil {
		return err
	}
	h.hooks.Stored(m, created)
	w.Header().Set("ETag", m.ETag())
	w.Header().Set("Last-Modified", m.Modified.Format(http.TimeFormat))
	if !created {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}
