package mcflags

import "strings"

// argument says whether an option takes one.
type argument uint8

const (
	noArgument argument = iota
	needsArgument
	mayHaveArgument // only as --long=value
)

// option is one of memcached's.
type option struct {
	letter byte
	long   string // "" for none
	arg    argument
	set    func(p *parser, arg string) error
}

func (o *option) String() string {
	if o.long == "" {
		return "-" + string(o.letter)
	}
	return "-" + string(o.letter) + " (--" + o.long + ")"
}

// scanner goes over an argument vector as the C library's getopt_long does: letters in bundles (-vvd), values attached or apart (-p1, -p 1,
// --port 1, --port=1), long names cut short as far as they stay unique, words that are no option anywhere, an end at "--".
type scanner struct {
	table  []option
	args   []string // not looked at yet
	bundle string   // letters left of an argument like -vvd
	words  []string // that are no option
	posix  bool     // POSIXLY_CORRECT: the first word that is no option ends the options
}

// next returns the next option and its value; nil at the end.
func (s *scanner) next() (o *option, value string, err error) {
	if s.bundle != "" {
		return s.short()
	}
	for len(s.args) > 0 {
		arg := s.args[0]
		s.args = s.args[1:]
		switch {
		case arg == "--":
			s.words, s.args = append(s.words, s.args...), nil
		case strings.HasPrefix(arg, "--"):
			return s.longOption(arg)
		case len(arg) > 1 && arg[0] == '-':
			s.bundle = arg[1:]
			return s.short()
		case s.posix:
			s.words, s.args = append(append(s.words, arg), s.args...), nil
		default:
			s.words = append(s.words, arg)
		}
	}
	return nil, "", nil
}

// short takes the first letter of the bundle.
func (s *scanner) short() (*option, string, error) {
	letter := s.bundle[0]
	o := byLetter(s.table, letter)
	s.bundle = s.bundle[1:]
	if o == nil {
		return nil, "", wrong(quote("-"+string(rune(letter))), "there is no such option")
	}
	if o.arg != needsArgument {
		return o, "", nil
	}
	value := s.bundle
	s.bundle = ""
	if value == "" {
		return s.separate(o)
	}
	return o, value, nil
}

// separate takes the next argument, whatever it is, as o's value.
func (s *scanner) separate(o *option) (*option, string, error) {
	if len(s.args) == 0 {
		return nil, "", wrong(o.String(), "its argument is missing")
	}
	value := s.args[0]
	s.args = s.args[1:]
	return o, value, nil
}

func (s *scanner) longOption(arg string) (*option, string, error) {
	name, value, attached := strings.Cut(arg[2:], "=")
	o, rivals := byName(s.table, name)
	switch {
	case len(rivals) > 1:
		return nil, "", wrong(quote("--"+name), "could be any of --%s", strings.Join(rivals, ", --"))
	case o == nil:
		return nil, "", wrong(quote("--"+name), "there is no such option")
	case attached && o.arg == noArgument:
		return nil, "", wrong(o.String(), "takes no argument")
	case !attached && o.arg == needsArgument:
		return s.separate(o)
	}
	return o, value, nil
}

func byLetter(table []option, letter byte) *option {
	for i := range table {
		if table[i].letter == letter {
			return &table[i]
		}
	}
	return nil
}

// byName finds a long option by its name or by the beginning of it that no other shares. rivals are those that share it.
func byName(table []option, name string) (o *option, rivals []string) {
	for i := range table {
		switch {
		case table[i].long == "":
		case table[i].long == name:
			return &table[i], nil
		case strings.HasPrefix(table[i].long, name):
			o = &table[i]
			rivals = append(rivals, o.long)
		}
	}
	if len(rivals) > 1 {
		o = nil
	}
	return o, rivals
}
