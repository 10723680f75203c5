package mcflags

import "strings"

// Looks reports whether args, without the program's name, are memcached's command line and not everup's.
//
// everup's begins with a verb (run, check, status …) or is empty, or begins with an option that memcached does not know (--config FILE,
// --socket PATH, --strict). Everything else that begins with an option of memcached, short or long, is memcached's. Two clashes are decided
// by these rules:
//
//   - --help and --version are everup's, as with all its daemons; -h and -V are memcached's.
//   - -c followed by what does not begin as a number is everup's configuration file: memcached refuses such a number of connections, so no
//     command line that works with memcached is lost. A file whose name begins with a digit can be given as ./name or with --config.
//
// Only the first argument decides, for -c with its value: behind -p 11211 a -c FILE is an error.
func Looks(args []string) bool {
	if len(args) == 0 {
		return false
	}
	first := args[0]
	switch {
	case len(first) < 2 || first[0] != '-' || first == "--" || first == "--help" || first == "--version":
		return false
	case strings.HasPrefix(first, "--"):
		name, _, _ := strings.Cut(first[2:], "=")
		o, rivals := byName(table(), name)
		return o != nil || len(rivals) > 1
	case first[1] == 'c':
		return countsConnections(first[2:], args[1:])
	}
	return byLetter(table(), first[1]) != nil
}

// countsConnections says whether the value of a leading -c is a number.
func countsConnections(attached string, rest []string) bool {
	if attached == "" && len(rest) > 0 {
		attached = rest[0]
	}
	_, _, ok := leading(attached)
	return ok
}
