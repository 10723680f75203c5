package conf

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write what the golden tests find into testdata")

// site is a configuration with every kind of field.
type site struct {
	common  `yaml:"-"`
	Base    `yaml:",inline"`
	Title   string           `yaml:"title" default:"everup" min:"3" max:"10" doc:"Title of the site."`
	Country string           `yaml:"country" doc:"Country code."`
	Mode    string           `yaml:"mode" default:"auto" enum:"auto|on|off" doc:"How it runs."`
	Listen  Addr             `yaml:"listen" default:"127.0.0.1:8080" doc:"Address to accept on."`
	Timeout Duration         `yaml:"timeout" default:"30s" min:"1ms" max:"1h" doc:"Longest wait for a request."`
	Body    Size             `yaml:"body" default:"1MiB" max:"1g" doc:"Largest request body."`
	Workers uint8            `yaml:"workers" default:"4" min:"1" doc:"Number of workers."`
	Offset  int              `yaml:"offset" doc:"Offset."`
	Ratio   float64          `yaml:"ratio" default:"0.5" min:"0" max:"1" doc:"Share."`
	Debug   bool             `yaml:"debug" default:"false" doc:"Write more."`
	Token   Secret           `yaml:"token" min:"8" doc:"Token of the clients."`
	Allow   []Prefix         `yaml:"allow" default:"[127.0.0.0/8, '::1']" doc:"Client networks."`
	Address netip.Addr       `yaml:"address" doc:"Address to answer from."`
	Levels  []string         `yaml:"levels" enum:"info|warn|error" max:"2" doc:"Levels to keep."`
	Pair    [2]int           `yaml:"pair" doc:"A range."`
	Pools   map[Name]Pool    `yaml:"pools" doc:"Pools by name."`
	Labels  map[string]int   `yaml:"labels" doc:"Numbers by label."`
	TLS     *TLS             `yaml:"tls" doc:"Encryption."`
	Limit   *int             `yaml:"limit" doc:"Largest number, if there is one."`
	Routes  []Route          `yaml:"routes" doc:"Where requests go."`
	Nested  [][]string       `yaml:"nested" doc:"Lists of lists."`
	Hosts   map[string]*Pool `yaml:"hosts" doc:"Pools by host."`
}

type common struct{}

// Base is embedded.
type Base struct {
	Node string `yaml:"node" doc:"Name of the host."`
	Log  Log    `yaml:"log" doc:"The log."`
}

// Validate checks Base alone; it is promoted to site, where it runs again.
func (b *Base) Validate(r *Report) {
	if b.Node == "bad" {
		r.At("node").Errorf("is a bad name")
	}
}

type Log struct {
	Level string `yaml:"level" default:"info" enum:"debug|info|warn" doc:"Lowest level."`
}

// Validate is called for sections that are absent, too.
func (l Log) Validate(r *Report) {
	if l.Level == "warn" {
		r.At("level").Hintf("try info", "warn is too quiet")
	}
}

type Pool struct {
	Members []Member `yaml:"members" required:"true" doc:"Who serves."`
}

func (p *Pool) Validate(r *Report) {
	total := 0
	for _, m := range p.Members {
		total += m.Weight
	}
	if total == 0 {
		r.At("members").Errorf("all weights are 0")
	}
}

type Member struct {
	Addr   Addr `yaml:"addr" required:"true" doc:"Where it listens."`
	Weight int  `yaml:"weight" default:"1" min:"0" max:"256" doc:"Its share."`
}

func (m *Member) Validate(r *Report) {
	if m.Addr == ":1" {
		r.At("addr").Errorf("nobody listens on port 1")
		r.At("weight").Errorf("and its weight does not matter")
	}
}

type TLS struct {
	Cert    string   `yaml:"cert" required:"true" doc:"Certificate file."`
	Refresh Duration `yaml:"refresh" default:"1d" doc:"How often it is read."`
}

type Route struct {
	Pool string  `yaml:"pool" required:"true" doc:"Pool to use."`
	Then []Route `yaml:"then" doc:"Routes below it."`
}

// Validate checks what crosses sections.
func (s *site) Validate(r *Report) {
	var names []string
	for name := range s.Pools {
		names = append(names, string(name))
	}
	for i, route := range s.Routes {
		if _, ok := s.Pools[Name(route.Pool)]; !ok {
			r.At("routes").At(i).At("pool").Unknown("pool", route.Pool, names)
		}
	}
}

// TestGolden reads the cases of testdata: sources, a line of dashes, and what comes of them: the errors, or
// the effective configuration with its origins. "=== name" begins a further source, "=== env" the environment.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 40 {
		t.Fatalf("only %d golden files: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(data), "----------\n")
			if !ok && !*rewrite {
				t.Fatalf("%s has no line of dashes", file)
			}
			got := golden(input)
			if *rewrite {
				if err := os.WriteFile(file, []byte(input+"----------\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// golden returns what comes of a case's input.
func golden(input string) string {
	env := map[string]string{}
	var sources []Source
	for i, part := range strings.Split("=== lbd.yaml\n"+input, "=== ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		if name == "env" {
			for line := range strings.Lines(text) {
				k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
				env[k] = v
			}
			continue
		}
		if i == 0 {
			text = strings.ReplaceAll(text, "<TAB>", "\t")
		}
		sources = append(sources, Source{name, []byte(text)})
	}
	var s site
	doc, err := ParseSources(sources, &s, Options{
		EnvPrefix: "EVERUP_LBD",
		Env:       func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Environ: func() (out []string) {
			for k, v := range env {
				out = append(out, k+"="+v)
			}
			return out
		},
		ReadFile: func(name string) ([]byte, error) {
			if name == "/secret" {
				return []byte("hunter2-hunter2\n"), nil
			}
			return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
		},
	})
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	doc.WriteEffective(&b, true)
	return b.String()
}
