// Package conf reads everup's configuration: strict YAML into Go structs.
//
// The struct is the documentation. Each exported field carries its key and, in tags, its default,
// its bounds and one sentence for the operator; the schema, `config show --defaults` and the manual
// are printed from the same struct:
//
//	type Listen struct {
//		Addr    conf.Addr     `yaml:"addr" default:"127.0.0.1:8080" doc:"Address and port to accept on."`
//		Timeout conf.Duration `yaml:"timeout" default:"30s" min:"1ms" max:"1h" doc:"Longest wait for a request."`
//		Mode    string        `yaml:"mode" default:"auto" enum:"auto|on|off" doc:"…"`
//		Pool    string        `yaml:"pool" required:"true" doc:"…"`
//		Common  `yaml:",inline"`
//	}
//
// A field is a string, bool, integer, float, a type with UnmarshalText (this package's own, netip's, a
// service's), a struct, a list, an array, a map with text keys, or a pointer to any of these. min and max bound the
// value of numbers, Duration and Size, the length in bytes of text, and the number of elements of lists and maps; an empty text, list or map that is
// not required means the same as an absent one. enum
// lists the texts that are allowed, of the elements for a list. single:"true" lets the one element of a list stand without the list,
// also for the lists of a map. short:"true" is for one key of a struct, whose value may then stand for the whole section, as the address
// does in listen: [":80", {addr: ":443", tls: web}]; short:"KEY" of a map has the value of that key stand for the whole map. required says that the key must be present and not empty.
// The default of a list or map is written as YAML: default:"[a, b]". CheckStruct finds mistakes in tags; a daemon's tests call it.
//
// Absent optional sections are pointers to structs: nil when the key is absent, filled with the
// defaults of their fields when it is present. Elements of lists and maps get their defaults too.
//
// Everything that is wrong is reported at once, each as
// file:line:col: path.to.key: what is wrong (did you mean "x"?).
// A type may have `Validate(*Report)`, called after decoding, children first, with its own path; it is not
// called for a part that did not decode.
//
// Nothing is guessed. Text that YAML readers take for something else (0123, 1e3, yes, on, null) must be quoted
// where text is expected, and numbers are plain decimals. Merge keys, tags and a second document are refused.
//
// Text may hold ${NAME}, ${NAME:-fallback} and ${file:PATH}; $${ stands for a literal ${. They are
// expanded after parsing, so that a value cannot bring structure with it, and their content never appears in a message.
package conf

import (
	"fmt"
	"reflect"
)

// Options change how Load and Parse read.
type Options struct {
	// Env looks up ${NAME} and the overrides of EnvPrefix; nil means os.LookupEnv.
	Env func(name string) (string, bool)
	// Environ lists the environment as os.Environ does, to find unknown variables of EnvPrefix.
	// nil means os.Environ, or, where Env is set, that unknown variables are not looked for.
	Environ func() []string
	// ReadFile reads ${file:PATH}; nil means os.ReadFile bounded to 1 MiB.
	ReadFile func(path string) ([]byte, error)
	// EnvPrefix, when set ("EVERUP_LBD"), lets EVERUP_LBD_LOG_LEVEL override log.level. Lists and maps
	// cannot be overridden. A variable with the prefix that names no key is an error, unless the file refers to it.
	EnvPrefix string
	// Salvage fills into with what could be read even where there are errors, which are returned all the same: for a
	// command that only needs to know where the running daemon listens.
	Salvage bool
	// Offline has Validate look at nothing but the configuration (Report.Offline): for commands that explain or show one, also where the
	// files and devices that it names are not there.
	Offline bool
}

// Validator is what a configuration type implements to check what tags cannot say. Its receiver is filled,
// its children have been validated before it.
type Validator interface {
	Validate(r *Report)
}

// Load reads path, then path's conf.d overlay (/etc/everup/lbd.yaml → /etc/everup/lbd.d/*.yaml in name
// order: mappings merge, lists append, a scalar set twice is an error), into the struct that into points to.
// A missing file is an error of class fault.Config. The error is Errors where the content is at fault; into is
// changed only when there is none, or with Options.Salvage.
func Load(path string, into any, o Options) (*Document, error) {
	sources, err := readSources(path)
	if err != nil {
		return nil, err
	}
	return ParseSources(sources, into, o)
}

// Parse is Load for bytes; name stands in for the file in messages.
func Parse(name string, src []byte, into any, o Options) (*Document, error) {
	return ParseSources([]Source{{Name: name, Data: src}}, into, o)
}

// ParseSources is Load for files that were read before, the main file first: with Document.Sources it
// brings back a configuration that was accepted once.
func ParseSources(sources []Source, into any, o Options) (*Document, error) {
	target := targetOf(into)
	l := newLoader(o)
	root, whole := l.tree(sources)
	l.override(root, l.plans.of(target.Type()))
	fresh := reflect.New(target.Type()).Elem()
	l.decode(root, fresh, whole)
	err := l.errs.result()
	if err == nil || o.Salvage {
		target.Set(fresh)
	}
	if err != nil {
		return nil, err
	}
	return &Document{root: root, value: target, hash: l.hash(sources), sources: sources}, nil
}

// SetDefaults fills the struct that into points to as if an empty file had been read, without checking
// what is required and without calling Validate.
func SetDefaults(into any) {
	target := targetOf(into)
	target.SetZero()
	d := &decoder{plans: plans{}, errs: &collector{}}
	d.defaults(target)
}

// targetOf returns the struct that into points to.
func targetOf(into any) reflect.Value {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("BUG: conf: the target is %T, not a pointer to a struct", into))
	}
	return v.Elem()
}
