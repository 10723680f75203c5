package config

import (
	"path/filepath"
	"reflect"

	"github.com/everup/everup/services/lbd/internal/accesslog"
	"github.com/everup/everup/shared/conf"
)

// AccessLog is a log of the section `access_log`.
type AccessLog struct {
	Format   string        `yaml:"format" default:"combined" enum:"combined|json|template" doc:"combined: the combined format of web servers, then name=value pairs. json: one object a line. template: as template says."`
	Template string        `yaml:"template" max:"4096" doc:"The line, with variables such as $client, $status, $duration and $(header.Accept); $$ for $."`
	Fields   []string      `yaml:"fields" max:"64" doc:"Fields of the JSON object in their order, named as a template's variables without $; empty means those that are usually wanted."`
	Syslog   conf.Addr     `yaml:"syslog" doc:"host:port of a syslog server (RFC 5424 by TCP with octet counting, such as logd)."`
	File     string        `yaml:"file" max:"4096" doc:"File that lines are appended to. It is opened anew when it was moved away, and by a reload."`
	Stdout   bool          `yaml:"stdout" default:"false" doc:"Write the lines to standard output."`
	Sample   Sample        `yaml:"sample" doc:"Write a part of the requests only. Answers 5xx, those that broke off, and slow ones are always written."`
	Slow     conf.Duration `yaml:"slow" default:"1s" max:"1d" doc:"Requests that last so long are always written; 0 means none is for that."`
}

// Sample is the section `sample` of an access log: of so many requests one is written.
type Sample struct {
	Success  int `yaml:"2xx" default:"1" min:"1" max:"1000000" doc:"One in so many of those answered 2xx (and 101) is written."`
	Redirect int `yaml:"3xx" default:"1" min:"1" max:"1000000" doc:"Of those answered 3xx."`
	Client   int `yaml:"4xx" default:"1" min:"1" max:"1000000" doc:"Of those answered 4xx, and those whose client went away."`
}

// Validate checks what belongs together.
func (a *AccessLog) Validate(r *conf.Report) {
	if a.Syslog != "" {
		if host, port, ok := a.Syslog.HostPort(); !ok || host == "" || port == 0 {
			r.At("syslog").Errorf("%q is not host:port", a.Syslog)
		}
	}
	if a.File != "" && (!filepath.IsAbs(a.File) || filepath.Clean(a.File) != a.File) {
		r.At("file").Hintf("write it like /var/log/everup/access.log", "%q is no clean absolute path", a.File)
	}
	if a.Syslog == "" && a.File == "" && !a.Stdout {
		var nothing AccessLog
		conf.SetDefaults(&nothing)
		if !reflect.DeepEqual(*a, nothing) {
			r.Hintf("give syslog, file or stdout", "is written nowhere")
		}
	}
	switch {
	case a.Format == "template" && a.Template == "":
		r.At("format").Hintf("give template", "has no template")
	case a.Format != "template" && a.Template != "":
		r.At("template").Hintf("give format: template", "is for another format")
	case a.Format != "json" && len(a.Fields) > 0:
		r.At("fields").Hintf("give format: json", "are for another format")
	default:
		a.checkFormat(r)
	}
}

// checkFormat compiles the format for what is wrong with it.
func (a *AccessLog) checkFormat(r *conf.Report) {
	_, at, p := a.compile("")
	if p == nil {
		return
	}
	if at < 0 {
		r = r.At("template")
	} else {
		r = r.At("fields").At(at)
	}
	switch {
	case p.Unknown != "":
		r.Unknown("variable", p.Unknown, accesslog.Names())
	case p.Hint != "":
		r.Hintf(p.Hint, "%s", p.Msg)
	default:
		r.Errorf("%s", p.Msg)
	}
}

// compile makes the format. at is the field that the problem is with, -1: it is the template.
func (a *AccessLog) compile(node string) (f *accesslog.Format, at int, p *accesslog.Problem) {
	switch a.Format {
	case "template":
		f, p = accesslog.Template(a.Template, node)
		return f, -1, p
	case "json":
		fields := a.Fields
		if len(fields) == 0 {
			fields = accesslog.DefaultFields()
		}
		return accesslog.JSON(fields, node)
	}
	return accesslog.Combined(node), -1, nil
}

// Spec is the log in the terms of package accesslog. The configuration was validated.
func (a *AccessLog) Spec(node string) accesslog.Spec {
	f, _, p := a.compile(node)
	if p != nil {
		panic("BUG: config: an access log's format that was validated: " + p.Error())
	}
	return accesslog.Spec{
		Format: f, Syslog: string(a.Syslog), File: a.File, Stdout: a.Stdout,
		Sample: accesslog.Sample{Success: a.Sample.Success, Redirect: a.Sample.Redirect, Client: a.Sample.Client, Slow: a.Slow.Std()},
	}
}
