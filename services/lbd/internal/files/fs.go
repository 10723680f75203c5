package files

import (
	"bytes"
	"errors"
)

// FS is a directory with files. Its methods are called by several threads at once. Errors are fs.ErrNotExist for what is not there, also
// below a file; fs.ErrPermission for what must not be opened, also because it lies elsewhere; ErrBusy for what could be opened later.
type FS interface {
	// Open opens what a name below the root names, the root itself by "", and fills o. A name has neither "/" around it nor dot segments.
	Open(name []byte, o *Object) error
	// Close closes what Open has opened.
	Close(o *Object)
	// List returns at most limit entries of an open directory, in any order, and whether there are more.
	List(o *Object, limit int) (list []Entry, more bool, err error)
}

// ErrBusy says that nothing more can be opened for now.
var ErrBusy = errors.New("too many open files")

// Object is something open. The zero value is nothing.
type Object struct {
	Kind    Kind
	FD      int
	Size    int64
	Changed int64 // last change of the content, nanoseconds since 1970
}

// Kind is what an Object is.
type Kind uint8

// The kinds.
const (
	None Kind = iota
	Regular
	Directory
	Special // devices, FIFOs, sockets: not served
)

// Entry is something in a directory.
type Entry struct {
	Name string
	Object
	Link bool // a symbolic link: it is not known what to
}

// hidden reports whether a segment of a path begins with a dot. /.well-known is not hidden: it is made to be asked for (RFC 8615).
func hidden(path []byte) bool {
	const public = "/.well-known"
	if bytes.HasPrefix(path, []byte(public)) && (len(path) == len(public) || path[len(public)] == '/') {
		path = path[len(public):]
	}
	return bytes.Contains(path, []byte("/."))
}
