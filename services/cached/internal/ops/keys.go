package ops

import "github.com/everup/everup/services/cached/internal/engine"

// Touch sets the expiry of r's item, if there is one, and reports whether there was.
func Touch(r *engine.Ref, expires int64) bool {
	r.Count(engine.CmdTouch)
	if !r.Found() {
		r.Count(engine.TouchMisses)
		return false
	}
	r.Count(engine.TouchHits)
	r.Touch(expires)
	return true
}

// Delete takes r's item out and reports whether there was one.
func Delete(r *engine.Ref) bool {
	if !r.Found() {
		r.Count(engine.DeleteMisses)
		return false
	}
	r.Count(engine.DeleteHits)
	r.Delete()
	return true
}
