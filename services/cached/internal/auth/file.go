package auth

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/everup/everup/shared/fault"
)

// Form is how a file is written.
type Form uint8

// Forms.
const (
	Lines    Form = iota // -Y: ParseFile
	Database             // MEMCACHED_SASL_PWDB: ParseDatabase
)

// File is the users of a file. Check may be called while Reload runs: it sees the old users or the new.
type File struct {
	form  Form
	users atomic.Pointer[Users]
}

// Open reads a file of users. The warnings are sentences for the log, each complete without the path.
func Open(path string, form Form) (f *File, warnings []string, err error) {
	f = &File{form: form}
	warnings, err = f.Reload(path)
	if err != nil {
		return nil, nil, err
	}
	return f, warnings, nil
}

// Reload reads the users again, from the same path or another. On an error the old ones stay.
func (f *File) Reload(path string) (warnings []string, err error) {
	commit, warnings, err := f.Prepare(path)
	if err != nil {
		return nil, err
	}
	commit()
	return warnings, nil
}

// Prepare reads the users again; the old ones stay until commit is called, so that a reload of several things is done whole or not at all.
func (f *File) Prepare(path string) (commit func(), warnings []string, err error) {
	b, warnings, err := read(path, f.form)
	if err != nil {
		return nil, nil, fault.Wrap(fault.Of(err), err, "auth: read %s", path)
	}
	parse := ParseFile
	if f.form == Database {
		parse = ParseDatabase
	}
	users, more, err := parse(b)
	if err != nil {
		return nil, nil, fault.Wrap(fault.Of(err), err, "auth: read %s", path)
	}
	return func() { f.users.Store(users) }, append(warnings, more...), nil
}

// Check says whether the user has the password.
func (f *File) Check(user, password []byte) bool { return f.users.Load().Check(user, password) }

// Len is the number of logins that succeed.
func (f *File) Len() int { return f.users.Load().Len() }

// read returns as much of the file as can count. It does not wait for the other end of a pipe.
func read(path string, form Form) (b []byte, warnings []string, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	if info.Mode()&(fs.ModeDir|fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		return nil, nil, fault.New(fault.Config, "is no file but %s", info.Mode())
	}
	limit := int64(MaxLines*(MaxLine+1) + 1)
	if form == Database {
		limit = MaxDatabase + 1
	}
	b, err = io.ReadAll(io.LimitReader(file, limit))
	return b, openness(info, os.Geteuid()), err
}

// openness says who else than the user with the id euid may read or change the file.
func openness(info fs.FileInfo, euid int) (warnings []string) {
	if !info.Mode().IsRegular() {
		return nil
	}
	mode := info.Mode().Perm()
	if mode&0o004 != 0 {
		warnings = append(warnings, fmt.Sprintf("every user of this host may read the passwords (mode %04o)", mode))
	}
	if mode&0o022 != 0 {
		warnings = append(warnings, fmt.Sprintf("others than its owner may change the passwords (mode %04o)", mode))
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid != 0 && int(s.Uid) != euid {
		warnings = append(warnings, fmt.Sprintf("the file belongs to user %d, neither root nor the one that runs this", s.Uid))
	}
	return warnings
}
