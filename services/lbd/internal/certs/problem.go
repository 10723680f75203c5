package certs

// Kind says what a problem does.
type Kind uint8

// The kinds.
const (
	Broken    Kind = iota // what is named cannot be used: an error of the configuration
	Skipped               // a file of a directory cannot be used
	Exposed               // a key may be read by others
	Unstapled             // no OCSP answer is sent
	Noted                 // it works, but not as it should
)

// Problem is something wrong with files.
type Problem struct {
	At   []any  // keys and indexes from the section: "certificates", 1, "key"
	File string // "": none alone
	Msg  string // what is wrong with it: "is no file"
	Hint string
	Kind Kind

	lost bool // something is not in force for it
}

// String returns the file and what is wrong with it.
func (p Problem) String() string {
	if p.File == "" {
		return p.Msg
	}
	return p.File + " " + p.Msg
}

// same reports whether two say the same.
func (p Problem) same(o Problem) bool { return p.File == o.File && p.Msg == o.Msg && p.Kind == o.Kind }
