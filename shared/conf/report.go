package conf

// Error is one thing wrong with a configuration.
type Error struct {
	File      string
	Line, Col int
	Path      string // "pools.web.members[0].weight"
	Msg       string
	Hint      string // `did you mean "weight"?`
}

// Error returns `file:line:col: path: msg (hint)`.
func (e *Error) Error() string { panic("skeleton") }

// Errors is everything that is wrong, in the order of the file. It is of class fault.Config.
type Errors []*Error

// Error returns one line per error.
func (e Errors) Error() string { panic("skeleton") }

// Report collects what Validate methods find.
type Report struct{}

// At returns the report for a child: a key (string) or an index (int) below the current path.
func (r *Report) At(elem any) *Report { panic("skeleton") }

// Errorf records an error at the current path's position.
func (r *Report) Errorf(format string, args ...any) { panic("skeleton") }

// Unknown records that name refers to nothing among known, with a suggestion.
func (r *Report) Unknown(kind, name string, known []string) { panic("skeleton") }
