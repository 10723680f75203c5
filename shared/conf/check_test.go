package conf

import (
	"strings"
	"testing"
	"time"
)

func TestCheckStruct(t *testing.T) {
	f := func(of any, want string) {
		t.Helper()
		err := CheckStruct(of)
		switch {
		case want == "" && err != nil:
			t.Errorf("%T: %v", of, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%T: %v, want %q", of, err, want)
		}
	}
	f(site{}, "")
	f(&site{}, "")
	f(struct{ A int }{}, "not an exported field with a yaml key")
	f(struct {
		A int `yaml:"a"`
	}{}, "has no doc")
	f(struct {
		A int `yaml:"a,omitempty" doc:"x"`
	}{}, "not an exported field")
	f(struct {
		A int `yaml:"a b" doc:"x"`
	}{}, "not an exported field")
	f(struct {
		A int `yaml:"a" doc:"x"`
		B int `yaml:"a" doc:"x"`
	}{}, "the key a is taken")
	f(struct {
		Base `yaml:",inline"`
		Node string `yaml:"node" doc:"x"`
	}{}, "the key node is taken")
	f(struct {
		A int `yaml:"a" default:"x" doc:"x"`
	}{}, `default "x"`)
	f(struct {
		A int `yaml:"a" default:"5" max:"4" doc:"x"`
	}{}, `default "5"`)
	f(struct {
		A string `yaml:"a" default:"z" enum:"x|y" doc:"x"`
	}{}, `default "z"`)
	f(struct {
		A []string `yaml:"a" default:"[x" doc:"x"`
	}{}, "default:")
	f(struct {
		A []string `yaml:"a" default:"x" doc:"x"`
	}{}, "expected a list")
	f(struct {
		A int `yaml:"a" default:"5" required:"true" doc:"x"`
	}{}, "has no default")
	f(struct {
		A int `yaml:"a" required:"yes" doc:"x"`
	}{}, "neither true nor false")
	f(struct {
		A Duration `yaml:"a" min:"5" doc:"x"`
	}{}, "min:")
	f(struct {
		A uint8 `yaml:"a" max:"256" doc:"x"`
	}{}, "max:")
	f(struct {
		A int `yaml:"a" min:"1" doc:"x"`
	}{}, "when absent")
	f(struct {
		A bool `yaml:"a" max:"1" doc:"x"`
	}{}, "no order and no length")
	f(struct {
		A bool `yaml:"a" enum:"true" doc:"x"`
	}{}, "enum is for")
	f(struct {
		A time.Duration `yaml:"a" doc:"x"`
	}{}, "use conf.Duration")
	f(struct {
		A any `yaml:"a" doc:"x"`
	}{}, "cannot be read")
	f(struct {
		A map[int]string `yaml:"a" doc:"x"`
	}{}, "cannot be read")
	f(struct {
		A **int `yaml:"a" doc:"x"`
	}{}, "cannot be read")
	f(struct {
		A *Log `yaml:"a" default:"{}" doc:"x"`
	}{}, "has no default")
	f(struct {
		A []struct {
			B chan int `yaml:"b" doc:"x"`
		} `yaml:"a" doc:"x"`
	}{}, "cannot be read")
	f(struct {
		A struct {
			B int `yaml:"b" doc:"x"`
		} `yaml:"a" doc:"x"`
		B int `yaml:"a_b" doc:"x"`
	}{}, "the same variable")
	type list []list
	f(struct {
		A list `yaml:"a" doc:"x"`
	}{}, "contains itself")
}

func TestBadTagPanics(t *testing.T) {
	defer func() {
		if p, _ := recover().(string); !strings.HasPrefix(p, "BUG: conf: ") {
			t.Errorf("the panic is %q", p)
		}
	}()
	Parse("x", nil, &struct {
		A int `yaml:"a" default:"x"`
	}{}, Options{})
}
