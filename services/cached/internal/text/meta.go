package text

import (
	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

// metaCommand carries out the meta command m+c, with header bytes of command line.
func (t *turn) metaCommand(c byte, header int) session.Next {
	if c == 's' {
		return t.metaSet(header)
	}
	t.pos += header
	switch c {
	case 'n':
		t.meter.Begin()
		t.buf = append(t.buf, "MN\r\n"...)
		t.stacked = false
		t.meter.End(session.MetaNoop)
		return going
	case 'g', 'd', 'a', 'e':
	default:
		t.misused()
		t.reply(replyError)
		return going
	}
	if c == 'e' {
		return t.metaDebug()
	}
	tooMany := errTooMany
	if c == 'g' {
		tooMany = errTooManyGet
	}
	switch {
	case t.ntok < 2:
		t.replyError(replyError)
		return going
	case len(t.word(1)) > maxKey:
		t.replyError(replyBadFormat)
		return going
	case t.ntok > maxMetaWords:
		t.replyError(tooMany)
		return going
	}
	t.meter.Begin()
	switch c {
	case 'g':
		next := t.metaGet()
		t.meter.End(session.MetaGet)
		return next
	case 'd':
		t.metaDelete()
		t.meter.End(session.MetaDelete)
	default:
		t.metaArith()
		t.meter.End(session.MetaArith)
	}
	return going
}

// metaSet is `ms key length flags…`.
func (t *turn) metaSet(header int) session.Next {
	length, text := t.metaLength()
	if text != "" {
		t.pos += header
		t.replyError(text)
		return going
	}
	var f metaFlags
	w := write{cmd: session.MetaSet, drop: true, meta: true, length: length}
	text = t.parseFlags(&f, 3, false)
	if text == "" {
		if !t.echoOf(&w.echo, 3, f.binary) {
			text = errOpaque
		}
		if !w.mode(&f) {
			text = "CLIENT_ERROR invalid mode for ms M token\r\n"
		}
	}
	if text != "" {
		t.pos += header
		t.skip(length+2, text)
		return going
	}
	w.key, t.noreply = f.key, f.quiet
	w.store.Value = engine.Value{Flags: f.flags, Expires: f.touchAt, CAS: f.cas, Coded: f.binary}
	return t.write(&w, header)
}

// metaLength reads the length in the line of an ms. Behind an error in it no value is swallowed.
func (t *turn) metaLength() (length int, text string) {
	switch {
	case t.ntok < 2:
		return 0, replyError
	case len(t.word(1)) > maxKey, t.ntok == 2:
		return 0, replyBadFormat
	case t.ntok > maxMetaWords:
		return 0, errTooMany
	}
	n, ok := ops.Int32(t.word(2))
	if !ok || n < 0 || n > maxLength {
		return 0, replyBadFormat
	}
	return int(n), ""
}

// mode sets how w stores; false for a mode that does not exist.
func (w *write) mode(f *metaFlags) bool {
	switch f.mode {
	case 0, 'S':
	case 'E':
		w.store.Mode = ops.Add
	case 'A':
		w.store.Mode = ops.Append
	case 'P':
		w.store.Mode = ops.Prepend
	case 'R':
		w.store.Mode = ops.Replace
	default:
		return false
	}
	if f.compare {
		w.store.Compare = f.compareCAS
		if w.store.Mode == ops.Set || w.store.Mode == ops.Replace {
			w.store.Mode, w.store.Stale = ops.CAS, f.stale
		}
	}
	if f.vivify && (w.store.Mode == ops.Append || w.store.Mode == ops.Prepend) {
		w.vivify, w.create = true, f.vivifyAt
	}
	return true
}

// vivify stores data as a new item for an append that found none.
func (t *turn) vivify(r *engine.Ref, w *write, data []byte) ops.Outcome {
	if err := r.Put(engine.Value{Flags: w.store.Value.Flags, Expires: w.create, CAS: w.store.Value.CAS}, data); err != nil {
		return ops.Of(err)
	}
	return ops.Stored
}

// metaStored answers an ms.
func (t *turn) metaStored(w *write, out ops.Outcome, cas uint64) {
	t.stacked = true
	code := "HD"
	switch out {
	case ops.Stored:
		if t.noreply {
			return
		}
	case ops.Exists:
		code = "EX"
	case ops.NotFound:
		code = "NF"
	default:
		code = "NS"
	}
	t.buf = append(w.echo.append(append(t.buf, code...), w.key, cas, true), crlf...)
}

// metaDelete is `md key flags…`.
func (t *turn) metaDelete() {
	var f metaFlags
	var e echo
	if t.parseFlags(&f, 2, true) != "" {
		t.replyError(errEither)
		return
	}
	if !t.echoOf(&e, 2, f.binary) {
		t.replyError(errOpaque)
		return
	}
	r := t.store.Lock(f.key, t.now)
	t.lookedUp(&r)
	code := t.metaRemove(&r, &f)
	r.Unlock()
	t.stacked = true
	if code == "HD" && f.quiet {
		return
	}
	t.buf = append(e.append(append(t.buf, code...), f.key, 0, false), crlf...)
}

// metaRemove does what md asks for and returns the code to answer.
func (t *turn) metaRemove(r *engine.Ref, f *metaFlags) string {
	switch {
	case !r.Found():
		r.Count(engine.DeleteMisses)
		return "NF"
	case f.compare && f.compareCAS != r.CAS():
		r.Count(engine.DeleteMisses)
		return "EX"
	case !f.stale && !f.remove:
		t.sawDelete(r, "md")
		ops.Delete(r)
		t.deleted(f.key)
		return "HD"
	}
	if f.remove {
		_ = r.Put(engine.Value{Expires: r.Expires(), CAS: f.cas}, nil) // an empty value needs no more room than the old one
	}
	if f.stale {
		if f.touch {
			r.Touch(f.touchAt)
		}
		r.MarkStale(true)
		r.MarkWon(false) // the next client may win it
		r.SetCAS(f.cas)
	}
	t.stored(r)
	return "HD"
}
