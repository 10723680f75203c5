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
// Absent optional sections are pointers to structs: nil when the key is absent, filled with the
// defaults of their fields when it is present. Elements of lists and maps get their defaults too.
//
// Everything that is wrong is reported at once, each as
// file:line:col: path.to.key: what is wrong (did you mean "x"?).
// A type may have `Validate(*Report)`, called after decoding, children first, with its own path.
package conf

import "io"

// Options change how Load and Parse read.
type Options struct {
	// Env looks up ${NAME}; nil means os.LookupEnv.
	Env func(name string) (string, bool)
	// ReadFile reads ${file:PATH}; nil means os.ReadFile bounded to 1 MiB.
	ReadFile func(path string) ([]byte, error)
	// EnvPrefix, when set ("EVERUP_LBD"), lets EVERUP_LBD_LOG_LEVEL override log.level.
	EnvPrefix string
}

// Load reads path, then path's conf.d overlay (/etc/everup/lbd.yaml → /etc/everup/lbd.d/*.yaml in name
// order: mappings merge, lists append, a scalar set twice is an error), into the struct that into points to.
// A missing file is an error. The error is Errors where the content is at fault.
func Load(path string, into any, o Options) (*Document, error) { panic("skeleton") }

// Parse is Load for bytes; name stands in for the file in messages.
func Parse(name string, src []byte, into any, o Options) (*Document, error) { panic("skeleton") }

// SetDefaults fills the struct that into points to as if an empty file had been read, without checking
// what is required.
func SetDefaults(into any) { panic("skeleton") }

// Document is what was read.
type Document struct{}

// Origin tells where the value at path ("pools.web.members[0].addr") came from:
// "lbd.yaml:12:5", "env EVERUP_LBD_LOG_LEVEL", or "default".
func (d *Document) Origin(path string) string { panic("skeleton") }

// Hash is the first 16 hex digits of the SHA-256 of the sources (secrets' contents included): equal hash, equal configuration.
func (d *Document) Hash() string { panic("skeleton") }

// Source returns the main file's bytes and name, to be kept as last-good.
func (d *Document) Source() (name string, data []byte) { panic("skeleton") }

// WriteEffective prints every value in force as YAML, each with its origin as a comment when origins is true.
// Secrets print as "[redacted]".
func (d *Document) WriteEffective(w io.Writer, origins bool) error { panic("skeleton") }

// WriteDefaults prints a commented YAML file with every key, its default, unit, bounds and sentence.
func WriteDefaults(w io.Writer, of any) error { panic("skeleton") }

// WriteSchema prints a JSON Schema (2020-12) of the struct.
func WriteSchema(w io.Writer, of any) error { panic("skeleton") }
